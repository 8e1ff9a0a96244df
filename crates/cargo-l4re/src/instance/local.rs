//! Consoles that are no instance's: recorded logs, sockets, pipes.

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

/// Shows a local console as that of an instance is shown.
pub async fn attach_local(
    context: &Context,
    from: &str,
    mut attachment: Attachment,
    interrupt: &Interrupt,
) -> Result<Ending, Failure> {
    if context.environment.folder().join(from).is_dir() {
        let text = format!("`{from}` is a folder: name a recorded console, a socket or a pipe");
        return Err(Failure::Usage(text));
    }
    let place = place(context, from);
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
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
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
    fn hosts_have_ports() {
        assert_eq!(host_and_port("localhost:1"), Some(("localhost".into(), 1)));
        assert_eq!(host_and_port("[::1]:65535"), Some(("::1".into(), 65535)));
        for other in ["file.log", "a:b", "a:65536", ":"] {
            assert_eq!(host_and_port(other), None, "{other}");
        }
    }
}
