//! A console on a local byte stream: a Unix socket, TCP, or a pair of pipes.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use camino::Utf8Path;
use futures::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use super::typist::{NotTaken, ToSend, Typist};
use super::{BoxFuture, Chunk, ChunkKind, Received, Transport, TransportError};

const BLOCK: usize = 64 * 1024;
const CONNECT: Duration = Duration::from_secs(10);

/// A console on a byte stream.
pub struct SocketConsole {
    address: String,
    reader: Box<dyn AsyncRead + Send + Unpin>,
    typist: Option<Typist>,
    block: BytesMut,
    ended: bool,
}

impl SocketConsole {
    /// Connects to a Unix socket.
    pub async fn unix(path: &Utf8Path) -> Result<Self, TransportError> {
        let address = path.to_string();
        let stream = connected(UnixStream::connect(path), &address).await?;
        let (reader, writer) = stream.into_split();
        Ok(Self::over(address, Box::new(reader), Some(Box::new(writer))))
    }

    /// Connects to a TCP port.
    pub async fn tcp(host: &str, port: u16) -> Result<Self, TransportError> {
        let address = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let stream = connected(TcpStream::connect((host, port)), &address).await?;
        let (reader, writer) = stream.into_split();
        Ok(Self::over(address, Box::new(reader), Some(Box::new(writer))))
    }

    /// Takes any byte stream; without `writer` nothing can be typed.
    #[must_use]
    pub fn over(
        address: String,
        reader: Box<dyn AsyncRead + Send + Unpin>,
        writer: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    ) -> Self {
        let typist = writer.map(|writer| Typist::new(|typed| send(writer, typed)));
        Self { address, reader, typist, block: BytesMut::new(), ended: false }
    }

    async fn next_block(&mut self) -> Result<Received, TransportError> {
        if self.ended {
            return Ok(Received::End);
        }
        self.block.reserve(BLOCK);
        match self.reader.read_buf(&mut self.block).await {
            Ok(0) => {
                self.ended = true;
                Ok(Received::End)
            }
            Ok(_) => {
                let bytes = self.block.split().freeze();
                Ok(Received::Chunk(Chunk { bytes, at: Instant::now(), kind: ChunkKind::Live }))
            }
            Err(source) => {
                self.ended = true;
                Err(TransportError::Dropped {
                    address: self.address.clone(),
                    detail: source.to_string(),
                })
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        let Some(typist) = &mut self.typist else {
            return Err(TransportError::ReadOnly { what: "this console" });
        };
        let address = || self.address.clone();
        typist.send(bytes).map_err(|error| match error {
            NotTaken::Full => TransportError::Stuck { address: address() },
            NotTaken::Gone => {
                let source = io::ErrorKind::BrokenPipe.into();
                TransportError::Io { address: address(), source }
            }
        })
    }
}

/// Sends what is typed, to its end or that of the other side, of which readers are told.
async fn send(mut writer: Box<dyn AsyncWrite + Send + Unpin>, mut typed: ToSend) {
    while let Some(bytes) = typed.next().await {
        if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
    // The other side may be gone already; then there is nothing left to close.
    drop(writer.shutdown().await);
}

async fn connected<S>(
    connecting: impl Future<Output = io::Result<S>>,
    address: &str,
) -> Result<S, TransportError> {
    match timeout(CONNECT, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(source)) => Err(super::channel::connect_error(address, source)),
        Err(_) => Err(TransportError::TimedOut {
            address: address.to_owned(),
            seconds: CONNECT.as_secs(),
            doing: "connecting",
        }),
    }
}

impl Transport for SocketConsole {
    fn read(&mut self) -> BoxFuture<'_, Result<Received, TransportError>> {
        self.next_block().boxed()
    }

    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), TransportError>> {
        let sent = self.send(bytes);
        async { sent }.boxed()
    }

    fn send_break(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        async { Err(TransportError::NoBreak { what: "a socket" }) }.boxed()
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        self.ended = true;
        async {
            if let Some(mut typist) = self.typist.take() {
                typist.finish().await;
            }
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_go_both_ways_over_a_unix_socket() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("console.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let mut console = SocketConsole::unix(&path).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        peer.write_all(b"hello").await.unwrap();
        let Received::Chunk(chunk) = console.read().await.unwrap() else { panic!("no chunk") };
        assert_eq!(&chunk.bytes[..], b"hello");
        console.write(b"typed").await.unwrap();
        let mut typed = [0; 5];
        peer.read_exact(&mut typed).await.unwrap();
        assert_eq!(&typed, b"typed");
        drop(peer);
        assert_eq!(console.read().await.unwrap(), Received::End);
    }

    /// A guest that echoes what it takes, and waits until its echo is read.
    #[tokio::test]
    async fn a_paste_and_its_echo_do_not_wait_for_each_other() {
        const PASTE: usize = 900_000;
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("console.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let mut console = SocketConsole::unix(&path).await.unwrap();
        let (peer, _) = listener.accept().await.unwrap();
        let (mut reads, mut writes) = peer.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut reads, &mut writes).await });
        for piece in vec![b'x'; PASTE].chunks(1024) {
            console.write(piece).await.unwrap();
        }
        let mut echoed = 0;
        while echoed < PASTE {
            let Received::Chunk(chunk) = console.read().await.unwrap() else { panic!("the end") };
            echoed += chunk.bytes.len();
        }
        assert_eq!(echoed, PASTE);
    }

    #[tokio::test]
    async fn a_machine_that_takes_nothing_is_said_and_holds_nothing_up() {
        let (console, machine) = tokio::io::duplex(16);
        let (reader, writer) = tokio::io::split(console);
        let mut console =
            SocketConsole::over("here".into(), Box::new(reader), Some(Box::new(writer)));
        let error = loop {
            if let Err(error) = console.write(&[b'x'; 1024]).await {
                break error;
            }
        };
        assert!(error.to_string().contains("takes nothing"), "{error}");
        console.close().await.unwrap();
        drop(machine);
    }

    #[tokio::test]
    async fn nobody_listening_is_refused() {
        // A port that the kernel gives nobody who asks for any.
        let error = SocketConsole::tcp("127.0.0.1", 1).await.err().unwrap();
        assert!(matches!(error, TransportError::Refused { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_missing_socket_names_its_path() {
        let error = SocketConsole::unix(Utf8Path::new("/no/such.sock")).await.err().unwrap();
        assert!(error.to_string().contains("/no/such.sock"), "{error}");
    }
}
