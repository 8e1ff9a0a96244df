//! The serial console over SSH against an SSH server in the same process.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use l4re_console::transport::{
    Fingerprint, HostKeyError, HostKeyPolicy, Key, Received, SerialOptions, SerialSsh,
    SerialTarget, Transport, TransportError,
};
use russh::keys::{Algorithm, HashAlg, PrivateKey};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, Disconnect, Sig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const USER: &str = "i-0123456789abcdef0.port0";
const LIMIT: Duration = Duration::from_secs(120);

/// What the server does with a session.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Greets, echoes what is typed, says `<break>` for a break.
    Echo,
    /// Greets, says goodbye and closes.
    Goodbye,
    /// Says that another session is attached, and closes.
    Busy,
    /// Opens no channel.
    NoChannel,
    /// Disconnects right after the greeting, with words.
    Disconnects,
}

#[derive(Clone)]
struct Server {
    accepted: String,
    manner: Manner,
}

impl server::Handler for Server {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let key = key.public_key.to_openssh().unwrap();
        Ok(if user == USER && key == self.accepted { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.manner {
            Manner::NoChannel => {
                reply.reject(russh::ChannelOpenFailure::ResourceShortage).await;
            }
            _ => reply.accept().await,
        }
        Ok(())
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.manner == Manner::Busy {
            session.data(channel, &b"busy: another session"[..])?;
            session.close(channel)?;
            return Ok(());
        }
        session.channel_success(channel)?;
        session.data(channel, &b"hello "[..])?;
        match self.manner {
            Manner::Goodbye => {
                session.data(channel, &b"goodbye"[..])?;
                session.eof(channel)?;
                session.close(channel)?;
            }
            Manner::Disconnects => {
                session.disconnect(Disconnect::ByApplication, "time is up", "en")?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.data(channel, data.to_vec())?;
        Ok(())
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if matches!(signal, Sig::Custom(name) if name == "BREAK") {
            session.data(channel, &b"<break>"[..])?;
        }
        Ok(())
    }
}

struct Place {
    port: u16,
    fingerprint: Fingerprint,
    key: Key,
}

/// A server for any number of sessions, which accepts the returned key.
async fn serve(manner: Manner) -> Place {
    let host = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let fingerprint = Fingerprint::new(&host.public_key().fingerprint(HashAlg::Sha256).to_string());
    let config = Arc::new(server::Config {
        keys: vec![host],
        auth_rejection_time: Duration::ZERO,
        ..server::Config::default()
    });
    let key = Key::generate().unwrap();
    let server = Server { accepted: key.public_openssh(), manner };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (config, server) = (Arc::clone(&config), server.clone());
            tokio::spawn(async move {
                if let Ok(session) = server::run_stream(config, stream, server).await {
                    drop(session.await);
                }
            });
        }
    });
    Place { port, fingerprint, key }
}

fn target(place: &Place) -> SerialTarget {
    SerialTarget {
        host: "127.0.0.1".into(),
        port: place.port,
        user: USER.into(),
        host_key: HostKeyPolicy::Pinned(vec![place.fingerprint.clone()]),
    }
}

async fn connect(target: &SerialTarget, key: &Key) -> Result<SerialSsh, TransportError> {
    let options = SerialOptions::default();
    tokio::time::timeout(LIMIT, SerialSsh::connect(target, key, &options)).await.unwrap()
}

/// Reads until `end` came, the stream ended or broke.
async fn read_to(console: &mut SerialSsh, end: &str) -> (String, Option<TransportError>) {
    let mut text = String::new();
    while !text.ends_with(end) || end.is_empty() {
        match tokio::time::timeout(LIMIT, console.read()).await.unwrap() {
            Ok(Received::Chunk(chunk)) => text.push_str(std::str::from_utf8(&chunk.bytes).unwrap()),
            Ok(_) => return (text, None),
            Err(error) => return (text, Some(error)),
        }
    }
    (text, None)
}

async fn refusal(target: &SerialTarget, key: &Key) -> TransportError {
    connect(target, key).await.err().unwrap()
}

#[tokio::test]
async fn a_session_carries_bytes_and_a_break_both_ways() {
    let place = serve(Manner::Echo).await;
    let mut console = connect(&target(&place), &place.key).await.unwrap();
    console.write(b"typed\x1b").await.unwrap();
    assert_eq!(read_to(&mut console, "\x1b").await.0, "hello typed\x1b");
    console.send_break().await.unwrap();
    assert_eq!(read_to(&mut console, ">").await.0, "<break>");
    console.close().await.unwrap();
    assert_eq!(console.read().await.unwrap(), Received::End);
}

#[tokio::test]
async fn a_large_paste_comes_back_whole() {
    const PIECE: &[u8] = &[b'x'; 1000];
    let place = serve(Manner::Echo).await;
    let mut console = connect(&target(&place), &place.key).await.unwrap();
    for _ in 0..900 {
        console.write(PIECE).await.unwrap();
    }
    console.write(b">").await.unwrap();
    let (text, error) = read_to(&mut console, ">").await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(text.matches('x').count(), 900 * PIECE.len());
}

