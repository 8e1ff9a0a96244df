//! EC2's serial console over SSH.
//!
//! As `ssh -i key <instance-id>.port0@host` does it: public key only, a session channel with
//! a terminal and a shell. Invariant: nothing is sent to a host before its key was checked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use russh::client::{self, DisconnectReason, Msg};
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf, Disconnect, Sig};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::typist::{NotTaken, ToSend, Typist};
use super::{
    BoxFuture, Chunk, ChunkKind, Fingerprint, HostKeyError, HostKeyPolicy, Key, Received,
    Transport, TransportError,
};

/// Where a serial console is.
#[derive(Clone, Debug)]
pub struct SerialTarget {
    /// The region's serial-console host.
    pub host: String,
    /// 22 on EC2.
    pub port: u16,
    /// `<instance-id>.port0`.
    pub user: String,
    /// How the host proves itself.
    pub host_key: HostKeyPolicy,
}

impl SerialTarget {
    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Limits of a session.
#[derive(Clone, Debug)]
pub struct SerialOptions {
    /// For TCP, key exchange, authentication and the shell together.
    pub connect_timeout: Duration,
    /// Silence after which the other side is asked whether it lives; three questions without
    /// an answer end the session.
    pub keepalive: Duration,
}

impl Default for SerialOptions {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(15), keepalive: Duration::from_secs(15) }
    }
}

/// A session with a serial console.
pub struct SerialSsh {
    address: String,
    session: client::Handle<Client>,
    reader: ChannelReadHalf,
    writer: Arc<ChannelWriteHalf<Msg>>,
    typist: Typist,
    /// Bytes that came before the shell was confirmed.
    early: VecDeque<Bytes>,
    state: End,
    farewell: Farewell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// The other side closed the channel in order, or we did.
    Closed,
}

/// Why the connection ended, as far as it was said.
type Farewell = Arc<Mutex<Option<String>>>;

/// What the protocol's machinery asks us.
struct Client {
    address: String,
    host_key: HostKeyPolicy,
    farewell: Farewell,
}

#[derive(Debug)]
enum ClientError {
    HostKey(HostKeyError),
    Protocol(russh::Error),
}

impl From<russh::Error> for ClientError {
    fn from(error: russh::Error) -> Self {
        Self::Protocol(error)
    }
}

impl client::Handler for Client {
    type Error = ClientError;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let key = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.key_data().clone(),
            PublicKeyOrCertificate::Certificate(certificate) => certificate.public_key().clone(),
        };
        let seen = Fingerprint::new(&key.fingerprint(HashAlg::Sha256).to_string());
        self.host_key.check(&self.address, seen).map_err(ClientError::HostKey)?;
        Ok(true)
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<Self::Error>,
    ) -> Result<(), Self::Error> {
        let words = match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                format!("{:?}: {}", info.reason_code, info.message)
            }
            DisconnectReason::Error(ClientError::Protocol(error)) => error.to_string(),
            DisconnectReason::Error(ClientError::HostKey(error)) => error.to_string(),
        };
        *self.farewell.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
        Ok(())
    }
}

impl SerialSsh {
    /// Opens a session with a key that was pushed less than a minute ago.
    pub async fn connect(
        target: &SerialTarget,
        key: &Key,
        options: &SerialOptions,
    ) -> Result<Self, TransportError> {
        let mut doing = "connecting";
        match timeout(options.connect_timeout, open(target, key, options, &mut doing)).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::TimedOut {
                address: target.address(),
                seconds: options.connect_timeout.as_secs(),
                doing,
            }),
        }
    }

    async fn next(&mut self) -> Result<Received, TransportError> {
        if let Some(bytes) = self.early.pop_front() {
            return Ok(chunk(bytes));
        }
        while self.state == End::Open {
            match self.reader.wait().await {
                Some(ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. }) => {
                    if !data.is_empty() {
                        return Ok(chunk(data));
                    }
                }
                Some(ChannelMsg::Eof | ChannelMsg::Close) => self.state = End::Closed,
                Some(_) => {}
                None => {
                    self.state = End::Closed;
                    return Err(dropped(&self.address, &self.farewell));
                }
            }
        }
        Ok(Received::End)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        self.typist.send(bytes).map_err(|error| match error {
            NotTaken::Full => TransportError::Stuck { address: self.address.clone() },
            NotTaken::Gone => dropped(&self.address, &self.farewell),
        })
    }
}

fn chunk(bytes: Bytes) -> Received {
    Received::Chunk(Chunk { bytes, at: Instant::now(), kind: ChunkKind::Live })
}

fn dropped(address: &str, farewell: &Farewell) -> TransportError {
    let words = farewell.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let detail = words.unwrap_or_else(|| "the connection broke".to_owned());
    TransportError::Dropped { address: address.to_owned(), detail }
}

