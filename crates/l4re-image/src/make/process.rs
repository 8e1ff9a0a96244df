//! One child process with all its descendants: started, its output passed on, ended for sure.
//!
//! Invariants: stdout and stderr are one pipe, so their order is the order of writing; the
//! pipe is drained while the child runs; the child leads a process group of its own, and all
//! of the group is killed when this module is left by cancelling or unwinding.

use std::io::{self, PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::MakeError;

/// How long the group may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(3);
/// How long output is awaited after the child ended, when something still holds the pipe.
const DRAIN: Duration = Duration::from_secs(1);
/// How long is waited for killed processes to be gone. No longer, since in a container whose
/// first process reaps nobody they stay as zombies.
const GONE: Duration = Duration::from_millis(500);
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(50);

/// Stops a running [`make`](super::make) from another thread.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    group: Option<Pid>,
}

impl Cancel {
    /// Stops make and all that it started; if it has not started yet, it will not.
    ///
    /// They are asked to end (so that make removes half-written targets), and killed if they
    /// have not ended after three seconds.
    pub fn cancel(&self) {
        let mut state = self.state();
        state.cancelled = true;
        state.signal(Signal::TERM);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.state().cancelled
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // The group may have ended by itself: then there is nothing to stop.
            let _ = kill_process_group(group, signal);
        }
    }
}

/// Runs a command to its end, its output passed on as it comes.
pub(super) fn run(
    argv: &[String],
    cancel: &Cancel,
    on_output: &mut dyn FnMut(&[u8]),
) -> Result<ExitStatus, MakeError> {
    if cancel.is_cancelled() {
        return Err(MakeError::Cancelled);
    }
    let (group, messages) = Group::start(argv, cancel)?;
    let status = pass_on(&messages, &group, on_output).map_err(MakeError::Run)?;
    match cancel.is_cancelled() {
        true => Err(MakeError::Cancelled),
        false => Ok(status),
    }
}

enum Message {
    Output(Vec<u8>),
    Closed,
    Exited(io::Result<ExitStatus>),
}

fn pass_on(
    messages: &Receiver<Message>,
    group: &Group<'_>,
    on_output: &mut dyn FnMut(&[u8]),
) -> io::Result<ExitStatus> {
    let (mut closed, mut exited) = (false, None);
    let (mut kill_at, mut waited) = (None, Duration::ZERO);
    loop {
        let begin = Instant::now();
        let message = messages.recv_timeout(TICK);
        if exited.is_some() {
            waited += begin.elapsed();
        }
        match message {
            Ok(Message::Output(bytes)) => on_output(&bytes),
            Ok(Message::Closed) => closed = true,
            Ok(Message::Exited(status)) => exited = Some(status?),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => closed = true,
        }
        if let Some(status) = exited.filter(|_| closed || waited >= DRAIN) {
            return Ok(status);
        }
        let past = |at: Option<Instant>| at.is_some_and(|at| Instant::now() >= at);
        if kill_at.is_none() && group.cancel.is_cancelled() {
            kill_at = Some(Instant::now() + GRACE);
        }
        if past(kill_at) {
            group.cancel.state().signal(Signal::KILL);
        }
    }
}

/// A running process group; killed when dropped.
struct Group<'a> {
    cancel: &'a Cancel,
    handle: Arc<duct::Handle>,
}

impl<'a> Group<'a> {
    fn start(argv: &[String], cancel: &'a Cancel) -> Result<(Self, Receiver<Message>), MakeError> {
        let program = argv.first().cloned().unwrap_or_default();
        let failed = |source| MakeError::Start { program: program.clone(), source };
        let (reader, writer) = io::pipe().map_err(failed)?;
        // The expression owns the pipe's other end: it must be gone for the pipe to close.
        let handle = duct::cmd(&program, argv.get(1..).unwrap_or_default())
            .stderr_to_stdout()
            .stdout_file(writer)
            .stdin_null()
            .unchecked()
            .before_spawn(|command| {
                command.process_group(0);
                Ok(())
            })
            .start()
            .map(Arc::new)
            .map_err(failed)?;
        let group = Self { cancel, handle };
        group.register();
        let (sender, receiver) = sync_channel(16);
        group.spawn_waiter(sender.clone());
        thread::spawn(move || read_all(reader, &sender));
        Ok((group, receiver))
    }

    fn register(&self) {
        let mut state = self.cancel.state();
        let pid = self.handle.pids().first().copied();
        state.group = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if state.cancelled {
            state.signal(Signal::TERM);
        }
    }

