//! Consoles that are no instance's: recorded logs, sockets, pipes.

use std::io::Read as _;
use std::os::unix::fs::FileTypeExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use l4re_console::phase::Start;
use l4re_console::transport::{Replay, SocketConsole, Transport, TransportError};
use tokio::net::unix::pipe;

use super::Attachment;
use super::attach::{Console, Ending, watch};
use super::log_file;
use crate::commands::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::target::default_name;

/// Where a local console is.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Stdin,
    /// Nothing more will come, and it needs no log: it is one.
    Recorded(Utf8PathBuf),
    /// Nobody may have opened its other end yet.
    Pipe(Utf8PathBuf),
    /// A serial port, for instance.
    Device(Utf8PathBuf),
    Socket(Utf8PathBuf),
    Tcp(String, u16),
}

/// Refuses to write over the recorded console that is to be read.
pub fn keeps_source(
    context: &Context,
    from: &str,
    written: [(&str, Option<&Utf8Path>); 2],
) -> Result<(), Failure> {
    let source = ("--from", Some(Utf8Path::new(from)).filter(|_| from != "-"));
    written.into_iter().try_for_each(|place| log_file::are_apart(context, [source, place]))
}

/// Shows a local console as that of an instance is shown.
pub async fn attach_local(
    context: &Context,
    from: &str,
    mut attachment: Attachment,
    interrupt: &Interrupt,
) -> Result<Ending, Failure> {
    let place = place(context, from);
    if let Some(wrong) = unreadable(from, &place) {
        return Err(Failure::Usage(wrong));
    }
    let transport = tokio::select! {
        opened = open(&place) => opened.map_err(std::io::Error::other)?,
        () = interrupt.asked() => return Err(Failure::Interrupted),
    };
    let mut log = None;
    let mut log_path = context.environment.folder().join(from);
    let recorded = matches!(place, Place::Recorded(_));
    if !recorded || attachment.log.is_some() {
        let file = log_file::open(context, &default_name(from), &attachment)?;
        file.path().clone_into(&mut log_path);
        log = Some(file);
    }
    attachment.end_on_fault |= recorded;
    let takes_keys = matches!(place, Place::Socket(_) | Place::Tcp(..));
    attachment.start = if takes_keys { Start::Attached } else { Start::Boot };
    let end = Box::pin(std::future::pending());
    let title = from.to_owned();
    let usual_wait = None;
    let console = Console { transport, title, log, log_path, takes_keys, usual_wait, end };
    watch(context, console, attachment, interrupt).await
}

/// Why a place shows no console although it can be opened.
fn unreadable(from: &str, place: &Place) -> Option<String> {
    const INSTEAD: &str = "name a recorded console, a socket or a pipe";
    match place {
        _ if from.is_empty() => Some(format!("`--from` names nothing: {INSTEAD}")),
        Place::Recorded(path) => {
            let reader = reader_of(path)?;
            Some(format!(
                "`{from}` is compressed: `{reader} {from} | cargo l4re console --from -` reads it"
            ))
        }
        Place::Device(path) if path.is_dir() => Some(format!("`{from}` is a folder: {INSTEAD}")),
        _ => None,
    }
}

/// What reads a file that is compressed, by its first bytes.
fn reader_of(path: &Utf8Path) -> Option<&'static str> {
    let mut start = Vec::new();
    // What cannot be read is said when it is opened.
    fs_err::File::open(path).ok()?.take(6).read_to_end(&mut start).ok()?;
    match start.as_slice() {
        [0x1f, 0x8b, ..] => Some("zcat"),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Some("xzcat"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstdcat"),
        _ => None,
    }
}

fn place(context: &Context, from: &str) -> Place {
    if from == "-" {
        return Place::Stdin;
    }
    let path = context.environment.folder().join(from);
    match fs_err::metadata(&path) {
        Ok(file) if file.file_type().is_socket() => Place::Socket(path),
        Ok(file) if file.file_type().is_fifo() => Place::Pipe(path),
        Ok(file) if !file.is_file() => Place::Device(path),
        Err(_) if let Some((host, port)) = host_and_port(from) => Place::Tcp(host, port),
        // One that is not there is said as such when it is opened.
        _ => Place::Recorded(path),
    }
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_matches(['[', ']']);
    Some((host.to_owned(), port.parse().ok()?)).filter(|_| !host.is_empty())
}

fn io(path: &Utf8Path) -> impl FnOnce(std::io::Error) -> TransportError {
    move |source| TransportError::Io { address: path.to_string(), source }
}

async fn open(place: &Place) -> Result<Box<dyn Transport>, TransportError> {
    Ok(match place {
        Place::Stdin => {
            let stdin = Box::new(tokio::io::stdin());
            Box::new(SocketConsole::over("stdin".to_owned(), stdin, None))
        }
        Place::Recorded(path) => Box::new(Replay::open(path)?),
        // Without a wait for who writes to it: limits and Ctrl-C hold from the start.
        Place::Pipe(path) => {
            let pipe = pipe::OpenOptions::new().open_receiver(path).map_err(io(path))?;
            Box::new(SocketConsole::over(path.to_string(), Box::new(pipe), None))
        }
        Place::Device(path) => {
            let device = tokio::fs::File::open(path).await.map_err(io(path))?;
            Box::new(SocketConsole::over(path.to_string(), Box::new(device), None))
        }
        Place::Socket(path) => Box::new(SocketConsole::unix(path).await?),
        Place::Tcp(host, port) => Box::new(SocketConsole::tcp(host, *port).await?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_is_no_console() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        for (start, reader) in [
            (&b"\x1f\x8b\x08"[..], Some("zcat")),
            (b"\xfd7zXZ\0\0", Some("xzcat")),
            (b"\x28\xb5\x2f\xfd ", Some("zstdcat")),
            (b"L4 Bootstrapper", None),
            (b"", None),
        ] {
            fs_err::write(&path, start).unwrap();
            assert_eq!(reader_of(&path), reader, "{start:?}");
        }
    }

    #[test]
    fn hosts_have_ports() {
        assert_eq!(host_and_port("localhost:1"), Some(("localhost".into(), 1)));
        assert_eq!(host_and_port("[::1]:65535"), Some(("::1".into(), 65535)));
        for other in ["file.log", "a:b", "a:65536", ":", ":1", "[]:1"] {
            assert_eq!(host_and_port(other), None, "{other}");
        }
    }
}
