//! Text for a terminal that may quote what others wrote: a console's lines, a server's words.
//!
//! Invariant: no control character but newline and tab reaches a terminal with it, nor those
//! that a terminal takes for one in their UTF-8 form (U+0080 to U+009F).

use std::borrow::Cow;

/// The text with control characters made visible: `␛`, `\x9b`.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    shown(text, |letter| matches!(letter, '\n' | '\t'))
}

/// The same for text that carries styles of ours.
pub(super) fn harmless_but_styles(text: &str) -> Cow<'_, str> {
    shown(text, |letter| matches!(letter, '\n' | '\t' | '\x1b'))
}

/// A JSON text with those escaped that JSON itself lets through.
pub(super) fn harmless_json(json: String) -> String {
    if !json.contains(is_c1) {
        return json;
    }
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        match is_c1(letter) {
            true => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            false => out.push(letter),
        }
    }
    out
}

fn shown(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let harms = |letter: char| letter.is_control() && !stays(letter);
    if !text.contains(harms) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            _ if !harms(letter) => out.push(letter),
            '\x7f' => out.push('␡'),
            _ if is_c1(letter) => out.push_str(&format!("\\x{:02x}", u32::from(letter))),
            _ => out.extend(char::from_u32(0x2400 + u32::from(letter))),
        }
    }
    out.into()
}

fn is_c1(letter: char) -> bool {
    ('\u{80}'..='\u{9f}').contains(&letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(harmless("é\ta\n"), "é\ta\n");
        assert_eq!(harmless("\x1b]0;t\x07\u{9b}6n\x7f\r\u{9d}"), "␛]0;t␇\\x9b6n␡␍\\x9d");
        assert_eq!(harmless_but_styles("\x1b[1mok\x1b[0m \x05\u{90}"), "\x1b[1mok\x1b[0m ␅\\x90");
    }

    #[test]
    fn json_stays_what_it_was() {
        let value = serde_json::json!({ "text": "é \u{9b}6n \x1b \u{80}" });
        let line = harmless_json(value.to_string());
        assert!(line.contains("\\u009b6n") && !line.contains(is_c1), "{line}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
    }
}
