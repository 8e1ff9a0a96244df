//! Records a session as asciicast version 2, which `asciinema play` shows.
//!
//! A header line, then a line `[seconds, "o", text]` for each piece of output; `r` for a
//! terminal of another size, `m` for marks. Takes what may reach a terminal: a recording is
//! played on one. What is typed is not in it, a password for instance. Each line is written at
//! once, so that a recording is whole however the process ends.
//! Reference: <https://docs.asciinema.org/manual/asciicast/v2/>.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

/// Bytes of text in an event at most: what does not fit on a disk is lost by events.
const EVENT: usize = 8 * 1024;

/// What the header says.
#[derive(Clone, Debug)]
pub struct Screen {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// When the recording began.
    pub began: jiff::Timestamp,
    /// The machine's name, for instance.
    pub title: Option<String>,
}

/// A recording that is being written.
#[derive(Debug)]
pub struct Recording {
    path: Utf8PathBuf,
    file: File,
    /// Bytes of whole lines.
    written: u64,
    /// The last output ended in a carriage return.
    returned: bool,
}

/// Why a recording is not complete.
#[derive(Debug, thiserror::Error)]
#[error("recording {path}: {source}")]
pub struct RecordError {
    /// The file.
    pub path: Utf8PathBuf,
    /// The cause.
    pub source: std::io::Error,
}

impl Recording {
    /// Makes or empties the file and writes the header.
    pub fn create(path: &Utf8Path, screen: &Screen) -> Result<Self, RecordError> {
        // Errors of ours name the path.
        let file =
            File::create(path).map_err(|source| RecordError { path: path.to_owned(), source })?;
        let mut recording = Self { path: path.to_owned(), file, written: 0, returned: false };
        let mut header = serde_json::json!({
            "version": 2,
            "width": screen.width,
            "height": screen.height,
            "timestamp": screen.began.as_second(),
        });
        if let Some(title) = &screen.title {
            header["title"] = title.as_str().into();
        }
        recording.line(&header)?;
        Ok(recording)
    }

    /// Output that may reach a terminal, `at` from the start. A newline without a carriage
    /// return gets one, as a terminal's driver gives it: players have none.
    pub fn output(&mut self, at: Duration, safe: &[u8]) -> Result<(), RecordError> {
        let safe = String::from_utf8_lossy(safe);
        let mut text = String::with_capacity(safe.len());
        for letter in safe.chars() {
            if letter == '\n' && !self.returned {
                text.push('\r');
            }
            self.returned = letter == '\r';
            text.push(letter);
        }
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.floor_char_boundary(EVENT));
            self.event(at, "o", now)?;
            rest = later;
        }
        Ok(())
    }

    /// The terminal has another size now.
    pub fn resized(&mut self, at: Duration, width: u16, height: u16) -> Result<(), RecordError> {
        self.event(at, "r", &format!("{width}x{height}"))
    }

    /// A mark to jump to, for instance the name of a phase.
    pub fn mark(&mut self, at: Duration, label: &str) -> Result<(), RecordError> {
        self.event(at, "m", label)
    }

    fn event(&mut self, at: Duration, kind: &str, text: &str) -> Result<(), RecordError> {
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 microseconds")]
        let seconds = at.as_micros() as f64 / 1e6;
        self.line(&serde_json::json!([seconds, kind, text]))
    }

    fn line(&mut self, value: &serde_json::Value) -> Result<(), RecordError> {
        let line = format!("{value}\n");
        if let Err(source) = self.file.write_all(line.as_bytes()) {
            // Players refuse part of a line. Where nothing can be cut, nothing was a file.
            let _ = self.file.set_len(self.written);
            return Err(RecordError { path: self.path.clone(), source });
        }
        self.written += line.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen() -> Screen {
        let began = jiff::Timestamp::from_second(1_700_000_000).unwrap();
        Screen { width: 80, height: 24, began, title: Some("hello".into()) }
    }

    #[test]
    fn a_recording_has_a_header_and_a_line_for_each_event() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("x.cast");
        let mut recording = Recording::create(&path, &screen()).unwrap();
        recording.output(Duration::from_millis(1500), "\x1b[1mé\r\n".as_bytes()).unwrap();
        recording.mark(Duration::from_secs(2), "kernel").unwrap();
        recording.resized(Duration::from_secs(3), 132, 50).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let header: serde_json::Value = lines.next().unwrap();
        assert_eq!(header["version"], 2);
        assert_eq!(header["timestamp"], 1_700_000_000);
        assert_eq!(header["title"], "hello");
        let events: Vec<serde_json::Value> = lines.collect();
        let want = serde_json::json!([
            [1.5, "o", "\x1b[1mé\r\n"],
            [2.0, "m", "kernel"],
            [3.0, "r", "132x50"]
        ]);
        assert_eq!(serde_json::Value::from(events), want);
    }

    #[test]
    fn each_newline_has_its_carriage_return_once() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("x.cast");
        let mut recording = Recording::create(&path, &screen()).unwrap();
        for piece in ["one\ntwo\r", "\nthree\r\n", "\n"] {
            recording.output(Duration::ZERO, piece.as_bytes()).unwrap();
        }
        let text = fs_err::read_to_string(&path).unwrap();
        let pieces = text.lines().skip(1).map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event[2].as_str().unwrap().to_owned()
        });
        assert_eq!(pieces.collect::<String>(), "one\r\ntwo\r\nthree\r\n\r\n");
    }

    #[test]
    fn much_output_is_several_events_of_whole_letters() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("x.cast");
        let mut recording = Recording::create(&path, &screen()).unwrap();
        let text = "é".repeat(EVENT) + "x";
        recording.output(Duration::ZERO, text.as_bytes()).unwrap();
        let lines = fs_err::read_to_string(&path).unwrap();
        let events: Vec<serde_json::Value> =
            lines.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.len(), 3);
        let all: String = events.iter().map(|event| event[2].as_str().unwrap()).collect();
        assert_eq!(all, text);
    }

    #[test]
    fn a_full_disk_is_said() {
        let error = Recording::create(Utf8Path::new("/dev/full"), &screen()).unwrap_err();
        assert!(error.to_string().starts_with("recording /dev/full: "), "{error}");
    }
}
