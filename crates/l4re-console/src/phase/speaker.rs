//! Whose a line is, by its beginning: the system's, sigma0's or an application's.
//!
//! Invariant: nothing is taken for an application's that the system may have said.

use super::rules::RULES;

/// Who speaks in a line before its first colon or bracket.
const SPEAKERS: &[&[u8]] = &[b"MOE", b"Ned", b"SIGMA0", b"KERNEL", b"CPU", b"l4re_itas", b"L4Re"];
/// How other lines of the system begin.
const BEGINNINGS: &[&[u8]] = &[
    b"Ned says",
    b"l4re:",
    b"FATAL:",
    b"jdb",
    b"lua error: ",
    b"lua couldn't ",
    b"terminate called ",
    b"what: ",
    b"what(): ",
    b"CPU(s) ",
];

/// Whether a line after the root task's start comes from the system and not from an
/// application.
pub(super) fn from_system(line: &[u8]) -> bool {
    let line = untagged(line);
    let speaks = |speaker: &&[u8]| {
        let Some(rest) = line.strip_prefix(*speaker) else { return false };
        // `MOE:`, `MOE[rm]:`, `KERNEL2:`, `CPU 0 [ip]:`; `CPUs are plenty` is somebody's prose.
        let name = rest.iter().take_while(|&&byte| byte.is_ascii_digit() || byte == b' ').count();
        matches!(rest.get(name), Some(b':' | b'['))
    };
    SPEAKERS.iter().any(speaks) || BEGINNINGS.iter().any(|text| line.starts_with(text))
}

/// What stands behind a log's tag: `name    | text`.
fn untagged(line: &[u8]) -> &[u8] {
    match memchr::memchr(b'|', &line[..line.len().min(16)]) {
        Some(bar) => line[bar + 1..].trim_ascii_start(),
        None => line,
    }
}

/// Whether the beginning of a line, after which nothing came, can be an application's only:
/// `login: `.
pub(super) fn is_prompt(line: &[u8]) -> bool {
    let begins = |text: &[u8]| text.starts_with(line);
    let known = RULES.iter().any(|(needle, ..)| begins(needle.as_bytes()));
    let said = untagged(line);
    let speaks = SPEAKERS.iter().chain(BEGINNINGS).any(|text| text.starts_with(said));
    !(known || speaks || from_system(line) || from_sigma0(line))
}

/// Whether a line after sigma0's first one is sigma0's, too: its list of what is where.
pub(super) fn from_sigma0(line: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 5] =
        [b"KIP @ ", b"Found Fiasco: ", b"RAM:-----", b"IOMEM:-----", b"IO PORTS-----"];
    // `[4:R-X:16000;57fff]`
    let region = || {
        matches!(line, [b'[', _, b':', rights @ .., b']']
            if rights.get(3) == Some(&b':') && rights[..3].iter().all(|byte| b"RWX-".contains(byte)))
    };
    BEGINNINGS.iter().any(|text| line.starts_with(text))
        || (line.starts_with(b"allocated ") && line.ends_with(b" for maintenance structures"))
        || region()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_told_from_applications() {
        for line in [
            "MOE: loading 'rom/ned'",
            "Ned says: Hi World!",
            "Ned: loading file: 'rom/x.cfg'",
            "l4re_itas[rm]: unhandled read page fault at 0x0 pc=0x0",
            "CPU[1]: AuthenticAMD",
            "CPU0: SVM enabled",
            "KERNEL: Warning: x",
            "nobody  | terminate called from 0xa00 after throwing an instance of 'N'",
            "nobody  |   what: No such object found: rom/nobody",
            "lua error: x",
        ] {
            assert!(from_system(line.as_bytes()), "{line}");
        }
        for line in ["CPU usage: 3 %", "MOEBIUS strip", "Needle", "L4Re is fun", "x | Hello"] {
            assert!(!from_system(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn a_prompt_is_no_beginning_of_what_the_system_says() {
        for line in ["login:", "#", "Hello W", "vm | buildroot login:", "MOEbius"] {
            assert!(is_prompt(line.as_bytes()), "{line}");
        }
        for line in ["MO", "vm   |", "vm | l4re_it", "MOE: load", "Ned", "CPU", "[0:RW-:0;fff]"] {
            assert!(!is_prompt(line.as_bytes()), "{line}");
        }
    }
}
