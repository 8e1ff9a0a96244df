//! The life of one machine, from the accepted launch to the last record.
//!
//! Invariant: the instance's record says what is true of its machine, and a machine ends by
//! its user's word, the guest's own, the daemon's end, or QEMU's death: each is told apart.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use crate::console::{Console, ConsoleLog, Input, begin_record};
use crate::machine::argv::qemu_argv;
use crate::machine::plan::{Prepared, followed_disk, prepare, release};
use crate::machine::process::{Process, adopt, forget, spawn, was_left};
use crate::machine::qmp::{Command, Event, Events, connect};
use crate::machine::registry::Control;
use crate::machine::screen::PICTURE;
use crate::machine::watch::{End, Round, Running, Watch, last_words, until};
use crate::machine::{Ending, disk};
use crate::script::{self, Outcome};
use crate::state::{Architecture, Instance, InstanceState, ShutdownBehavior, StateReason, Store};
use crate::twin::Twin;

/// What a console says when its guest begins again by TCG.
const EMULATED: &[u8] =
    b"\r\nl4re-twin: KVM cannot run this guest; instances are emulated (TCG) from now on\r\n";

/// How long a machine takes to reboot before its firmware speaks, where there is none to ask.
const REBOOT: Duration = Duration::from_secs(1);

/// Starts the machine of an instance that is pending. Does not wait for it.
pub(crate) fn launch(twin: &Arc<Twin>, id: &str) {
    let dir = twin.store.instance_dir(id);
    let console = match Console::create(&dir) {
        Ok(console) => console,
        Err(error) => return conclude(&twin.store, id, &End::Died(error.to_string()), || {}),
    };
    live(twin, id, console, Start::Anew);
}

/// Goes on with the machine of an instance that lived when an earlier daemon was killed: its
/// QEMU is adopted if it is there, and what had not been started is started.
pub(crate) fn resume(twin: &Arc<Twin>, id: &str) {
    let dir = twin.store.instance_dir(id);
    match Console::reopen(&dir) {
        Ok(console) => live(twin, id, console, Start::Found),
        Err(error) => conclude(&twin.store, id, &End::Died(error.to_string()), || {}),
    }
}

fn live(twin: &Arc<Twin>, id: &str, console: Arc<Console>, start: Start) {
    let control = twin.machines.add(id, console.clone());
    let life = Life { twin: twin.clone(), id: id.to_owned(), console, control };
    tokio::spawn(life.run(start));
}

/// How a machine's life begins for this daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Anew,
    /// An earlier daemon began it.
    Found,
}

struct Life {
    twin: Arc<Twin>,
    id: String,
    console: Arc<Console>,
    control: mpsc::UnboundedReceiver<Control>,
}

impl Life {
    async fn run(mut self, start: Start) {
        let end = self.live(start).await;
        tracing::info!(instance = self.id, "the machine ended: {end:?}");
        self.console.end();
        self.snapshot();
        if matches!(end, End::Told(Ending::Asked | Ending::Now)) {
            tokio::time::sleep(self.twin.config.timing.stopping).await;
        }
        // Forgotten under the store's lock: a start that follows finds no old machine, and
        // the daemon's end finds the record written.
        conclude(&self.twin.store, &self.id, &end, || self.twin.machines.remove(&self.id));
        release(&self.twin, &self.id);
    }

    async fn live(&mut self, start: Start) -> End {
        let mut round = match start {
            Start::Anew => self.pend().await.map_or(Ok(Round::Again), |end| Ok(Round::Over(end))),
            Start::Found => self.go_on().await,
        };
        loop {
            match round {
                Ok(Round::Again) => round = self.boot().await,
                Ok(Round::Over(end)) => return end,
                Err(error) => return End::Died(error.to_string()),
            }
        }
    }

