//! A process beside this one that ends machines which this one can no longer end.
//!
//! It stands outside of the caller's process tree and session, as CI and test frameworks kill
//! these without asking twice. It reads from a pipe the names under which machines are about to
//! be launched, and which of them are gone; when the pipe closes, because this process has
//! ended in whatever way, it ends what is left. Invariant: a name is in the pipe before the call
//! that launches is made, and no other machine ever has it.

use std::io::{BufRead, PipeWriter, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use l4re_cloud::CloudError;

use super::connect::{Connection, Ready, Where, connect_to_running};
use crate::commands::Context;
use crate::failure::Failure;

/// How long a machine that is not there yet is looked for, as EC2 may tell of it late.
const LIMIT: Duration = Duration::from_secs(60);
/// The same on the desk.
const DESK_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks.
const PACE: Duration = Duration::from_millis(500);

/// The near end: to be told of every machine.
#[derive(Debug)]
pub struct Keeper(Mutex<PipeWriter>);

impl Keeper {
    /// Starts one for machines of the desk or of EC2.
    pub fn start(context: &Context, end: &Where) -> Result<Self, Failure> {
        let (reader, writer) = std::io::pipe()?;
        let argv = argv(context, end, false);
        context.shell.detail("Running", crate::shell::words(&argv));
        // This only starts the one that stays, which so belongs to nobody.
        duct::cmd(&argv[0], &argv[1..]).stdin_file(reader).stdout_null().stderr_null().run()?;
        Ok(Self(Mutex::new(writer)))
    }

    /// A machine of this name may exist from now on.
    pub fn launching(&self, name: &str) -> std::io::Result<()> {
        self.tell('+', name)
    }

    /// It is gone.
    pub fn gone(&self, name: &str) -> std::io::Result<()> {
        self.tell('-', name)
    }

    fn tell(&self, sign: char, name: &str) -> std::io::Result<()> {
        let mut pipe = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pipe.write_all(format!("{sign}{name}\n").as_bytes())
    }
}

/// The command line of a keeper; `stays` for the one that does the work.
fn argv(context: &Context, end: &Where, stays: bool) -> Vec<String> {
    let mut argv = vec![context.environment.program().to_string(), "keeper".to_owned()];
    argv.extend(end.words());
    argv.extend(stays.then(|| "--stays".to_owned()));
    for word in &context.global.config {
        argv.extend(["--config".to_owned(), word.clone()]);
    }
    argv
}

/// Starts the one that stays, with this process's stdin.
pub fn detach(context: &Context, end: &Where) -> Result<(), Failure> {
    let argv = argv(context, end, true);
    duct::cmd(&argv[0], &argv[1..]).stdout_null().stderr_null().unchecked().start()?;
    Ok(())
}

/// Reads the pipe to its end, then ends what is left.
pub fn keep(context: &Context, end: &Where) -> Result<(), Failure> {
    rustix::process::setsid().map_err(std::io::Error::from)?;
    let left = left(std::io::stdin().lock())?;
    // A twin that is gone has taken its machines with it.
    let (false, Some(ready)) = (left.is_empty(), connect_to_running(context, end)) else {
        return Ok(());
    };
    context.with_runtime(|runtime, _| runtime.block_on(end_all(ready, &left)))
}

async fn end_all(ready: Ready, left: &[String]) -> Result<(), Failure> {
    let connection = ready.connect().await?;
    let deadline = Instant::now() + if connection.local { DESK_LIMIT } else { LIMIT };
    let ends = left.iter().map(|name| end_one(&connection, name, deadline));
    let ended = futures::future::join_all(ends).await;
    ended.into_iter().find_map(Result::err).map_or(Ok(()), |error| Err(error.into()))
}

/// Ends one. A call that was under way when its caller was killed may launch it yet.
async fn end_one(connection: &Connection, name: &str, deadline: Instant) -> Result<(), CloudError> {
    loop {
        match connection.cloud.find(name).await {
            Ok(machine) => return connection.cloud.terminate(&machine).await.map(drop),
            Err(CloudError::NotFound { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(PACE).await;
            }
            Err(CloudError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// What was launched and is not gone when the pipe closes.
fn left(pipe: impl BufRead) -> std::io::Result<Vec<String>> {
    let mut left: Vec<String> = Vec::new();
    for line in pipe.lines() {
        let line = line?;
        match line.split_at_checked(1) {
            Some(("+", name)) => left.push(name.to_owned()),
            Some(("-", name)) => left.retain(|known| known != name),
            _ => {}
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_gone_is_left() {
        let pipe = "+a-1\n+a-2\n\n-a-1\n+a-3\n";
        assert_eq!(left(pipe.as_bytes()).unwrap(), ["a-2", "a-3"]);
        assert!(left("+a-1\n-a-1\n".as_bytes()).unwrap().is_empty());
    }
}
