//! A QEMU process, started or found again.
//!
//! Invariant: it outlives a daemon that is killed, so that the next one finds it by the two
//! sockets and the process id in its directory; a daemon that ends by itself ends it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The file with QEMU's process id, which QEMU writes itself.
pub(crate) const PID_FILE: &str = "qemu.pid";
/// What QEMU says itself.
const LOG: &str = "qemu.log";
const MONITOR: &str = "monitor.sock";
const SERIAL: &str = "serial.sock";

/// How long a QEMU that was just started may take to write its process id.
const PID_LIMIT: Duration = Duration::from_secs(30);

/// A QEMU that lives.
#[derive(Debug)]
pub(crate) struct Process {
    /// The guest's serial port.
    pub(crate) serial: UnixStream,
    /// QEMU's monitor.
    pub(crate) qmp: UnixStream,
    /// Becomes readable when it has ended.
    pub(crate) exit: AsyncFd<Arc<OwnedFd>>,
    /// Ends it at once.
    pub(crate) killer: Killer,
    /// Whether it runs its guest by KVM.
    pub(crate) kvm: bool,
}

/// Ends a process, now or when dropped.
#[derive(Debug)]
pub(crate) struct Killer(Arc<OwnedFd>);

impl Killer {
    pub(crate) fn kill(&self) {
        match pidfd_send_signal(&self.0, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => tracing::warn!("cannot end a QEMU process: {error}"),
        }
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.0, Signal::KILL);
    }
}

/// Where QEMU says what it has to say itself.
pub(crate) fn log_path(dir: &Utf8Path) -> Utf8PathBuf {
    dir.join(LOG)
}

/// Starts QEMU in its directory. Its sockets are there, and this daemon is their first
/// client, before it runs: nothing that it says is missed.
pub(crate) async fn spawn(argv: Vec<String>, dir: &Utf8Path) -> io::Result<Process> {
    forget(dir);
    let (monitor, serial) = (bind(dir, MONITOR)?, bind(dir, SERIAL)?);
    let (qmp_client, serial_client) = (connect(dir, MONITOR)?, connect(dir, SERIAL)?);
    let kvm = uses_kvm(argv.iter().map(String::as_str));
    let pidfd = start(argv, dir, monitor, serial).await?;
    process(pidfd, qmp_client, serial_client, kvm)
}

/// The QEMU that an earlier daemon left in a directory, if it still lives.
pub(crate) async fn adopt(dir: &Utf8Path) -> io::Result<Option<Process>> {
    // In this order: who answers at the monitor has seen who waits at the serial port.
    let (Ok(serial), Ok(qmp)) = (connect(dir, SERIAL), connect(dir, MONITOR)) else {
        return Ok(None);
    };
    // Its sockets listen from before its start; its id comes a moment later.
    let deadline = Instant::now() + PID_LIMIT;
    let (pidfd, kvm) = loop {
        match find(dir) {
            Some(found) => break found,
            None if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            None => return Err(io::Error::other(format!("{dir}: QEMU lives without its id"))),
        }
    };
    process(Arc::new(pidfd), qmp, serial, kvm).map(Some)
}

/// Whether a QEMU was started here and nobody has seen its end.
pub(crate) fn was_left(dir: &Utf8Path) -> bool {
    dir.join(PID_FILE).exists()
}

/// Removes what tells of a QEMU that has ended.
pub(crate) fn forget(dir: &Utf8Path) {
    for name in [SERIAL, MONITOR, PID_FILE] {
        // QEMU removes its own when it ends by itself.
        let _ = fs_err::remove_file(dir.join(name));
    }
}