    /// Takes over from a daemon that was killed.
    async fn go_on(&mut self) -> io::Result<Round> {
        let dir = self.twin.store.instance_dir(&self.id);
        let process = adopt(&dir).await?;
        let state = self.instance().map(|instance| instance.state);
        match process {
            // Somebody wanted its end already, and it is due.
            process if !matches!(state, Some(InstanceState::Pending | InstanceState::Running)) => {
                if let Some(process) = process {
                    process.killer.kill();
                    let _ = process.exit.readable().await;
                }
                forget(&dir);
                Ok(Round::Over(End::Told(Ending::Now)))
            }
            Some(process) => {
                tracing::info!(instance = self.id, "the machine is adopted");
                self.attend(process, Start::Found).await
            }
            None if was_left(&dir) => {
                forget(&dir);
                let said = last_words(&dir);
                Ok(Round::Over(End::Died(format!("{said}; no twin was there then"))))
            }
            None => Ok(Round::Again),
        }
    }

    /// The time that the hardware takes, as configured.
    async fn pend(&mut self) -> Option<End> {
        let timing = &self.twin.config.timing;
        let metal = self.instance().is_some_and(|instance| instance.bare_metal);
        let wait = if metal { timing.pending_metal } else { timing.pending };
        tokio::select! {
            () = tokio::time::sleep(wait) => None,
            end = self.told_to_end() => Some(End::Told(end)),
        }
    }

    /// Prepares, follows the script if that is the twin's part, starts QEMU and watches it.
    async fn boot(&mut self) -> io::Result<Round> {
        let Some(instance) = self.instance() else {
            return Ok(Round::Over(End::Told(Ending::Now)));
        };
        // The AMI may have been deregistered since.
        let chain = instance.chain.or_else(|| {
            let state = self.twin.store.lock();
            let image = state.images.iter().find(|image| image.id == instance.image_id);
            image.map(|image| image.chain)
        });
        let chain = chain.ok_or_else(|| io::Error::other("the instance's AMI is gone"))?;
        let kvm = self.twin.accelerator.runs(instance.may_be_hypervisor()).await;
        let twin = self.twin.clone();
        let prepared = tokio::task::spawn_blocking(move || prepare(&twin, &instance, chain, kvm))
            .await
            .map_err(io::Error::other)??;
        if prepared.follow
            && let Some(round) = self.follow(prepared.machine.network).await?
        {
            return Ok(round);
        }
        self.start(&prepared).await
    }

    /// The twin in iPXE's place. `None`: the disk is ready and the machine may start.
    async fn follow(&mut self, network: bool) -> io::Result<Option<Round>> {
        self.mark_running();
        let console = self.console.clone();
        let twin = self.twin.clone();
        let id = self.id.clone();
        let outcome = tokio::select! {
            outcome = script::follow(&twin, &id, &console, network) => outcome,
            round = next_round(&mut self.control) => return Ok(Some(round)),
        };
        match outcome {
            Outcome::Boot(image) => {
                let path = followed_disk(&self.twin.store.instance_dir(&self.id));
                tokio::task::spawn_blocking(move || {
                    disk::write(&path, &image, Architecture::Arm64)
                })
                .await
                .map_err(io::Error::other)??;
                Ok(None)
            }
            Outcome::Reboot => {
                // A machine takes its time too; a script that only reboots must not spin.
                tokio::time::sleep(REBOOT).await;
                Ok(Some(Round::Again))
            }
            Outcome::PowerOff => Ok(Some(Round::Over(End::GuestShutdown))),
            // Nothing to boot is left: the machine stands until somebody tells it something.
            Outcome::Exit => Ok(Some(next_round(&mut self.control).await)),
        }
    }

    async fn start(&mut self, prepared: &Prepared) -> io::Result<Round> {
        let argv = qemu_argv(&prepared.machine);
        tracing::info!(instance = self.id, "{}", argv.join(" "));
        let dir = self.twin.store.instance_dir(&self.id);
        begin_record(&dir, &ConsoleLog::tail(&dir)?)?;
        let process = spawn(argv, &dir).await?;
        self.attend(process, Start::Anew).await
    }

