//! The runner: waits for the next schedule that is due, carries it out, and removes it if it
//! shall be removed.
//!
//! Invariant: a schedule is marked as done before its call is made, so that it runs once; a
//! schedule whose time came while no daemon ran is carried out when one does.

use std::sync::Arc;
use std::time::Duration;

use super::record::Schedule;
use super::target;
use crate::twin::Twin;

/// The longest sleep, in case the clock is set.
const LONGEST: Duration = Duration::from_secs(60);

/// Runs schedules for ever.
pub(crate) async fn run(twin: Arc<Twin>) {
    loop {
        let now = jiff::Timestamp::now();
        for schedule in due(&twin, now) {
            carry_out(&twin, &schedule, now);
        }
        let next = twin.schedules.lock().values().filter(|s| waits(s)).map(|s| s.due).min();
        let wait = next.map_or(LONGEST, |due| {
            Duration::try_from(due.duration_since(now)).unwrap_or_default().min(LONGEST)
        });
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = twin.schedules.changed.notified() => {}
        }
    }
}

fn waits(schedule: &Schedule) -> bool {
    schedule.enabled && !schedule.done
}

/// Takes what is due: marked as done, or removed.
fn due(twin: &Twin, now: jiff::Timestamp) -> Vec<Schedule> {
    let mut map = twin.schedules.lock();
    let due = map.values().filter(|schedule| waits(schedule) && schedule.due <= now);
    let due: Vec<Schedule> = due.cloned().collect();
    for schedule in &due {
        let noted = if schedule.delete_when_done {
            twin.schedules.remove(&mut map, &schedule.name)
        } else {
            twin.schedules.put(&mut map, Schedule { done: true, ..schedule.clone() })
        };
        if let Err(fault) = noted {
            tracing::error!("cannot write the schedule {}: {}", schedule.name, fault.message);
            // It runs now all the same, and once only in this daemon's life.
            map.remove(&schedule.name);
        }
    }
    due
}

fn carry_out(twin: &Arc<Twin>, schedule: &Schedule, now: jiff::Timestamp) {
    let target = &schedule.request["Target"];
    let arn = target["Arn"].as_str().unwrap_or_default();
    match target::form(arn, target["Input"].as_str()) {
        Ok(form) => {
            let (status, answer) = crate::ec2::answer(twin, form.as_bytes(), now);
            tracing::info!("the schedule {} was carried out: {status}", schedule.name);
            if status != 200 {
                tracing::warn!("the schedule {} failed: {answer}", schedule.name);
            }
        }
        Err(message) => tracing::error!("the schedule {}: {message}", schedule.name),
    }
}
