//! Tests of the filter: examples, and properties of whatever comes.

use proptest::prelude::*;

use super::*;

fn safe(raw: &[u8]) -> String {
    filtered(Sanitiser::default(), raw)
}

fn plain(raw: &[u8]) -> String {
    filtered(Sanitiser::new(Sequences::None), raw)
}

fn filtered(mut sanitiser: Sanitiser, raw: &[u8]) -> String {
    let mut out = Vec::new();
    sanitiser.push(raw, &mut out);
    sanitiser.finish(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn text_colours_and_movement_pass() {
    for text in [
        "Hello World!\r\n\t",
        "\x1b[1;32mWelcome\x1b[0m",
        "\x1b[38;5;196mx\x1b[38:2::1:2:3mx",
        "\x1b[2J\x1b[01;01H\x1b[10A\x1b[K\x1b[J\x1b[0J\x1b[1J",
        "\x1b7\x1b8\x1b[s\x1b[u\x1b[?25l\x1b[?25h",
        "naïve — 日本 🦀",
        "10%\u{8}\u{8}\u{8}",
    ] {
        assert_eq!(safe(text.as_bytes()), text);
    }
}

#[test]
fn colours_are_left_where_they_are_wanted() {
    let raw = b"\x1b[2J\x1b[1;1Ha\x1b[1;32mb\x1b[m\x1b7c\x1b[K";
    let colours = Sanitiser::new(Sequences::Colours);
    assert_eq!(filtered(colours, raw), "a\x1b[1;32mb\x1b[mc");
}

#[test]
fn a_plain_filter_lets_text_pass_and_no_sequence() {
    assert_eq!(plain("a\x1b[1;32mb\x1b[m\x1b7\x1b8é\r\n\x1b[?25h".as_bytes()), "abé\r\n");
    assert_eq!(plain(b"nothing but text"), "nothing but text");
    for cut in ["\x1b", "\x1b[", "\x1b[1"] {
        assert_eq!(plain(cut.as_bytes()), "");
    }
}

#[test]
fn titles_clipboard_queries_and_modes_do_not() {
    for bad in [
        "\x1b]0;title\x07",
        "\x1b]52;c;aGk=\x1b\\",
        "\x1bP$q\"p\x1b\\",
        "\x1b_apc\x1b\\",
        "\x1b^pm\x1b\\",
        "\x1bXsos\x1b\\",
        "\x1b[c",
        "\x1b[>c",
        "\x1b[6n",
        "\x1b[21t",
        "\x1b[3J",
        "\x1b[03J",
        "\x1b[0;3J",
        "\x1b[?1049h",
        "\x1b[?1000h",
        "\x1b[=3h",
        "\x1b[4h",
        "\x1b[99999b",
        "\x1b[!p",
        "\x1bc",
        "\x1bZ",
        "\x1b(0",
        "\x1b#8",
        "\x1b[1;2r",
        "\x1b[0 q",
        "\0",
    ] {
        assert_eq!(safe(format!("a{bad}b").as_bytes()), "ab", "{bad:?}");
    }
}

#[test]
fn controls_and_bytes_that_are_not_text_become_visible() {
    assert_eq!(safe(b"\x05\x07\x0e\x7f"), "␅␇␎␡");
    assert_eq!(safe(b"\x9b6n\xff"), r"\x9b6n\xff");
    assert_eq!(safe("\u{9b}6n".as_bytes()), r"\xc2\x9b6n");
    assert_eq!(safe(b"\xe6\x97x\xc3"), r"\xe6\x97x\xc3");
    assert_eq!(safe(b"\xed\xa0\x80"), r"\xed\xa0\x80");
    assert_eq!(safe(b"\xc3\x1b[c\xc3\n"), "\\xc3\\xc3\n");
}

#[test]
fn floods_of_nuls_change_nothing_wherever_they_come() {
    let flood = "\0".repeat(1000);
    for (start, end) in [("a\x1b", "[31mb"), ("a\x1b[3", "1mb"), ("a\x1b]0;", "\x07b"), ("a", "b")]
    {
        let few = safe(format!("{start}\0{end}").as_bytes());
        assert_eq!(safe(format!("{start}{flood}{end}").as_bytes()), few);
    }
}

#[test]
fn what_never_ends_hides_one_line_at_most() {
    assert_eq!(safe(b"a\x1b]0;never\nb\x1b[1;\nc"), "a\nb\nc");
    let mut long = b"\x1b[".to_vec();
    long.extend([b'1'; 1000]);
    long.extend(b"mx");
    assert_eq!(safe(&long), "x");
}

/// An independent reading of what may come out.
fn check(out: &str) -> Result<(), String> {
    let allowed = regex::Regex::new(
        r"^(?s:[\n\r\t\x08]|[^\x00-\x1f\x7f-\x{9f}]|\x1b(?:[78]|\[(?:[0-9;:]*m|[0-9;]*[A-HKdf]|[012]?J|[su]|\?25[hl])))*$",
    );
    if allowed.unwrap().is_match(out) { Ok(()) } else { Err(format!("{out:?}")) }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let nasty = prop::sample::select(vec![
        b"\x1b[".to_vec(),
        b"\x1b]0;".to_vec(),
        b"\x1bP".to_vec(),
        b"\x1b".to_vec(),
        b"\x1b\\".to_vec(),
        b"\x07".to_vec(),
        b"\xc2".to_vec(),
        b"\x9b".to_vec(),
        b"6n".to_vec(),
        b"c".to_vec(),
        b"31m".to_vec(),
        b"\n".to_vec(),
        b"?25h".to_vec(),
        b"\x1b[c".to_vec(),
        b"\x1b(0".to_vec(),
        "é".as_bytes().to_vec(),
        b" ".to_vec(),
    ]);
    let part = prop_oneof![3 => nasty, 1 => proptest::collection::vec(any::<u8>(), 1..4)];
    proptest::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn nothing_forbidden_comes_out(raw in bytes()) {
        if let Err(out) = check(&safe(&raw)) {
            return Err(TestCaseError::fail(out));
        }
    }

    #[test]
    fn cuts_do_not_matter(raw in bytes(), step in 1usize..5) {
        let mut out = Vec::new();
        let mut sanitiser = Sanitiser::default();
        for chunk in raw.chunks(step) {
            sanitiser.push(chunk, &mut out);
        }
        sanitiser.finish(&mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), safe(&raw));
    }

    #[test]
    fn plain_is_what_is_safe_without_its_sequences(raw in bytes(), step in 1usize..5) {
        let mut out = Vec::new();
        let mut sanitiser = Sanitiser::new(Sequences::None);
        for chunk in raw.chunks(step) {
            sanitiser.push(chunk, &mut out);
        }
        sanitiser.finish(&mut out);
        let of_safe = plain(safe(&raw).as_bytes());
        prop_assert!(!of_safe.contains('\x1b'));
        prop_assert_eq!(String::from_utf8(out).unwrap(), of_safe);
    }

    #[test]
    fn text_passes_unchanged(text in "[ -~\n]{0,200}") {
        prop_assert_eq!(safe(text.as_bytes()), text);
    }
}