    /// Is there for a QEMU until it has ended.
    async fn attend(&mut self, process: Process, start: Start) -> io::Result<Round> {
        let dir = self.twin.store.instance_dir(&self.id);
        self.mark_running();
        let (serial, to_guest) = process.serial.into_split();
        let (breaks, mut break_requests) = mpsc::channel(4);
        let (input, typed) = mpsc::channel(64);
        tokio::spawn(type_to_guest(typed, to_guest, breaks));
        self.console.connect_input(Some(input.clone()));
        let mut running = Running { serial, killer: process.killer, exit: process.exit };
        let round = match connect(process.qmp).await {
            Ok((mut events, commands)) => {
                let graceful = self.twin.config.timing.graceful;
                let mut watch = Watch::new(dir.clone(), process.kvm, graceful, commands, input);
                if start == Start::Found {
                    watch.give(Command::Status).await;
                    self.catch_up(&mut running, &mut events, &mut watch).await;
                }
                self.watch(&mut running, &mut events, &mut break_requests, &mut watch).await
            }
            // Gone before it could be spoken to: what it said itself is the reason.
            Err(_) => None,
        };
        if round.is_none() {
            running.killer.kill();
            running.ended().await;
        }
        forget(&dir);
        let round = round.unwrap_or_else(|| Round::Over(End::Died(last_words(&dir))));
        Ok(self.or_emulated(round, process.kvm).await)
    }

    /// Another round by emulation for a guest that KVM cannot run, which its console says.
    async fn or_emulated(&self, round: Round, kvm: bool) -> Round {
        let round = match round {
            Round::Over(End::Died(why)) if kvm && why.to_lowercase().contains("kvm") => {
                match self.twin.accelerator.fall_back() {
                    true => Round::Again,
                    false => Round::Over(End::Died(why)),
                }
            }
            round => round,
        };
        if kvm && matches!(round, Round::Again) && !self.twin.accelerator.kvm().await {
            self.console.print(EMULATED);
        }
        round
    }

    /// Takes what the guest has printed so far. When QEMU has answered, it has taken the
    /// connection to the serial port, too, and what is printed from then on comes there.
    async fn catch_up(&self, process: &mut Running, events: &mut Events, watch: &mut Watch) {
        while let Some(event) = events.next().await {
            watch.event(event, process, &self.twin);
            if matches!(event, Event::Lives | Event::Ended) {
                break;
            }
        }
        self.console.catch_up(|| unread(&process.serial));
    }

    /// Carries the guest's output until QEMU has ended; says why if it was meant to.
    async fn watch(
        &mut self,
        process: &mut Running,
        events: &mut Events,
        breaks: &mut mpsc::Receiver<()>,
        watch: &mut Watch,
    ) -> Option<Round> {
        let mut buffer = vec![0; 16 * 1024];
        let mut events_end = false;
        let snapshot = tokio::time::sleep(self.twin.config.timing.console_snapshot);
        tokio::pin!(snapshot);
        let mut snapshot_taken = false;
        loop {
            let deadline = watch.deadline();
            tokio::select! {
                read = process.serial.read(&mut buffer) => match read {
                    Ok(count) if count > 0 => {
                        self.console.print(&buffer[..count]);
                        watch.answer_banner(&buffer[..count]);
                    }
                    // QEMU's end of the socket is closed by its end and by nothing else. What
                    // it reported before may still wait to be read.
                    _ => {
                        while let Some(event) = events.next().await {
                            watch.event(event, process, &self.twin);
                        }
                        process.ended().await;
                        return watch.verdict();
                    }
                },
                event = events.next(), if !events_end => match event {
                    Some(event) => {
                        watch.ask_why(event).await;
                        watch.event(event, process, &self.twin);
                    }
                    None => events_end = true,
                },
                control = self.control.recv() => match control {
                    Some(Control::Photograph) => {
                        let dir = self.twin.store.instance_dir(&self.id);
                        watch.photograph(&dir.join(PICTURE)).await;
                    }
                    Some(control) => {
                        if control == Control::Reboot {
                            self.snapshot();
                        }
                        watch.control(control, process).await;
                    }
                    None => watch.end(process, Round::Over(End::Told(Ending::Now))),
                },
                Some(()) = breaks.recv() => watch.give(Command::SerialBreak).await,
                () = until(deadline) => {
                    watch.end(process, Round::Over(End::Told(Ending::Now)));
                }
                () = &mut snapshot, if !snapshot_taken => {
                    snapshot_taken = true;
                    self.snapshot();
                }
            }
        }
    }

