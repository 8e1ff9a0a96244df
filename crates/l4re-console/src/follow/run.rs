//! The loop: waits for bytes, orders and deadlines, whichever comes first.
//!
//! Invariant: time in which this process was stopped, or waited for who reads its output, is
//! nobody's silence: all deadlines are put off by it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::control::Order;
use super::judge::Judge;
use super::{Control, Event, FollowOptions, Observer, Report};
use crate::escape::{EscapeMachine, Typed};
use crate::log::RawLog;
use crate::transport::{Received, Transport, TransportError};
use crate::verdict::Verdict;

/// How long typed bytes may wait for a console that does not take them.
const TYPED_LIMIT: Duration = Duration::from_secs(10);

/// How long closing may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// The longest wait for anything, so that one which took longer is known to be none.
const TICK: Duration = Duration::from_secs(1);

/// What a busy machine may add to a wait.
const LATE: Duration = Duration::from_secs(1);

/// When the loop last went on.
struct Pace(Instant);

impl Pace {
    /// Goes on. Says for how long nothing could be done, beyond the wait that was meant.
    fn go_on(&mut self, meant: Duration) -> Duration {
        let now = Instant::now();
        let passed = now.saturating_duration_since(std::mem::replace(&mut self.0, now));
        let beyond = passed.saturating_sub(meant);
        if beyond > LATE { beyond } else { Duration::ZERO }
    }
}

enum Step {
    Received(Result<Received, TransportError>),
    Order(Option<Order>),
    Deadline,
}

/// Follows `transport` until a verdict stands. The transport is closed afterwards.
pub async fn follow(
    transport: &mut dyn Transport,
    options: FollowOptions,
    log: Option<&mut RawLog>,
    observer: &mut dyn Observer,
    mut control: Control,
) -> Report {
    let mut typing =
        Typing { escapes: options.escapes.then(EscapeMachine::default), in_vain: false };
    let mut judge = Judge::new(options, log, observer);
    let mut orders_come = true;
    let mut pace = Pace(Instant::now());
    while judge.verdict().is_none() {
        let tick = pace.0 + TICK;
        let deadline = judge.next_deadline().map_or(tick, |due| due.min(tick));
        let step = tokio::select! {
            biased;
            order = control.0.recv(), if orders_come => Step::Order(order),
            received = transport.read() => Step::Received(received),
            () = sleep_until(deadline) => Step::Deadline,
        };
        judge.put_off(pace.go_on(TICK));
        match step {
            Step::Received(Ok(received)) => {
                judge.received(received);
                // A transport that is always ready must not starve the rest of the program.
                tokio::task::yield_now().await;
            }
            Step::Received(Err(error)) => judge.lost(&error),
            Step::Order(Some(order)) => {
                typing.carry_out(order, transport, &mut judge).await;
            }
            Step::Order(None) => orders_come = false,
            Step::Deadline => {}
        }
        judge.put_off(pace.go_on(Duration::ZERO));
        judge.deadlines(pace.0);
    }
    // The verdict stands; a console that cannot be closed in order is dropped.
    drop(timeout(CLOSE_LIMIT, transport.close()).await);
    judge.report()
}

/// What becomes of what is typed.
struct Typing {
    escapes: Option<EscapeMachine>,
    /// The last bytes did not reach the machine, which was told.
    in_vain: bool,
}

impl Typing {
    async fn carry_out(
        &mut self,
        order: Order,
        transport: &mut dyn Transport,
        judge: &mut Judge<'_>,
    ) {
        match order {
            Order::Typed(bytes) => {
                let typed = match &mut self.escapes {
                    Some(machine) => machine.push(&bytes),
                    None => vec![Typed::Send(bytes)],
                };
                for typed in typed {
                    self.type_in(typed, transport, judge).await;
                }
            }
            Order::Break => self.type_in(Typed::Break, transport, judge).await,
            Order::RebootRequested => judge.reboot_requested(),
            Order::Cancel => judge.conclude(Verdict::Interrupted),
        }
    }

    async fn type_in(
        &mut self,
        typed: Typed,
        transport: &mut dyn Transport,
        judge: &mut Judge<'_>,
    ) {
        let sent = match typed {
            Typed::Send(bytes) => {
                if bytes.contains(&0x1b) {
                    judge.debugger_requested();
                }
                timeout(TYPED_LIMIT, transport.write(&bytes)).await
            }
            Typed::Break => {
                judge.debugger_requested();
                // Each one that fails is told.
                self.in_vain = false;
                timeout(TYPED_LIMIT, transport.send_break()).await
            }
            Typed::Help => return judge.event(Event::HelpWanted),
            Typed::Leave => return judge.conclude(Verdict::Left),
        };
        let reason = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("the console took nothing for {} s", TYPED_LIMIT.as_secs())),
        };
        // Of many keys in a row the first one says it for all.
        let told = std::mem::replace(&mut self.in_vain, reason.is_some());
        if let Some(reason) = reason.filter(|_| !told) {
            judge.event(Event::InputLost { reason });
        }
    }
}
