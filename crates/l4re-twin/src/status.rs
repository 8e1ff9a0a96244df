//! What is known of a running twin from outside: `twin.json` in the state directory, and
//! the locks that tell whether a daemon has the directory and whether the file is its own.
//!
//! Invariant: the file is believed only while the daemon that wrote it holds it; neither a
//! process id nor a daemon that has the directory proves anything of a file that it finds there.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::state::{end_resting, files, resting};
use crate::{Freed, TwinError, machine};

/// Where the daemon takes the request to end.
pub(crate) const STOP_PATH: &str = "/_l4re-twin/stop";
/// Where it takes the request to free disk: `?age=` in seconds.
pub(crate) const FREE_PATH: &str = "/_l4re-twin/free";
/// The header with the control token.
pub(crate) const TOKEN_HEADER: &str = "x-l4re-twin-token";
/// How long those who only look at a lock may be in the way of one who takes it.
const LOOKERS: Duration = Duration::from_secs(30);

/// What `twin.json` says: all that a client needs. It holds secrets; the file's mode is 600.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's process.
    pub pid: u32,
    /// The endpoint of all services, such as `http://127.0.0.1:41234`.
    pub endpoint: String,
    /// The region that the twin plays.
    pub region: String,
    /// The access key of this twin.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// The account that owns everything here.
    pub account_id: String,
    /// The serial console's SSH address, `127.0.0.1:port`.
    pub serial_console: String,
    /// Its host key, `SHA256:` and base64 without padding.
    pub serial_console_fingerprint: String,
    /// Where guests find the object store, `http://169.254.169.253`.
    pub fetch_endpoint: String,
    /// `kvm` or `tcg`, as found by the probe.
    pub accel: String,
    /// Whether what runs guests that may be hypervisors is TCG nevertheless.
    #[serde(default)]
    pub hypervisors_by_tcg: bool,
    /// The version of this crate.
    pub version: String,
    /// The settings that it was started with, in words: [`crate::Config::settings`].
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// What a request to end the daemon must carry.
    pub control_token: String,
}

impl Status {
    /// The file in a state directory.
    pub(crate) fn path(dir: &Utf8Path) -> Utf8PathBuf {
        dir.join("twin.json")
    }

    /// Says it, for as long as what this gives is held.
    pub(crate) fn publish(&self, dir: &Utf8Path) -> Result<File, TwinError> {
        files::write_json_held(&Self::path(dir), self)
    }
}

/// The twin that runs with this state directory and is ready, if any.
pub fn status(dir: &Utf8Path) -> Result<Option<Status>, TwinError> {
    let path = Status::path(dir);
    let Some(mut file) = open(&path)? else { return Ok(None) };
    if !is_held_by_a_daemon(&file, &path)? {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(TwinError::file(&path))?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| TwinError::Damaged { path, detail: error.to_string() })
}

/// Asks the daemon to end and waits until it has, no longer than `limit`. Machines that a
/// killed daemon left are ended, too. `false`: nothing ran.
pub fn stop(dir: &Utf8Path, limit: Duration) -> Result<bool, TwinError> {
    let deadline = Instant::now() + limit;
    // A daemon that is still starting has not said yet where it can be asked.
    let status = loop {
        match status(dir)? {
            Some(status) => break status,
            None if !is_held(dir)? => return end_left(dir),
            None if Instant::now() >= deadline => {
                return Err(TwinError::NotStopped { pid: 0, detail: "it is not ready".to_owned() });
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let not_stopped = |detail: String| TwinError::NotStopped { pid: status.pid, detail };
    // It may end before its answer is out: only the lock tells.
    let asked = ask_to_end(&status);
    // Whoever holds it next is another.
    let still_there = || {
        let other = matches!(self::status(dir), Ok(Some(now)) if now.pid != status.pid);
        is_held(dir).map(|held| held && !other)
    };
    while still_there()? {
        if Instant::now() >= deadline {
            let why = asked.err().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(not_stopped(format!("it still runs after {limit:?}{why}")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // It ends its machines itself, unless it was killed.
    match end_left(dir) {
        Ok(_) | Err(TwinError::AlreadyRunning { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Ends the machines that a killed daemon left, and says so in their records.
fn end_left(dir: &Utf8Path) -> Result<bool, TwinError> {
    if !dir.is_dir() {
        return Ok(false);
    }
    let _lock = Lock::take(dir)?;
    let mut ended = machine::end_left(&machine::probe_dir(dir));
    for (dir, instance) in resting(dir)? {
        ended |= machine::end_left(&dir);
        if let Some(instance) = instance.filter(|instance| instance.state.is_alive()) {
            end_resting(&dir, instance)?;
        }
    }
    Ok(ended)
}

fn ask_to_end(status: &Status) -> io::Result<()> {
    ask(status, STOP_PATH, Duration::from_secs(10)).map(|_| ())
}

/// Asks the daemon to free disk.
pub(crate) fn ask_to_free(status: &Status, age: Duration) -> Result<Freed, TwinError> {
    let path = format!("{FREE_PATH}?age={}", age.as_secs());
    let answer = ask(status, &path, Duration::from_secs(120))
        .and_then(|body| Ok(serde_json::from_str(&body)?));
    answer.map_err(|error| TwinError::NotFreed { pid: status.pid, detail: error.to_string() })
}

/// One request to the daemon itself; gives the body of its answer.
fn ask(status: &Status, path: &str, limit: Duration) -> io::Result<String> {
    let address = status.endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(limit))?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\n{TOKEN_HEADER}: {}\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n",
        status.control_token
    )?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 20") => Ok(body.to_owned()),
        _ => {
            let line = answer.lines().next().unwrap_or_default();
            Err(io::Error::other(format!("it answers '{line}'")))
        }
    }
}

/// The lock that a daemon holds as long as it lives.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: Utf8PathBuf,
}

impl Lock {
    /// Takes the lock of a state directory, which is made if it is not there.
    pub(crate) fn take(dir: &Utf8Path) -> Result<Self, TwinError> {
        // What guests print and what clients store is nobody else's to read.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(TwinError::file(dir))?;
        let path = path(dir);
        let file = File::create(&path).map_err(TwinError::file(&path))?;
        // Somebody who only looks shares it, for an instant, which may be long on a busy machine.
        // A daemon does not, and is not waited for: who waited would come to life when that one
        // is told to stop.
        let deadline = Instant::now() + LOOKERS;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file, path }),
                Err(TryLockError::WouldBlock) if !is_held_by_a_daemon(&file, &path)? => {
                    if Instant::now() >= deadline {
                        return Err(TwinError::AlreadyRunning { dir: dir.to_owned() });
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(TwinError::AlreadyRunning { dir: dir.to_owned() });
                }
                Err(TryLockError::Error(error)) => return Err(TwinError::file(path)(error)),
            }
        }
    }
}

impl Lock {
    /// Whether the lock is still that of the directory. Who removes the directory takes it
    /// from the daemon, and another may hold the new one.
    pub(crate) fn is_in_place(&self) -> bool {
        let place = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let held = self.file.metadata().map(place);
        let there = std::fs::metadata(&self.path).map(place);
        matches!((held, there), (Ok(held), Ok(there)) if held == there)
    }
}

/// Whether a daemon has the directory, be it that it still starts or that it is about to end.
pub fn is_held(dir: &Utf8Path) -> Result<bool, TwinError> {
    let path = path(dir);
    open(&path)?.map_or(Ok(false), |file| is_held_by_a_daemon(&file, &path))
}

fn open(path: &Utf8Path) -> Result<Option<File>, TwinError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TwinError::file(path)(error)),
    }
}

fn is_held_by_a_daemon(file: &File, path: &Utf8Path) -> Result<bool, TwinError> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false).map_err(TwinError::file(path)),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(TwinError::file(path)(error)),
    }
}

