//! Where bytes go: to the raw log as they are, to the observer without what could harm.
//!
//! Invariant: bytes are in the log before anybody is shown them, and a log that cannot be
//! written does not keep them from being shown.

use std::io;

use super::{Event, Observer};
use crate::log::RawLog;
use crate::sanitise::Sanitiser;
use crate::text::Undoubler;

pub(super) struct Keeper<'a> {
    log: Option<&'a mut RawLog>,
    log_error: Option<String>,
    observer: &'a mut dyn Observer,
    undoubler: Option<Undoubler>,
    sanitiser: Sanitiser,
    safe: Vec<u8>,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(
        log: Option<&'a mut RawLog>,
        observer: &'a mut dyn Observer,
        undouble: bool,
    ) -> Self {
        Self {
            log,
            log_error: None,
            observer,
            undoubler: undouble.then(Undoubler::default),
            sanitiser: Sanitiser::default(),
            safe: Vec::new(),
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        self.observer.event(event);
    }

    /// Why the log is not complete.
    pub(super) fn log_error(self) -> Option<String> {
        self.log_error
    }

    /// Records and shows bytes. An error is the observer's.
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.record(bytes);
        let Self { undoubler, sanitiser, safe, .. } = self;
        match undoubler {
            Some(undoubler) => undoubler.push(bytes, |piece| sanitiser.push(piece, safe)),
            None => sanitiser.push(bytes, safe),
        }
        self.put_out()
    }

    fn record(&mut self, bytes: &[u8]) {
        let Some(log) = &mut self.log else { return };
        if let Err(error) = log.append(bytes) {
            self.log = None;
            self.log_error = Some(error.to_string());
            self.event(Event::LogFailed(error));
        }
    }

    /// Shows what is held back for bytes that may never come.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Self { undoubler, sanitiser, safe, .. } = self;
        if let Some(undoubler) = undoubler {
            undoubler.flush(|piece| sanitiser.push(piece, safe));
        }
        self.put_out()
    }

    /// The same where none will: what follows does not continue it.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        self.sanitiser.finish(&mut self.safe);
        self.put_out()
    }

    fn put_out(&mut self) -> io::Result<()> {
        let put_out = match self.safe.is_empty() {
            true => Ok(()),
            false => self.observer.output(&self.safe),
        };
        self.safe.clear();
        put_out
    }
}
