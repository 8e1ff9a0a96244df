//! A QEMU process. Invariant: it ends with the daemon, however the daemon ends. The thread
//! that starts it waits for it, since the kernel ties the child's death signal to that
//! thread's life, not to the process's.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::ExitStatus;
use std::sync::Arc;

use camino::Utf8Path;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

/// A QEMU that was started.
#[derive(Debug)]
pub(crate) struct Process {
    /// The guest's serial port.
    pub(crate) serial: UnixStream,
    /// QEMU's monitor.
    pub(crate) qmp: UnixStream,
    /// Resolves when it has ended.
    pub(crate) exit: oneshot::Receiver<io::Result<ExitStatus>>,
    /// Ends it at once.
    pub(crate) killer: Killer,
}

/// Ends a process, now or when dropped.
#[derive(Debug)]
pub(crate) struct Killer(Arc<duct::Handle>);

impl Killer {
    pub(crate) fn kill(&self) {
        if let Err(error) = self.0.kill() {
            tracing::warn!("cannot end a QEMU process: {error}");
        }
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

/// Starts QEMU; what it says itself goes to `log`.
pub(crate) async fn spawn(argv: Vec<String>, log: &Utf8Path) -> io::Result<Process> {
    let (serial, serial_child) = StdUnixStream::pair()?;
    let (qmp, qmp_child) = StdUnixStream::pair()?;
    let (started, start) = oneshot::channel();
    let (ended, exit) = oneshot::channel();
    let log = log.to_owned();
    std::thread::Builder::new().name("qemu".to_owned()).spawn(move || {
        let handle = duct::cmd(&argv[0], &argv[1..])
            .stdin_file(qmp_child)
            .stdout_file(serial_child)
            .stderr_path(log)
            .unchecked()
            .start()
            .map(Arc::new);
        match handle {
            Err(error) => {
                let _ = started.send(Err(error));
            }
            Ok(handle) => {
                let _ = started.send(Ok(handle.clone()));
                let _ = ended.send(handle.wait().map(|output| output.status));
            }
        }
    })?;
    let handle = start.await.map_err(io::Error::other)??;
    let killer = Killer(handle);
    serial.set_nonblocking(true)?;
    qmp.set_nonblocking(true)?;
    Ok(Process {
        serial: UnixStream::from_std(serial)?,
        qmp: UnixStream::from_std(qmp)?,
        exit,
        killer,
    })
}
