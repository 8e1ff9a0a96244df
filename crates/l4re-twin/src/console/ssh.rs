//! The serial console over SSH, as EC2 offers it: user `<instance-id>.port0`, a key that
//! was pushed within the last minute, one session per instance, output from then on only.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::keys::{Algorithm, HashAlg, PrivateKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelMsg, Disconnect, MethodKind, MethodSet, Sig};
use tokio::net::TcpStream;

use crate::TwinError;
use crate::console::live::Attached;
use crate::console::{Console, Input};
use crate::faults::Effect;
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
        let (life, dropped) = match self.twin.faults.decide("console:session").effect {
            Some(Effect::DropConsole { bytes }) => (SESSION_LIFE, Some(bytes)),
            Some(Effect::EndConsole { seconds }) => (Duration::from_secs(seconds), None),
            _ => (SESSION_LIFE, None),
        };
        tokio::spawn(hold_session(channel, session.handle(), console, life, dropped));
        Ok(())
    }
}

/// One channel for as long as it lives: carries bytes both ways, until so many have gone out
/// if the plan of faults has it so.
async fn hold_session(
    channel: Channel<Msg>,
    handle: Handle,
    console: Option<Arc<Console>>,
    life: Duration,
    mut until_drop: Option<u64>,
) {
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
    let end = tokio::time::sleep(life);
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
        let Some(mut output) = output else { break };
        if let Some(left) = until_drop {
            output.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        if writer.data(&output[..]).await.is_err() {
            break;
        }
        if let Some(left) = &mut until_drop {
            *left -= output.len() as u64;
            if *left == 0 {
                // A drop is not an end: the client sees the connection go.
                let _ = handle
                    .disconnect(Disconnect::ByApplication, String::new(), String::new())
                    .await;
                return;
            }
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

#[cfg(test)]
mod tests {
    use russh::client;
    use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};

    use super::*;
    use crate::fixture::TestTwin;

    struct Trusting;

    impl client::Handler for Trusting {
        type Error = russh::Error;

        async fn check_server_key(
            &mut self,
            _: &PublicKeyOrCertificate,
        ) -> Result<bool, Self::Error> {
            Ok(true)
        }
    }

    /// Starts an instance and waits until it runs.
    async fn instance(test: &TestTwin) -> String {
        let form = b"Action=RunInstances&ImageId=ami-0172e86000000b105&InstanceType=t3.nano\
                     &MinCount=1&MaxCount=1";
        let (status, xml) = crate::ec2::answer(&test.twin, form, jiff::Timestamp::now());
        assert_eq!(status, 200, "{xml}");
        let id = test.twin.store.lock().instances.keys().next().unwrap().clone();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
        while test.twin.store.lock().instances[&id].state != InstanceState::Running {
            assert!(tokio::time::Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        id
    }

    fn push(test: &TestTwin, id: &str, key: &PrivateKey) -> (u16, String) {
        let public = key.public_key().to_openssh().unwrap();
        let body = serde_json::json!({
            "InstanceId": id, "SerialPort": 0, "SSHPublicKey": public,
        });
        let action = "SendSerialConsoleSSHPublicKey";
        crate::json::document(crate::connect::act(&test.twin, action, body.to_string().as_bytes()))
    }

    /// Logs in; `None` if the server does not let us.
    async fn log_in(
        test: &TestTwin,
        user: &str,
        key: &PrivateKey,
    ) -> Option<(client::Handle<Trusting>, Channel<client::Msg>)> {
        let address = test.daemon.listeners.console.local_addr().unwrap();
        let config = Arc::new(client::Config::default());
        let mut handle = client::connect(config, address, Trusting).await.unwrap();
        let key = PrivateKeyWithHashAlg::new(Arc::new(key.clone()), None);
        if !handle.authenticate_publickey(user, key).await.unwrap().success() {
            return None;
        }
        let channel = handle.channel_open_session().await.unwrap();
        channel.request_shell(true).await.unwrap();
        Some((handle, channel))
    }

    /// Reads until a text has come.
    async fn expect(channel: &mut Channel<client::Msg>, text: &str) {
        let mut seen = String::new();
        let read = async {
            while !seen.contains(text) {
                match channel.wait().await {
                    Some(ChannelMsg::Data { data }) => {
                        seen.push_str(&String::from_utf8_lossy(&data))
                    }
                    Some(_) => {}
                    None => panic!("the channel ended after {seen:?}"),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(120), read).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_pushed_key_opens_one_session_that_types_to_the_guest() {
        let test = TestTwin::new().await;
        let id = instance(&test).await;
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let user = format!("{id}.port0");
        assert!(log_in(&test, &user, &key).await.is_none(), "a key that nobody pushed");
        assert_eq!(push(&test, &id, &key).0, 200);
        assert!(log_in(&test, &id, &key).await.is_none(), "a user without a port");
        let (_first, mut channel) = log_in(&test, &user, &key).await.unwrap();
        // The stand-in gives back what is typed.
        channel.data(&b"typed"[..]).await.unwrap();
        expect(&mut channel, "typed").await;
        let (status, body) = push(&test, &id, &key);
        assert_eq!(status, 400);
        assert!(body.contains("SerialConsoleSessionLimitExceededException"), "{body}");
        let (_second, mut refused) = log_in(&test, &user, &key).await.unwrap();
        expect(&mut refused, "already has a session").await;
        test.twin.machines.end_all().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_session_is_dropped_as_the_plan_of_faults_has_it() {
        let test = TestTwin::new().await;
        let plan = r#"{"rules": [{"on": "console:session", "times": 1,
            "effect": {"drop-console": {"bytes": 4}}}]}"#;
        let plan = serde_json::from_str(plan).unwrap();
        crate::set_faults(&test.twin.config.dir, &plan).unwrap();
        let id = instance(&test).await;
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let user = format!("{id}.port0");
        push(&test, &id, &key);
        let (first, mut channel) = log_in(&test, &user, &key).await.unwrap();
        channel.data(&b"typed"[..]).await.unwrap();
        let drained = async {
            let mut seen = 0;
            while let Some(message) = channel.wait().await {
                if let ChannelMsg::Data { data } = message {
                    seen += data.len();
                }
            }
            seen
        };
        assert_eq!(tokio::time::timeout(Duration::from_secs(120), drained).await.unwrap(), 4);
        assert!(first.is_closed(), "the whole connection goes");
        // The next session is whole, as soon as the machine has seen the first one's end.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
        while test.twin.machines.has_session(&id) {
            assert!(tokio::time::Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (_second, mut channel) = log_in(&test, &user, &key).await.unwrap();
        channel.data(&b"and again"[..]).await.unwrap();
        expect(&mut channel, "and again").await;
        test.twin.machines.end_all().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_switch_of_the_account_and_the_state_of_the_instance_count() {
        let test = TestTwin::new().await;
        let id = instance(&test).await;
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let (_, none) = push(&test, "i-0123456789abcdef0", &key);
        assert!(none.contains("EC2InstanceNotFoundException"), "{none}");
        let off = b"Action=DisableSerialConsoleAccess";
        crate::ec2::answer(&test.twin, off, jiff::Timestamp::now());
        let (status, body) = push(&test, &id, &key);
        assert_eq!(status, 403);
        assert!(body.contains("SerialConsoleAccessDisabledException"), "{body}");
        test.twin.machines.end_all().await;
    }
}