    fn spawn_waiter(&self, sender: SyncSender<Message>) {
        let handle = Arc::clone(&self.handle);
        thread::spawn(move || {
            let status = handle.wait().map(|output| output.status);
            // Nobody listens any more when the run was given up.
            let _ = sender.send(Message::Exited(status));
        });
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        let (cancelled, group) = {
            let mut state = self.cancel.state();
            (state.cancelled, state.group.take())
        };
        if !cancelled && matches!(self.handle.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Some(group) = group {
            // The group may have ended by itself: then there is nothing to kill.
            let _ = kill_process_group(group, Signal::KILL);
            // The leader is killed, so this returns at once and leaves no zombie.
            let _ = self.handle.wait();
            await_end(group);
        }
    }
}

/// Waits until a group that was killed is gone: a busy machine takes its time to end processes.
fn await_end(group: Pid) {
    let deadline = Instant::now() + GONE;
    while test_kill_process_group(group).is_ok() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
}

fn read_all(mut pipe: PipeReader, sender: &SyncSender<Message>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let message = match pipe.read(&mut buffer) {
            Ok(0) => Message::Closed,
            Ok(n) => Message::Output(buffer[..n].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => Message::Closed,
        };
        let last = matches!(message, Message::Closed);
        if sender.send(message).is_err() || last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Vec<String> {
        ["bash", "-c", script].map(ToOwned::to_owned).to_vec()
    }

    fn output(script: &str) -> (ExitStatus, Vec<u8>) {
        let mut bytes = Vec::new();
        let cancel = Cancel::default();
        let status = run(&sh(script), &cancel, &mut |b| bytes.extend_from_slice(b)).unwrap();
        (status, bytes)
    }

    /// Whether a process that was killed is gone, or a zombie, before long.
    fn gone(pid: i32) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z ") {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn both_streams_in_order_and_unaltered() {
        let (status, bytes) =
            output("for i in {1..500}; do echo o$i; echo e$i >&2; done; printf '\\xff\\x00end'");
        assert!(status.success());
        let mut expected: Vec<u8> =
            (1..=500).flat_map(|i| format!("o{i}\ne{i}\n").into_bytes()).collect();
        expected.extend(b"\xff\x00end");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_flood_is_drained_and_the_status_kept() {
        let (status, bytes) = output("head -c 3000000 /dev/zero; exit 7");
        assert_eq!((status.code(), bytes.len()), (Some(7), 3_000_000));
    }

    #[test]
    fn no_standard_input_and_no_waiting_for_daemons() {
        let started = Instant::now();
        let (_, bytes) = output("cat; sleep 30 & echo $!");
        assert!(started.elapsed() < Duration::from_secs(20));
        let pid: i32 = String::from_utf8(bytes).unwrap().trim().parse().unwrap();
        let daemon = Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(daemon, Signal::KILL).unwrap();
    }

    #[test]
    fn cancel_ends_the_whole_group() {
        let cancel = Cancel::default();
        let mut seen = Vec::new();
        let result =
            run(&sh("bash -c 'sleep 60 & echo $!; wait'; echo never"), &cancel, &mut |b| {
                seen.extend_from_slice(b);
                cancel.cancel();
            });
        assert!(matches!(result, Err(MakeError::Cancelled)));
        let pid = String::from_utf8(seen).unwrap().trim().parse().unwrap();
        assert!(gone(pid));
        assert!(matches!(run(&sh("true"), &cancel, &mut |_| {}), Err(MakeError::Cancelled)));
    }

    #[test]
    fn a_group_that_ignores_the_request_is_killed() {
        let cancel = Cancel::default();
        let result =
            run(&sh("trap '' TERM; echo up; while :; do sleep 1; done"), &cancel, &mut |_| {
                cancel.cancel();
            });
        assert!(matches!(result, Err(MakeError::Cancelled)));
    }

    #[test]
    fn a_panic_in_the_reader_leaves_nothing_running() {
        let pid = Mutex::new(0);
        let result = std::panic::catch_unwind(|| {
            let cancel = Cancel::default();
            let _ = run(&sh("echo $$; sleep 60"), &cancel, &mut |bytes| {
                *pid.lock().unwrap() = String::from_utf8_lossy(bytes).trim().parse().unwrap();
                panic!("as a test");
            });
        });
        assert!(result.is_err());
        assert!(gone(*pid.lock().unwrap()));
    }

    #[test]
    fn a_program_that_is_not_there() {
        let error = run(&["l4re-no-such".to_owned()], &Cancel::default(), &mut |_| {}).unwrap_err();
        assert!(error.to_string().starts_with("cannot start `l4re-no-such`"));
    }
}
