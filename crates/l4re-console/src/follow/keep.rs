//! Where bytes go: to the raw log as they are, to the observer without what could harm.
//!
//! Invariant: bytes are in the log before anybody is shown them, and a log that cannot be
//! written does not keep them from being shown.

use std::io;

use super::filters::Filters;
use super::{Event, Observer};
use crate::log::RawLog;
use crate::sanitise::Sequences;

pub(super) struct Keeper<'a> {
    log: Option<&'a mut RawLog>,
    log_error: Option<String>,
    observer: &'a mut dyn Observer,
    filters: Filters,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(
        log: Option<&'a mut RawLog>,
        observer: &'a mut dyn Observer,
        undouble: bool,
        sequences: Sequences,
    ) -> Self {
        Self { log, log_error: None, observer, filters: Filters::new(undouble, sequences) }
    }

    pub(super) fn event(&mut self, event: Event) {
        self.observer.event(event);
    }

    /// Why the log is not complete.
    pub(super) fn log_error(self) -> Option<String> {
        self.log_error
    }

    /// Records and shows bytes, and looks at them meanwhile. An error is the observer's.
    pub(super) fn take<R>(
        &mut self,
        bytes: &[u8],
        look: impl FnOnce() -> R,
    ) -> (R, io::Result<()>) {
        let Self { log, filters, .. } = self;
        let record = || log.as_mut().map_or(Ok(()), |log| log.append(bytes));
        let (recorded, seen) = filters.push(bytes, record, look);
        if let Err(error) = recorded {
            self.log = None;
            self.log_error = Some(error.to_string());
            self.event(Event::LogFailed(error));
        }
        (seen, self.put_out())
    }

    /// Shows what is held back for bytes that may never come.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.filters.flush();
        self.put_out()
    }

    /// The same where none will: what follows does not continue it.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.filters.finish();
        self.put_out()
    }

    fn put_out(&mut self) -> io::Result<()> {
        self.filters.take(|safe| self.observer.output(safe))
    }
}
