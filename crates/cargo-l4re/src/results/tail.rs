//! The end of a console, from its raw log, as plain text.

use std::io::{Read, Seek, SeekFrom};

use camino::Utf8Path;
use l4re_console::sanitise::{Sanitiser, Sequences};

/// The last `limit` bytes of a log, begun at a line, without anything but text. A log that is
/// not there has no end.
pub(super) fn text(log: &Utf8Path, limit: u64) -> String {
    let Ok(bytes) = last_bytes(log, limit) else { return String::new() };
    let mut plain = Vec::new();
    Sanitiser::new(Sequences::None).push(&bytes, &mut plain);
    String::from_utf8_lossy(&plain).replace('\r', "")
}

fn last_bytes(log: &Utf8Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut file = fs_err::File::open(log)?;
    let size = file.metadata()?.len();
    let from = size.saturating_sub(limit);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    if from > 0 {
        let line = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes.drain(..line);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use camino_tempfile::tempdir;

    use super::*;

    #[test]
    fn the_end_begins_at_a_line_and_is_plain() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("log");
        fs_err::write(&path, b"first\r\nsecond\r\n\x1b[31mred\x1b[m \x1b]0;t\x07end").unwrap();
        assert_eq!(text(&path, 28), "red end");
        assert_eq!(text(&path, 1000), "first\nsecond\nred end");
        assert_eq!(text(&dir.path().join("none"), 9), "");
    }
}
