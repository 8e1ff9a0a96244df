//! The serial console over SSH, as EC2 offers it: user `<instance-id>.port0`, a key that
//! was pushed within the last minute, one session per instance, output from then on only.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::keys::{Algorithm, HashAlg, PrivateKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelMsg, MethodKind, MethodSet, Sig};
use tokio::net::TcpStream;

use crate::TwinError;
use crate::console::live::Attached;
use crate::console::{Console, Input};
use crate::state::{InstanceState, Store};
use crate::twin::Twin;

/// EC2 ends a session after about an hour.
const SESSION_LIFE: Duration = Duration::from_secs(60 * 60);

/// The SSH side of the daemon.
#[derive(Clone)]
pub(crate) struct SerialServer {
    twin: Arc<Twin>,
    config: Arc<Config>,
}

/// The host key of a state directory, made when it is first wanted, and its fingerprint.
pub(crate) fn host_key(store: &Store) -> Result<(PrivateKey, String), TwinError> {
    let mut state = store.lock();
    let damaged = |error: russh::keys::ssh_key::Error| TwinError::Damaged {
        path: "account.json".into(),
        detail: format!("host key: {error}"),
    };
    let key = if state.account.host_key.is_empty() {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(damaged)?;
        let text = key.to_openssh(russh::keys::ssh_key::LineEnding::LF).map_err(damaged)?;
        text.as_str().clone_into(&mut state.account.host_key);
        key
    } else {
        PrivateKey::from_openssh(&state.account.host_key).map_err(damaged)?
    };
    let fingerprint = key.public_key().fingerprint(HashAlg::Sha256).to_string();
    Ok((key, fingerprint))
}

impl SerialServer {
    /// A server with this host key.
    pub(crate) fn new(twin: Arc<Twin>, key: PrivateKey) -> Self {
        let config = Config {
            keys: vec![key],
            methods: MethodSet::from(&[MethodKind::PublicKey][..]),
            auth_rejection_time: Duration::from_millis(200),
            auth_rejection_time_initial: Some(Duration::ZERO),
            inactivity_timeout: Some(SESSION_LIFE),
            ..Config::default()
        };
        Self { twin, config: Arc::new(config) }
    }

    /// Serves one connection until it ends.
    pub(crate) async fn serve(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let client = Client { twin: self.twin, instance: String::new() };
        match russh::server::run_stream(self.config, stream, client).await {
            Ok(session) => {
                if let Err(error) = session.await {
                    tracing::debug!("a serial console session broke: {error}");
                }
            }
            Err(error) => tracing::debug!("a serial console client was no SSH client: {error}"),
        }
    }
}

struct Client {
    twin: Arc<Twin>,
    instance: String,
}

impl Handler for Client {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let Some(instance) = user.strip_suffix(".port0") else { return Ok(Auth::reject()) };
        if !self.twin.keys.opens(instance, key.public_key) {
            return Ok(Auth::reject());
        }
        instance.clone_into(&mut self.instance);
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        let runs = {
            let state = self.twin.store.lock();
            let instance = state.instances.get(&self.instance);
            instance.is_some_and(|instance| instance.state == InstanceState::Running)
        };
        let console = self.twin.machines.console(&self.instance).filter(|_| runs);
        tokio::spawn(hold_session(channel, session.handle(), console));
        Ok(())
    }
}

/// The life of one channel: waits for the shell, then carries bytes both ways.
async fn hold_session(channel: Channel<Msg>, handle: Handle, console: Option<Arc<Console>>) {
    let id = channel.id();
    let attached = console.as_ref().and_then(Console::attach);
    let (mut reader, writer) = channel.split();
    let Some(mut attached) = attached else {
        let why = if console.is_some() {
            "The instance's serial console already has a session.\r\n"
        } else {
            "The instance does not run.\r\n"
        };
        let _ = writer.data(why.as_bytes()).await;
        let _ = writer.exit_status(1).await;
        let _ = writer.close().await;
        return;
    };
    let end = tokio::time::sleep(SESSION_LIFE);
    tokio::pin!(end);
    loop {
        let output: Option<Bytes> = tokio::select! {
            message = reader.wait() => match message {
                Some(message) => {
                    if take(message, id, &handle, &attached).await.is_break() {
                        break;
                    }
                    continue;
                }
                None => break,
            },
            output = attached.next() => output,
            () = &mut end => None,
        };
        let Some(output) = output else { break };
        if writer.data(&output[..]).await.is_err() {
            break;
        }
    }
    drop(attached);
    let _ = writer.eof().await;
    let _ = writer.close().await;
}

async fn take(
    message: ChannelMsg,
    id: ChannelId,
    handle: &Handle,
    attached: &Attached,
) -> std::ops::ControlFlow<()> {
    let wants_reply = match message {
        ChannelMsg::Data { data } => {
            attached.console().send(Input::Bytes(data)).await;
            false
        }
        // russh does not pass RFC 4335's break request on; a signal of that name does it.
        ChannelMsg::Signal { signal: Sig::Custom(name) } if name == "BREAK" => {
            attached.console().send(Input::Break).await;
            false
        }
        ChannelMsg::RequestShell { want_reply } | ChannelMsg::RequestPty { want_reply, .. } => {
            want_reply
        }
        ChannelMsg::Eof | ChannelMsg::Close => return std::ops::ControlFlow::Break(()),
        _ => false,
    };
    if wants_reply {
        let _ = handle.channel_success(id).await;
    }
    std::ops::ControlFlow::Continue(())
}