/// Ends the QEMU of a directory, if one lives there, and waits until it has. Blocking.
pub(crate) fn end_left(dir: &Utf8Path) -> bool {
    let deadline = std::time::Instant::now() + PID_LIMIT;
    // Its directory is its own: as long as somebody listens there, it is there, and when nobody
    // does, it is gone. One that was only just started has not written its id yet.
    let lives = || connect(dir, MONITOR).is_ok() && std::time::Instant::now() < deadline;
    let found = loop {
        match find(dir) {
            Some((pidfd, _)) => break pidfd,
            None if lives() => std::thread::sleep(Duration::from_millis(5)),
            None => return false,
        }
    };
    if pidfd_send_signal(&found, Signal::KILL).is_err() {
        return false;
    }
    while lives() {
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// The process that the directory names, if it is a QEMU and this directory's.
fn find(dir: &Utf8Path) -> Option<(OwnedFd, bool)> {
    let pid: i32 = fs_err::read_to_string(dir.join(PID_FILE)).ok()?.trim().parse().ok()?;
    // Opened before it is looked at: an id may be another process's by now.
    let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    let same = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?
        == dir.canonicalize_utf8().ok()?.as_std_path();
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line).into_owned();
    let words: Vec<&str> = line.split('\0').collect();
    (same && words.contains(&PID_FILE)).then(|| (pidfd, uses_kvm(words.into_iter())))
}

fn uses_kvm<'a>(mut argv: impl Iterator<Item = &'a str>) -> bool {
    argv.any(|word| word == "-accel") && argv.next() == Some("kvm")
}

async fn start(
    argv: Vec<String>,
    dir: &Utf8Path,
    monitor: UnixListener,
    serial: UnixListener,
) -> io::Result<Arc<OwnedFd>> {
    let (started, start) = oneshot::channel();
    let dir = dir.to_owned();
    std::thread::Builder::new().name("qemu".to_owned()).spawn(move || {
        let handle = duct::cmd(&argv[0], &argv[1..])
            .dir(&dir)
            .stdin_file(monitor)
            .stdout_file(serial)
            .stderr_path(log_path(&dir))
            // Nobody's Ctrl-C is meant for it.
            .before_spawn(|command| {
                command.process_group(0);
                Ok(())
            })
            .unchecked()
            .start();
        match handle {
            Err(error) => {
                let _ = started.send(Err(error));
            }
            Ok(handle) => {
                // Not waited for yet, so the id is still its own.
                let pid = handle.pids().first().and_then(|pid| i32::try_from(*pid).ok());
                let pidfd = pid
                    .and_then(Pid::from_raw)
                    .ok_or_else(|| io::Error::other("a process without an id"))
                    .and_then(|pid| Ok(pidfd_open(pid, PidfdFlags::empty())?));
                let _ = started.send(pidfd.map(Arc::new));
                let _ = handle.wait();
            }
        }
    })?;
    start.await.map_err(io::Error::other)?
}

fn process(
    pidfd: Arc<OwnedFd>,
    qmp: std::os::unix::net::UnixStream,
    serial: std::os::unix::net::UnixStream,
    kvm: bool,
) -> io::Result<Process> {
    let killer = Killer(pidfd.clone());
    qmp.set_nonblocking(true)?;
    serial.set_nonblocking(true)?;
    #[expect(deprecated, reason = "an owned descriptor stays what it is; its successor is unsafe")]
    let exit = AsyncFd::with_interest(pidfd, Interest::READABLE)?;
    let (serial, qmp) = (UnixStream::from_std(serial)?, UnixStream::from_std(qmp)?);
    Ok(Process { serial, qmp, exit, killer, kvm })
}

fn bind(dir: &Utf8Path, name: &str) -> io::Result<UnixListener> {
    let (_open, path) = short(dir, name)?;
    UnixListener::bind(path)
}

fn connect(dir: &Utf8Path, name: &str) -> io::Result<std::os::unix::net::UnixStream> {
    let (_open, path) = short(dir, name)?;
    std::os::unix::net::UnixStream::connect(path)
}

/// A socket's address has room for 107 bytes, which a state directory may well exceed: the
/// open directory has a short name too.
fn short(dir: &Utf8Path, name: &str) -> io::Result<(std::fs::File, String)> {
    use std::os::fd::AsRawFd as _;
    let open = std::fs::File::open(dir)?;
    let path = format!("/proc/self/fd/{}/{name}", open.as_raw_fd());
    Ok((open, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_has_not_yet_written_its_id_is_ended_too() {
        let dir = camino_tempfile::tempdir().unwrap();
        assert!(!end_left(dir.path()));
        let monitor = bind(dir.path(), MONITOR).unwrap();
        let script = format!("sleep 0.3; echo $$ >{PID_FILE}; exec tail -f /dev/null {PID_FILE}");
        let started = duct::cmd!("sh", "-c", script)
            .dir(dir.path())
            .stdin_file(monitor)
            .stdout_null()
            .unchecked()
            .start()
            .unwrap();
        assert!(end_left(dir.path()));
        assert!(!started.wait().unwrap().status.success());
        assert!(!end_left(dir.path()));
    }
}
