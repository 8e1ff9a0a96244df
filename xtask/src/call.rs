//! One call of another program: its argv, made by pure functions elsewhere, and the one
//! place that runs it. No shell is ever between us and the program.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::failure::Failure;

/// A program with its arguments, its additional environment and its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    argv: Vec<String>,
    environment: Vec<(String, String)>,
    directory: Option<Utf8PathBuf>,
}

impl Call {
    /// A call of `argv[0]` with the rest as its arguments.
    pub(crate) fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            directory: None,
        }
    }

    /// The same call with `name=value` in its environment.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// The same call in `directory`.
    pub(crate) fn dir(mut self, directory: &Utf8Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// The line that a person would type, for messages; quoted where a shell needs it.
    pub(crate) fn line(&self) -> String {
        let argv = || self.argv.iter().map(String::as_str);
        // A word with a zero byte cannot be passed on either.
        shlex::try_join(argv()).unwrap_or_else(|_| argv().collect::<Vec<_>>().join(" "))
    }

    /// The same as an expression, for callers with needs of their own.
    pub(crate) fn expression(&self) -> duct::Expression {
        let (program, arguments) =
            self.argv.split_first().map_or(("", &[][..]), |(program, rest)| (program, rest));
        let mut expression = duct::cmd(program, arguments);
        for (name, value) in &self.environment {
            expression = expression.env(name, value);
        }
        match &self.directory {
            Some(directory) => expression.dir(directory),
            None => expression,
        }
    }

    /// Runs the call with our own terminal.
    ///
    /// # Errors
    /// Its exit code, if that is not 0; or that it could not be started.
    pub(crate) fn run(&self) -> Result<()> {
        let output = self.expression().unchecked().run().with_context(|| self.not_started())?;
        self.checked(output.status.code())
    }

    /// Runs the call in silence and says whether it ended with 0.
    pub(crate) fn succeeds(&self) -> bool {
        let quiet = self.expression().stdout_null().stderr_null().stdin_null().unchecked();
        quiet.run().is_ok_and(|output| output.status.success())
    }

    /// Runs the call away from our terminal and gives what it wrote to stdout.
    ///
    /// # Errors
    /// As [`Call::run`], with what the program wrote to stderr.
    pub(crate) fn read(&self) -> Result<String> {
        let alone = self.expression().stdin_null().stdout_capture().stderr_capture().unchecked();
        let output = alone.run().with_context(|| self.not_started())?;
        self.checked(output.status.code())
            .with_context(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs the call and hands over each line of its stdout as it comes.
    ///
    /// # Errors
    /// As [`Call::run`].
    pub(crate) fn each_line(&self, mut take: impl FnMut(&str)) -> Result<()> {
        let reader = self.expression().unchecked().reader().with_context(|| self.not_started())?;
        let mut lines = BufReader::new(&reader);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            take(String::from_utf8_lossy(&line).trim_end_matches('\n'));
            line.clear();
        }
        let status = reader.try_wait()?.and_then(|output| output.status.code());
        self.checked(status)
    }

    /// Runs the call in silence and gives its wall time.
    ///
    /// # Errors
    /// As [`Call::run`], with what the program wrote.
    pub(crate) fn time(&self) -> Result<Duration> {
        let start = Instant::now();
        let quiet = self.expression().stdin_null().stderr_to_stdout().stdout_capture().unchecked();
        let output = quiet.run().with_context(|| self.not_started())?;
        let took = start.elapsed();
        self.checked(output.status.code())
            .with_context(|| String::from_utf8_lossy(&output.stdout).into_owned())?;
        Ok(took)
    }

    /// Runs the call with its output away from memory and disk, and gives its wall time.
    ///
    /// # Errors
    /// As [`Call::run`], with what the program wrote to stderr.
    pub(crate) fn time_alone(&self) -> Result<Duration> {
        let start = Instant::now();
        let quiet = self.expression().stdin_null().stdout_null().stderr_capture().unchecked();
        let output = quiet.run().with_context(|| self.not_started())?;
        let took = start.elapsed();
        self.checked(output.status.code())
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        Ok(took)
    }

    fn checked(&self, status: Option<i32>) -> Result<()> {
        match status {
            Some(0) => Ok(()),
            other => Err(Failure::child(&self.line(), other).into()),
        }
    }

    fn not_started(&self) -> String {
        format!("cannot start `{}`", self.argv.first().map_or("", String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted() {
        let call = Call::new(["run", "hello", "--expect", "Hello World!", "it's"]);
        let line = call.line();
        assert!(line.starts_with("run hello --expect "), "{line}");
        assert_eq!(shlex::split(&line).unwrap().last().unwrap(), "it's");
    }

    #[test]
    fn lines_come_one_by_one_and_the_code_is_kept() {
        let mut seen = Vec::new();
        let call = Call::new(["sh", "-c", "echo one; printf 'two\\377'; exit 7"]);
        let error = call.each_line(|line| seen.push(line.to_owned())).unwrap_err();
        assert_eq!(seen, ["one", "two\u{fffd}"]);
        assert_eq!(crate::failure::code(&error), 7);
    }

    #[test]
    fn more_output_than_a_pipe_holds_does_not_hang() {
        let call = Call::new(["sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x"]);
        assert_eq!(call.read().unwrap().len(), 300_000);
        assert!(call.time().is_ok());
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Call::new(["/no/such/program"]).run().unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot start `/no/such/program`"));
        assert!(!Call::new(["/no/such/program"]).succeeds());
    }
}
