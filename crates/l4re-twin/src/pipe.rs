//! The program that QEMU starts per guest connection: stdin and stdout on one side, the
//! daemon's guest port on the other.
//!
//! Invariant: it says nothing itself, for what it printed the guest would read; the end of
//! either direction is passed on, and it ends with the daemon's side.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::{Duration, Instant};

use camino::Utf8Path;

use crate::guest::Preface;

/// How long a guest's connection waits for a daemon.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Bridges stdin and stdout to the daemon until the daemon has closed its side. `args` are
/// those that the daemon appended to [`crate::Config::pipe_command`].
pub fn pipe(args: &[String]) -> io::Result<()> {
    let [file, instance, service] = args else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "FILE INSTANCE SERVICE expected"));
    };
    let (mut daemon, preface) = reach(Utf8Path::new(file))?;
    daemon.set_nodelay(true)?;
    daemon.write_all(preface.line(instance, service).as_bytes())?;
    let mut to_daemon = daemon.try_clone()?;
    // Not joined: the guest may keep its side open after the daemon has answered all.
    std::thread::spawn(move || {
        let _ = copy(&mut io::stdin().lock(), &mut to_daemon);
        let _ = to_daemon.shutdown(Shutdown::Write);
    });
    let result = copy(&mut daemon, &mut io::stdout().lock());
    // QEMU gives one socket as both; its end is passed on before the process is gone.
    let _ = rustix::net::shutdown(io::stdout(), rustix::net::Shutdown::Write);
    result
}

/// The daemon, or the next one: a guest's connection may come while there is none.
fn reach(file: &Utf8Path) -> io::Result<(TcpStream, Preface)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reached = fs_err::read(file).and_then(|bytes| {
            let preface: Preface = serde_json::from_slice(&bytes)?;
            Ok((TcpStream::connect((Ipv4Addr::LOCALHOST, preface.port))?, preface))
        });
        match reached {
            Err(_) if Instant::now() < deadline => std::thread::sleep(LOOK),
            reached => return reached,
        }
    }
}

/// Copies and passes on at once what came.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(&buffer[..count])?;
                to.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