async fn open(
    target: &SerialTarget,
    key: &Key,
    options: &SerialOptions,
    doing: &mut &'static str,
) -> Result<SerialSsh, TransportError> {
    let address = target.address();
    let farewell = Farewell::default();
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
    let stream = stream.map_err(|source| super::channel::connect_error(&address, source))?;
    // Without it single keys wait for the answers to the ones before. A failure only costs time.
    drop(stream.set_nodelay(true));

    *doing = "exchanging keys";
    let config = client::Config {
        keepalive_interval: Some(options.keepalive),
        keepalive_max: 3,
        ..client::Config::default()
    };
    let client = Client {
        address: address.clone(),
        host_key: target.host_key.clone(),
        farewell: Arc::clone(&farewell),
    };
    let session = client::connect_stream(Arc::new(config), stream, client).await;
    let mut session = session.map_err(|error| client_error(&address, error))?;

    *doing = "authenticating";
    let signer = PrivateKeyWithHashAlg::new(Arc::clone(&key.0), None);
    let accepted = session.authenticate_publickey(&target.user, signer).await;
    let accepted = accepted.map_err(|error| client_error(&address, error.into()))?;
    if !accepted.success() {
        return Err(TransportError::KeyRefused { address, user: target.user.clone() });
    }

    *doing = "opening the console";
    let (reader, writer, early) = shell(&session, &address).await?;
    let writer = Arc::new(writer);
    let typist = Typist::new(|typed| send(Arc::clone(&writer), typed));
    Ok(SerialSsh { address, session, reader, writer, typist, early, state: End::Open, farewell })
}

/// Sends what is typed, as the other side's window allows, to its end or that of the session.
async fn send(writer: Arc<ChannelWriteHalf<Msg>>, mut typed: ToSend) {
    while let Some(bytes) = typed.next().await {
        if writer.data_bytes(bytes).await.is_err() {
            return;
        }
    }
}

type Shell = (ChannelReadHalf, ChannelWriteHalf<Msg>, VecDeque<Bytes>);

/// Asks for a terminal and a shell; data that comes first is kept.
async fn shell(session: &client::Handle<Client>, address: &str) -> Result<Shell, TransportError> {
    let ssh = |error: russh::Error| client_error(address, error.into());
    let channel = session.channel_open_session().await.map_err(ssh)?;
    channel.request_pty(false, "vt100", 80, 24, 0, 0, &[]).await.map_err(ssh)?;
    channel.request_shell(true).await.map_err(ssh)?;
    let (mut reader, writer) = channel.split();
    let mut early = VecDeque::new();
    let mut words = String::new();
    loop {
        match reader.wait().await {
            Some(ChannelMsg::Success) => return Ok((reader, writer, early)),
            Some(ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. }) => {
                words.push_str(&String::from_utf8_lossy(&data[..data.len().min(200)]));
                early.push_back(data);
            }
            Some(ChannelMsg::Failure | ChannelMsg::Close) => {
                let detail =
                    if words.is_empty() { "the shell was refused".to_owned() } else { words };
                return Err(TransportError::SessionLimit { address: address.to_owned(), detail });
            }
            Some(_) => {}
            None => {
                let detail = "the connection broke before the console was open".to_owned();
                return Err(TransportError::Dropped { address: address.to_owned(), detail });
            }
        }
    }
}

fn client_error(address: &str, error: ClientError) -> TransportError {
    let address = address.to_owned();
    match error {
        ClientError::HostKey(source) => TransportError::HostKey { address, source },
        ClientError::Protocol(russh::Error::ChannelOpenFailure(
            reason @ (ChannelOpenFailure::ResourceShortage
            | ChannelOpenFailure::AdministrativelyProhibited),
        )) => TransportError::SessionLimit { address, detail: format!("{reason:?}") },
        ClientError::Protocol(
            error @ (russh::Error::Disconnect
            | russh::Error::HUP
            | russh::Error::SendError
            | russh::Error::RecvError
            | russh::Error::KeepaliveTimeout
            | russh::Error::IO(_)),
        ) => TransportError::Dropped { address, detail: error.to_string() },
        ClientError::Protocol(error) => TransportError::Ssh { address, detail: error.to_string() },
    }
}

impl Transport for SerialSsh {
    fn read(&mut self) -> BoxFuture<'_, Result<Received, TransportError>> {
        self.next().boxed()
    }

    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), TransportError>> {
        let sent = self.send(bytes);
        async { sent }.boxed()
    }

    /// Sends a signal named `BREAK`: russh has no way to send RFC 4335's request.
    fn send_break(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        async {
            // What was typed before it comes before it.
            self.typist.catch_up().await;
            let sent = self.writer.signal(Sig::Custom("BREAK".to_owned())).await;
            sent.map_err(|_| dropped(&self.address, &self.farewell))
        }
        .boxed()
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        async {
            self.state = End::Closed;
            self.early.clear();
            self.typist.finish().await;
            // The other side may be gone already; then there is nothing left to close.
            drop(self.writer.close().await);
            drop(self.session.disconnect(Disconnect::ByApplication, "", "en").await);
            Ok(())
        }
        .boxed()
    }
}