fn path(dir: &Utf8Path) -> Utf8PathBuf {
    dir.join("lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_the_lock_is_stale_and_a_second_daemon_is_refused() {
        let dir = camino_tempfile::tempdir().unwrap();
        assert_eq!(status(dir.path()).unwrap(), None);
        fs_err::write(Status::path(dir.path()), "not even JSON").unwrap();
        assert_eq!(status(dir.path()).unwrap(), None);
        assert!(!stop(dir.path(), Duration::from_secs(1)).unwrap());
        let lock = Lock::take(dir.path()).unwrap();
        assert!(matches!(Lock::take(dir.path()), Err(TwinError::AlreadyRunning { .. })));
        // A daemon that has the directory has not yet removed what an earlier one said.
        assert_eq!(status(dir.path()).unwrap(), None);
        let said = File::open(Status::path(dir.path())).unwrap();
        said.lock().unwrap();
        assert!(matches!(status(dir.path()), Err(TwinError::Damaged { .. })));
        drop((lock, said));
        assert_eq!(status(dir.path()).unwrap(), None);
        let lock = Lock::take(dir.path()).unwrap();
        assert!(lock.is_in_place());
        fs_err::remove_file(path(dir.path())).unwrap();
        assert!(!lock.is_in_place());
        Lock::take(dir.path()).unwrap();
        assert!(!lock.is_in_place());
    }

    #[test]
    fn machines_of_a_daemon_that_is_killed_while_it_is_told_to_stop_are_ended() {
        let dir = camino_tempfile::tempdir().unwrap();
        let instance = dir.path().join("instances/i-0");
        fs_err::create_dir_all(&instance).unwrap();
        let monitor =
            std::os::unix::net::UnixListener::bind(instance.join("monitor.sock")).unwrap();
        let machine = duct::cmd!("sh", "-c", "echo $$ >qemu.pid; exec tail -f /dev/null qemu.pid")
            .dir(&instance)
            .stdin_file(monitor)
            .stdout_null()
            .unchecked()
            .start()
            .unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        let status = Status {
            pid: u32::MAX,
            endpoint: "http://127.0.0.1:1".to_owned(),
            region: String::new(),
            access_key_id: String::new(),
            secret_access_key: String::new(),
            account_id: String::new(),
            serial_console: String::new(),
            serial_console_fingerprint: String::new(),
            fetch_endpoint: String::new(),
            accel: String::new(),
            hypervisors_by_tcg: false,
            version: String::new(),
            settings: BTreeMap::new(),
            control_token: String::new(),
        };
        let said = status.publish(dir.path()).unwrap();
        assert_eq!(super::status(dir.path()).unwrap().as_ref(), Some(&status));
        // What is killed keeps its locks for a moment.
        let dies = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop((lock, said));
        });
        assert!(stop(dir.path(), Duration::from_secs(120)).unwrap());
        dies.join().unwrap();
        assert!(!machine.wait().unwrap().status.success());
    }
}
