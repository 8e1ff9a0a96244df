//! How a console is shown beside its verdict: with time stamps, recorded, open to a debugger.

use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use l4re_console::asciicast::{RecordError, Recording, Screen};
use l4re_console::phase::Phase;
use serde_json::json;

use super::log_file;
use crate::commands::Context;
use crate::failure::Failure;
use crate::twin;

/// What a screen has where none can be asked.
const USUAL_SCREEN: (u16, u16) = (80, 24);

/// Columns and rows of the terminal.
fn screen() -> (u16, u16) {
    crate::terminal::size().unwrap_or(USUAL_SCREEN)
}

/// How to show it.
#[derive(Debug, Clone, Default, Args)]
pub struct Show {
    /// Put the seconds since it was attached in front of each line
    #[arg(long)]
    pub timestamps: bool,
    /// Record what is shown as an asciicast (version 2), which `asciinema play` shows
    #[arg(long, value_name = "FILE")]
    pub record: Option<Utf8PathBuf>,
    /// Print the line that attaches gdb to the machine; on the twin only
    #[arg(long)]
    pub gdb: bool,
}

impl Show {
    /// Makes sure before a machine is launched that a recording can be written, and a debugger
    /// attached. `log` is the file of the raw console, if one was named.
    pub fn check(
        &self,
        context: &Context,
        twin: bool,
        log: Option<&Utf8Path>,
    ) -> Result<(), Failure> {
        if self.gdb && !twin {
            let text = "--gdb is for machines on the twin: EC2's cannot be debugged from outside";
            return Err(Failure::Usage(text.to_owned()));
        }
        let recorded = self.record.as_deref();
        log_file::are_apart(context, [("--log", log), ("--record", recorded)])?;
        drop(self.recording(context, None)?);
        Ok(())
    }

    /// Tells how to attach a debugger to an instance on the twin.
    pub(super) fn tell_debugger(&self, context: &Context, instance: &str) -> Result<(), Failure> {
        if !self.gdb {
            return Ok(());
        }
        let dir = twin::config(context)?.dir;
        match l4re_twin::gdb_socket(&dir, instance) {
            Some(socket) => {
                let line = format!("gdb -ex 'target remote {socket}'");
                context.shell.status("Debugging", &line);
                context.shell.json("debugger", &json!({ "socket": socket, "line": line }))?;
            }
            None => context.shell.warn(format_args!("no gdb: the path of {dir} is too long")),
        }
        Ok(())
    }

    /// Begins to show the console of the machine with this name.
    pub(super) fn begin(&self, context: &Context, title: &str) -> Result<Shown, Failure> {
        Ok(Shown {
            begin: Instant::now(),
            size: screen(),
            stamps: self.timestamps.then(Stamps::default),
            recording: self.recording(context, Some(title))?,
        })
    }

    fn recording(
        &self,
        context: &Context,
        title: Option<&str>,
    ) -> Result<Option<Recording>, Failure> {
        let Some(path) = &self.record else { return Ok(None) };
        let (width, height) = screen();
        let began = jiff::Timestamp::now();
        let screen = Screen { width, height, began, title: title.map(str::to_owned) };
        Ok(Some(Recording::create(&context.environment.folder().join(path), &screen)?))
    }
}

/// A console that is being shown.
#[derive(Debug)]
pub(super) struct Shown {
    begin: Instant,
    /// What the recording knows of the terminal.
    size: (u16, u16),
    stamps: Option<Stamps>,
    recording: Option<Recording>,
}

impl Shown {
    /// Bytes as they are to be shown; recorded as they came. The error is told once, and the
    /// recording is over with it.
    pub(super) fn output<'a>(
        &mut self,
        safe: &'a [u8],
        stamped: &'a mut Vec<u8>,
    ) -> (&'a [u8], Option<RecordError>) {
        let at = self.begin.elapsed();
        let before = self.size;
        if self.recording.is_some() {
            self.size = screen();
        }
        let (width, height) = self.size;
        let failed = self.record(|recording| {
            if before != (width, height) {
                recording.resized(at, width, height)?;
            }
            recording.output(at, safe)
        });
        let Some(stamps) = &mut self.stamps else { return (safe, failed) };
        stamps.push(safe, at.as_secs_f64(), stamped);
        (stamped, failed)
    }

    /// Marks in the recording where a phase begins.
    pub(super) fn phase(&mut self, phase: Phase) -> Option<RecordError> {
        let at = self.begin.elapsed();
        self.record(|recording| recording.mark(at, phase.name()))
    }

    fn record(
        &mut self,
        write: impl FnOnce(&mut Recording) -> Result<(), RecordError>,
    ) -> Option<RecordError> {
        let error = write(self.recording.as_mut()?).err()?;
        self.recording = None;
        Some(error)
    }
}

/// Puts a time in front of each line that is not blank.
#[derive(Debug, Default)]
struct Stamps {
    within_line: bool,
}

impl Stamps {
    fn push(&mut self, text: &[u8], seconds: f64, out: &mut Vec<u8>) {
        for piece in text.split_inclusive(|byte| *byte == b'\n') {
            let blank = piece.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
            if !self.within_line && !blank {
                out.extend_from_slice(format!("[{seconds:9.3}] ").as_bytes());
            }
            self.within_line = !piece.ends_with(b"\n") && (self.within_line || !blank);
            out.extend_from_slice(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_stamped_once_however_they_are_cut() {
        let text = b"one\r\n\r\ntwo\r\nthree";
        for step in 1..text.len() {
            let (mut stamps, mut out) = (Stamps::default(), Vec::new());
            for chunk in text.chunks(step) {
                stamps.push(chunk, 1.5, &mut out);
            }
            let want = "[    1.500] one\r\n\r\n[    1.500] two\r\n[    1.500] three";
            assert_eq!(String::from_utf8(out).unwrap(), want, "by {step}");
        }
    }
}
