//! A picture of a guest's screen: QEMU writes one into the instance's directory when it is
//! asked to, as a portable pixmap.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use fs_err as fs;

use crate::machine::Machines;

/// The file that QEMU writes, in the instance's directory.
pub(super) const PICTURE: &str = "screen.ppm";

/// How long QEMU may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A picture, three bytes a pixel: red, green, blue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) pixels: Vec<u8>,
}

/// Asks an instance's machine for a picture and waits until it is whole. Blocking.
pub(crate) fn picture(machines: &Machines, id: &str, dir: &Utf8Path) -> io::Result<Picture> {
    // One at a time: all have the same name.
    static BUSY: Mutex<()> = Mutex::new(());
    let _held = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
    let path = dir.join(PICTURE);
    remove(&path)?;
    machines.photograph(id);
    let deadline = Instant::now() + LIMIT;
    loop {
        match fs::read(&path) {
            Ok(bytes) => {
                if let Some(picture) = parse(&bytes) {
                    remove(&path)?;
                    return Ok(picture);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "QEMU did not write one in time"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn remove(path: &Utf8Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// `P6`, width, height, 255, and the pixels: none if it is not whole (yet).
fn parse(bytes: &[u8]) -> Option<Picture> {
    let mut rest = bytes.strip_prefix(b"P6")?;
    let mut number = || {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        let (digits, after) = rest.split_at(end);
        rest = after;
        std::str::from_utf8(digits).ok()?.parse::<u16>().ok()
    };
    let (width, height, most) = (number()?, number()?, number()?);
    let pixels = rest.get(1..)?;
    let size = usize::from(width) * usize::from(height) * 3;
    (most == 255 && size > 0 && pixels.len() == size).then(|| Picture {
        width,
        height,
        pixels: pixels.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_read_when_it_is_whole_and_not_before() {
        let whole = b"P6\n2 1\n255\n\x0a\x0b\x0c\x0d\x0e\x0f";
        let picture = parse(whole).unwrap();
        assert_eq!((picture.width, picture.height), (2, 1));
        assert_eq!(picture.pixels, [10, 11, 12, 13, 14, 15]);
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), None, "{end}");
        }
        for bad in
            ["P5\n2 1\n255\n......", "P6\n99999 1\n255\n", "P6\n0 0\n255\n", "P6 2 1 1 ......"]
        {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
