//! What is decided about a machine while its QEMU runs: why it is going to end, if it is.
//!
//! Invariant: a QEMU that ends without a verdict has died by itself.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::io::unix::AsyncFd;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::console::Input;
use crate::machine::Ending;
use crate::machine::argv::SHUTDOWN_TRACE;
use crate::machine::banner::Banner;
use crate::machine::process::{Killer, log_path};
use crate::machine::qmp::{Command, Commands, Event};
use crate::machine::registry::Control;
use crate::twin::Twin;

/// How a machine's life ended.
#[derive(Debug)]
pub(super) enum End {
    Told(Ending),
    GuestShutdown,
    /// QEMU could not start or ended by itself.
    Died(String),
}

/// What follows a boot.
pub(super) enum Round {
    Again,
    Over(End),
}

/// A QEMU process that is watched.
pub(super) struct Running {
    pub(super) serial: OwnedReadHalf,
    pub(super) killer: Killer,
    pub(super) exit: AsyncFd<Arc<OwnedFd>>,
}

impl Running {
    /// Waits for its end. May be dropped and called again.
    pub(super) async fn ended(&self) {
        let _ = self.exit.readable().await;
    }
}

/// What is decided about a machine while it runs.
pub(super) struct Watch {
    dir: Utf8PathBuf,
    kvm: bool,
    graceful: Duration,
    commands: Commands,
    /// When a guest that was asked to shut down is forced.
    deadline: Option<Instant>,
    /// Why the process is going to end; none if it does so by itself.
    verdict: Option<Round>,
    banner: Banner,
    keyboard: mpsc::Sender<Input>,
}

impl Watch {
    pub(super) fn new(
        dir: Utf8PathBuf,
        kvm: bool,
        graceful: Duration,
        commands: Commands,
        keyboard: mpsc::Sender<Input>,
    ) -> Self {
        Self {
            dir,
            kvm,
            graceful,
            commands,
            deadline: None,
            verdict: None,
            banner: Banner::default(),
            keyboard,
        }
    }

    /// When a guest that was asked to shut down is forced.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Why the process has ended, if it was meant to.
    pub(super) fn verdict(&mut self) -> Option<Round> {
        self.verdict.take()
    }

    /// Asks why the guest stands still, if it may be for KVM's sake.
    pub(super) async fn ask_why(&mut self, event: Event) {
        if event == Event::Stopped && self.kvm {
            self.give(Command::Status).await;
        }
    }

    /// Learns from QEMU.
    pub(super) fn event(&mut self, event: Event, process: &Running, twin: &Twin) {
        match event {
            // It stands still then; one that was asked to end has what it was asked for.
            Event::ShutdownByGuest | Event::ShutdownByReset | Event::Ended
                if self.verdict.is_some() =>
            {
                process.killer.kill();
            }
            Event::ShutdownByGuest => self.end(process, Round::Over(End::GuestShutdown)),
            Event::ShutdownByReset => self.end(process, Round::Again),
            Event::Ended => {
                let log = fs_err::read(log_path(&self.dir)).unwrap_or_default();
                let by_guest = String::from_utf8_lossy(&log).contains(SHUTDOWN_TRACE);
                let why = if by_guest { Round::Over(End::GuestShutdown) } else { Round::Again };
                self.end(process, why);
            }
            Event::Broken if self.kvm && self.verdict.is_none() => {
                let round = if twin.accelerator.fall_back() {
                    Round::Again
                } else {
                    Round::Over(End::Died("KVM cannot run this guest".to_owned()))
                };
                self.end(process, round);
            }
            _ => {}
        }
    }

    /// Learns from the API.
    pub(super) async fn control(&mut self, control: Control, process: &Running) {
        match control {
            // A new QEMU, as after a reset by the guest.
            Control::Reboot => self.end(process, Round::Again),
            Control::End(Ending::Asked) => {
                self.give(Command::PowerButton).await;
                self.deadline.get_or_insert(Instant::now() + self.graceful);
                self.verdict = Some(Round::Over(End::Told(Ending::Asked)));
            }
            Control::End(ending) => self.end(process, Round::Over(End::Told(ending))),
            // The life knows where the picture goes.
            Control::Photograph => {}
        }
    }

    /// Presses a key where Debian's iPXE waits for one.
    pub(super) fn answer_banner(&mut self, output: &[u8]) {
        if self.banner.asks(output) {
            // If somebody types so much that there is no room, their keys do as well.
            let _ = self.keyboard.try_send(Input::Bytes(Bytes::from_static(b" ")));
        }
    }

    /// Ends the process for a reason.
    pub(super) fn end(&mut self, process: &Running, verdict: Round) {
        (self.verdict, self.deadline) = (Some(verdict), None);
        process.killer.kill();
    }

    /// Has QEMU write a picture of the screen.
    pub(super) async fn photograph(&mut self, file: &camino::Utf8Path) {
        if let Err(error) = self.commands.photograph(file).await {
            tracing::warn!("QEMU makes no picture: {error}");
        }
    }

    /// Gives QEMU a command.
    pub(super) async fn give(&mut self, command: Command) {
        if let Err(error) = self.commands.give(command).await {
            tracing::warn!("QEMU does not take {command:?}: {error}");
        }
    }
}

/// Waits for a moment that may never come.
pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The end of what QEMU said itself.
pub(super) fn last_words(dir: &Utf8Path) -> String {
    let text = fs_err::read(log_path(dir)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    // It tells that it waits for clients, who are there already.
    let words = |line: &&str| !line.contains(": info: ") && !line.starts_with(SHUTDOWN_TRACE);
    let lines: Vec<&str> = text.lines().rev().filter(words).take(5).collect();
    let said = lines.into_iter().rev().collect::<Vec<_>>().join(" / ");
    if said.is_empty() { "QEMU ended without a word".to_owned() } else { format!("QEMU: {said}") }
}
