//! Ctrl-C and its kin: the first asks the running step to end cleanly, the second leaves.
//!
//! SIGINT, SIGTERM and SIGHUP count alike, so that a closed terminal or a CI job's end stops
//! what runs as surely as a key does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::failure::INTERRUPTED;
use crate::shell::Shell;

/// Two signals closer than this are one wish: a closing terminal and timeout(1) send it twice.
const SAME_WISH: Duration = Duration::from_millis(500);

/// Tells whether the user wants to end.
#[derive(Debug, Clone)]
pub struct Interrupt {
    asked: watch::Receiver<bool>,
}

impl Interrupt {
    /// Begins to watch for signals on the current runtime.
    pub fn watch(shell: Arc<Shell>) -> std::io::Result<Self> {
        let mut int = signal(SignalKind::interrupt())?;
        let mut term = signal(SignalKind::terminate())?;
        let mut hup = signal(SignalKind::hangup())?;
        watch_stops(shell.clone())?;
        let (tell, asked) = watch::channel(false);
        tokio::spawn(async move {
            let mut first: Option<Instant> = None;
            loop {
                let may_leave = tokio::select! {
                    _ = int.recv() => true,
                    _ = term.recv() => true,
                    _ = hup.recv() => false,
                };
                match first {
                    None => {
                        first = Some(Instant::now());
                        tell.send_replace(true);
                        shell.status("Interrupted", "once more to leave at once");
                    }
                    Some(at) if may_leave && at.elapsed() > SAME_WISH => leave(&shell),
                    Some(_) => {}
                }
            }
        });
        Ok(Self { asked })
    }

    /// Whether it was asked for already.
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Resolves when it is asked for.
    pub async fn asked(&self) {
        let mut asked = self.asked.clone();
        // The sender lives as long as the runtime; when it is gone nobody can ask any more.
        if asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Ctrl-Z stops the process with the terminal put back; `fg` lets keys through again.
fn watch_stops(shell: Arc<Shell>) -> std::io::Result<()> {
    use rustix::process::Signal;
    let mut stop = signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
    let mut resume = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = stop.recv() => {
                    shell.untint();
                    crate::terminal::stop();
                }
                _ = resume.recv() => crate::terminal::resume(),
            }
        }
    });
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the user asked twice: guards had their chance")]
fn leave(shell: &Shell) -> ! {
    shell.untint();
    crate::terminal::restore();
    std::process::exit(i32::from(INTERRUPTED))
}