    async fn told_to_end(&mut self) -> Ending {
        loop {
            match self.control.recv().await {
                Some(Control::End(ending)) => return ending,
                Some(Control::Reboot | Control::Photograph) => {}
                None => return Ending::Now,
            }
        }
    }

    fn instance(&self) -> Option<Instance> {
        self.twin.store.lock().instances.get(&self.id).cloned()
    }

    fn mark_running(&self) {
        self.twin.store.update(&self.id, |instance| {
            if instance.state == InstanceState::Pending {
                instance.state = InstanceState::Running;
                instance.changed = jiff::Timestamp::now();
            }
        });
    }

    fn snapshot(&self) {
        let dir = self.twin.store.instance_dir(&self.id);
        if let Err(error) = ConsoleLog::take_snapshot(&dir) {
            tracing::warn!(instance = self.id, "cannot take a console snapshot: {error}");
        }
    }
}

/// What the API wants of a machine without QEMU.
async fn next_round(control: &mut mpsc::UnboundedReceiver<Control>) -> Round {
    loop {
        return match control.recv().await {
            Some(Control::Reboot) => Round::Again,
            Some(Control::End(ending)) => Round::Over(End::Told(ending)),
            Some(Control::Photograph) => continue,
            None => Round::Over(End::Told(Ending::Now)),
        };
    }
}

/// What has come and was not read.
fn unread(serial: &OwnedReadHalf) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count) = serial.try_read(&mut buffer)
        && count > 0
    {
        all.extend_from_slice(&buffer[..count]);
    }
    all
}

async fn type_to_guest(
    mut typed: mpsc::Receiver<Input>,
    mut guest: OwnedWriteHalf,
    breaks: mpsc::Sender<()>,
) {
    while let Some(input) = typed.recv().await {
        let taken = match input {
            Input::Bytes(bytes) => guest.write_all(&bytes).await.is_ok(),
            Input::Break => breaks.send(()).await.is_ok(),
        };
        if !taken {
            return;
        }
    }
}

/// Writes down how it ended; `forget` runs while nobody can look.
fn conclude(store: &Store, id: &str, end: &End, forget: impl FnOnce()) {
    store.update(id, |instance| {
        instance.changed = jiff::Timestamp::now();
        record_end(instance, end);
        forget();
    });
}

fn record_end(instance: &mut Instance, end: &End) {
    let one_time_spot = instance.spot.as_ref().is_some_and(|spot| !spot.can_be_stopped);
    let never_ran = instance.state == InstanceState::Pending;
    let (terminate, reason) = match end {
        _ if instance.state == InstanceState::ShuttingDown => (true, None),
        _ if instance.state == InstanceState::Stopping => (false, None),
        End::Told(_) => {
            let message = "Server.InternalError: the twin ended and its machines with it";
            (one_time_spot, Some(StateReason::new("Server.InternalError", message)))
        }
        End::GuestShutdown => {
            let code = "Client.InstanceInitiatedShutdown";
            let message = format!("{code}: Instance initiated shutdown");
            let terminate = instance.shutdown_behavior == ShutdownBehavior::Terminate;
            (terminate || one_time_spot, Some(StateReason::new(code, message)))
        }
        End::Died(detail) => {
            let message = format!("Server.InternalError: {detail}");
            (never_ran || one_time_spot, Some(StateReason::new("Server.InternalError", message)))
        }
    };
    instance.state = if terminate { InstanceState::Terminated } else { InstanceState::Stopped };
    if let Some(reason) = reason {
        instance.transition_reason.clone_from(&reason.message);
        instance.state_reason = Some(reason);
    }
}
