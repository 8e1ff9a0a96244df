//! Takes from console bytes what could harm a terminal.
//!
//! Passes: text, valid UTF-8, tab, newline, carriage return, backspace, and of the sequences
//! those in [`Sequences`] that are asked for. Everything else is dropped or made visible:
//! titles, clipboard and other strings (OSC, DCS, SOS, PM, APC), queries (DA, DSR, DECRQSS,
//! ENQ), modes, character sets, resets, repeats, erasing what was scrolled away, C1 controls
//! in both forms. Other controls become their pictures (`␅`), other bytes `\xNN`.
//!
//! Invariants: the result does not depend on how the bytes are cut; a newline ends every
//! sequence, so that noise hides at most the rest of its line; a sequence is held back until
//! it is known to be harmless, in at most 64 bytes. Grammar: ECMA-48.

use super::piece::{
    ESC, MAX_SEQUENCE, PIECE, Sequences, is_follower, passes, sequence_length, show_bytes,
    show_piece, show_sequence,
};
use crate::text::blocks_of;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// `held` is ESC and intermediate bytes.
    Escape,
    /// `held` is ESC `[` and parameters.
    Csi,
    /// A CSI that is too long or malformed: dropped to its end.
    BadCsi,
    /// In OSC, DCS, SOS, PM or APC: dropped.
    String,
    /// ESC within such a string.
    StringEscape,
    /// `held` is the start of a UTF-8 sequence.
    Utf8,
}

/// The streaming filter.
#[derive(Clone, Debug, Default)]
pub struct Sanitiser {
    state: State,
    held: Vec<u8>,
    sequences: Sequences,
}

impl Sanitiser {
    /// A filter that lets these control sequences pass.
    #[must_use]
    pub fn new(sequences: Sequences) -> Self {
        Self { sequences, ..Self::default() }
    }

    /// Appends what of `raw` may reach a terminal to `safe`.
    pub fn push(&mut self, raw: &[u8], safe: &mut Vec<u8>) {
        safe.reserve(raw.len());
        let mut rest = raw;
        while let Some((&byte, next)) = rest.split_first() {
            rest = match self.state {
                State::Text => self.text(rest, safe),
                State::String => {
                    let Some(at) = memchr::memchr3(ESC, 0x07, b'\n', rest) else { return };
                    self.step(rest[at], safe);
                    &rest[at + 1..]
                }
                _ => {
                    self.step(byte, safe);
                    // Once one has had its effect, NULs within a sequence have none.
                    let more = if byte == 0 { blocks_of(next, |byte| byte == 0) } else { 0 };
                    &next[more..]
                }
            };
        }
    }

    /// Takes text and whole sequences up to one that is cut or odd. Gives what follows.
    fn text<'a>(&mut self, bytes: &'a [u8], safe: &mut Vec<u8>) -> &'a [u8] {
        let mut shown = [0; 4 * PIECE + MAX_SEQUENCE];
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if first == 0 {
                // Runs of NULs are common on lines that are down.
                rest = &rest[blocks_of(rest, |byte| byte == 0)..];
            } else {
                let plain = blocks_of(rest, |byte| {
                    (byte.wrapping_sub(0x20) < 0x5f)
                        | (byte == b'\n')
                        | (byte == b'\r')
                        | (byte == b'\t')
                });
                safe.extend_from_slice(&rest[..plain]);
                rest = &rest[plain..];
            }
            let (taken, length) = show_piece(rest, self.sequences, &mut shown);
            safe.extend_from_slice(&shown[..length]);
            rest = &rest[taken..];
            if taken == 0
                && let Some((&byte, next)) = rest.split_first()
            {
                if byte == ESC {
                    self.begin_escape();
                } else {
                    // A UTF-8 sequence that these bytes do not hold to its end.
                    self.held.clear();
                    self.held.push(byte);
                    self.state = State::Utf8;
                }
                return next;
            }
        }
        rest
    }

    /// Shows an unfinished UTF-8 sequence and forgets an unfinished escape sequence: the
    /// stream is at its end.
    pub fn finish(&mut self, safe: &mut Vec<u8>) {
        if self.state == State::Utf8 {
            show_bytes(&self.held, safe);
        }
        self.held.clear();
        self.state = State::Text;
    }

    fn step(&mut self, byte: u8, safe: &mut Vec<u8>) {
        match self.state {
            State::Text => {
                self.text(&[byte], safe);
            }
            State::Utf8 => self.utf8(byte, safe),
            _ if byte == b'\n' => {
                self.held.clear();
                self.state = State::Text;
                safe.push(byte);
            }
            State::String => match byte {
                ESC => self.state = State::StringEscape,
                0x07 => self.state = State::Text,
                _ => {}
            },
            _ if byte == ESC => self.begin_escape(),
            State::Escape | State::StringEscape => self.escape(byte, safe),
            State::Csi => self.csi(byte, safe),
            State::BadCsi => {
                if (0x40..=0x7e).contains(&byte) {
                    self.state = State::Text;
                }
            }
        }
    }

    fn begin_escape(&mut self) {
        self.held.clear();
        self.held.push(ESC);
        self.state = State::Escape;
    }

    /// The byte after the start of a UTF-8 sequence.
    fn utf8(&mut self, byte: u8, safe: &mut Vec<u8>) {
        if is_follower(byte) {
            self.held.push(byte);
            if self.held.len() == sequence_length(self.held[0]) {
                show_sequence(&self.held, safe);
                self.held.clear();
                self.state = State::Text;
            }
            return;
        }
        show_bytes(&self.held, safe);
        self.held.clear();
        self.state = State::Text;
        self.step(byte, safe);
    }

    /// The byte after ESC, at the start or within a string.
    fn escape(&mut self, byte: u8, safe: &mut Vec<u8>) {
        let alone = self.state == State::Escape && self.held.len() == 1;
        self.state = match byte {
            b'[' => {
                self.held.clear();
                self.held.extend([ESC, b'[']);
                State::Csi
            }
            b']' | b'P' | b'X' | b'^' | b'_' => State::String,
            0x20..=0x2f => {
                self.held.truncate(1);
                self.held.push(byte);
                State::Escape
            }
            b'7' | b'8' if alone => {
                if self.sequences == Sequences::Harmless {
                    safe.extend([ESC, byte]);
                }
                State::Text
            }
            0x00..0x20 => State::Escape,
            _ => State::Text,
        };
    }

    fn csi(&mut self, byte: u8, safe: &mut Vec<u8>) {
        self.held.push(byte);
        match byte {
            0x20..=0x3f if self.held.len() < MAX_SEQUENCE => {}
            0x40..=0x7e => {
                if passes(&self.held[2..], self.sequences) {
                    safe.extend_from_slice(&self.held);
                }
                self.held.clear();
                self.state = State::Text;
            }
            _ => {
                self.held.clear();
                self.state = State::BadCsi;
            }
        }
    }
}

#[cfg(test)]
mod tests;