#[tokio::test]
async fn a_session_that_is_closed_in_order_ends() {
    let place = serve(Manner::Goodbye).await;
    let mut console = connect(&target(&place), &place.key).await.unwrap();
    let (text, error) = read_to(&mut console, "").await;
    assert_eq!((text.as_str(), error.is_none()), ("hello goodbye", true));
}

#[tokio::test]
async fn another_key_is_refused() {
    let place = serve(Manner::Echo).await;
    let error = refusal(&target(&place), &Key::generate().unwrap()).await;
    assert!(matches!(&error, TransportError::KeyRefused { user, .. } if user == USER), "{error}");
}

#[tokio::test]
async fn a_host_with_another_key_is_not_trusted() {
    let place = serve(Manner::Echo).await;
    let pinned = Fingerprint::new("SHA256:dXwn5ma/xadVMeBZGEru5l2gx+yI5LDiJaLUcz0FMmw");
    let mut target = target(&place);
    target.host_key = HostKeyPolicy::Pinned(vec![pinned.clone()]);
    let error = refusal(&target, &place.key).await;
    let TransportError::HostKey { source: HostKeyError::NotPinned { seen, expected }, .. } = error
    else {
        panic!("{error}");
    };
    assert_eq!((seen, expected), (place.fingerprint, vec![pinned]));
}

#[tokio::test]
async fn a_key_of_first_use_is_recorded_and_its_change_noticed() {
    let dir = camino_tempfile::tempdir().unwrap();
    let policy = HostKeyPolicy::TrustOnFirstUse(dir.path().join("known_hosts"));
    let place = serve(Manner::Echo).await;
    let mut target = target(&place);
    target.host_key = policy.clone();
    connect(&target, &place.key).await.unwrap();
    connect(&target, &place.key).await.unwrap();

    let recorded = format!("127.0.0.1:{} SHA256:other\n", place.port);
    fs_err::write(dir.path().join("known_hosts"), recorded).unwrap();
    let error = refusal(&target, &place.key).await;
    let words = error.to_string();
    assert!(words.contains("SHA256:other") && words.contains(&place.fingerprint.to_string()));
    assert!(matches!(
        error,
        TransportError::HostKey { source: HostKeyError::Changed { line: 1, .. }, .. }
    ));
}

#[tokio::test]
async fn a_second_session_is_told_so() {
    for (manner, words) in
        [(Manner::Busy, "busy: another session"), (Manner::NoChannel, "Resource")]
    {
        let place = serve(manner).await;
        let error = refusal(&target(&place), &place.key).await;
        let TransportError::SessionLimit { detail, .. } = &error else { panic!("{error}") };
        assert!(detail.contains(words), "{detail}");
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn a_disconnect_says_why() {
    let place = serve(Manner::Disconnects).await;
    // The farewell may come before the shell is confirmed.
    let error = match connect(&target(&place), &place.key).await {
        Ok(mut console) => read_to(&mut console, "").await.1.unwrap(),
        Err(error) => error,
    };
    assert!(matches!(error, TransportError::Dropped { .. }), "{error}");
}

#[tokio::test]
async fn nobody_and_silence_are_different() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = Place {
        port: listener.local_addr().unwrap().port(),
        fingerprint: Fingerprint::new("x"),
        key: Key::generate().unwrap(),
    };
    // Accepts, and never says a word.
    let options =
        SerialOptions { connect_timeout: Duration::from_secs(2), ..SerialOptions::default() };
    let error = SerialSsh::connect(&target(&place), &place.key, &options).await.err().unwrap();
    assert!(matches!(error, TransportError::TimedOut { doing: "exchanging keys", .. }), "{error}");
    // A port that the kernel gives nobody who asks for any.
    let place = Place { port: 1, ..place };
    let error = refusal(&target(&place), &place.key).await;
    assert!(matches!(error, TransportError::Refused { .. }), "{error}");
}

/// Carries bytes to the server, and drops both connections after some from it.
async fn dropping_proxy(port: u16, after: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let up = tokio::spawn(async move {
            drop(tokio::io::copy(&mut from_client, &mut to_server).await);
        });
        let mut block = [0; 512];
        let mut left = after;
        while left > 0 {
            let size = left.min(block.len());
            let Ok(count @ 1..) = from_server.read(&mut block[..size]).await else { break };
            if to_client.write_all(&block[..count]).await.is_err() {
                break;
            }
            left -= count;
        }
        up.abort();
    });
    near
}

#[tokio::test]
async fn a_drop_at_any_byte_is_an_error_and_never_hangs() {
    let place = serve(Manner::Echo).await;
    // From within the version line to after the shell is there; each must end soon.
    for after in [0, 1, 20, 100, 500, 1000, 1100, 1200, 1300, 1400, 1500, 1600, 1800] {
        let mut target = target(&place);
        target.port = dropping_proxy(place.port, after).await;
        let error = match connect(&target, &place.key).await {
            Err(error) => error,
            Ok(mut console) => read_to(&mut console, "").await.1.unwrap(),
        };
        assert!(error.is_transient(), "after {after} bytes: {error}");
    }
}
