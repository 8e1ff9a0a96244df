//! Pieces of one stream, joined again: case by case, and whatever the order of events.

use proptest::prelude::*;

use super::*;

fn text(out: &[Merged]) -> String {
    out.iter()
        .map(|piece| match piece {
            Merged::Live(bytes) | Merged::Backlog(bytes) => {
                String::from_utf8_lossy(bytes).into_owned()
            }
            Merged::Gap(_) => "<gap>".to_owned(),
            Merged::Sized(bytes) => format!("<{bytes}>"),
        })
        .collect()
}

fn live(merger: &mut Merger, text: &str, out: &mut Vec<Merged>) {
    merger.live(Bytes::copy_from_slice(text.as_bytes()), out);
}

#[test]
fn windows_alone_are_joined_by_overlap() {
    let (mut merger, mut out) = (Merger::default(), Vec::new());
    merger.window(b"line 1\nline 2\n", &mut out);
    merger.window(b"line 1\nline 2\nline 3\n", &mut out);
    merger.window(b"line 1\nline 2\nline 3\n", &mut out);
    assert_eq!(text(&out), "line 1\nline 2\nline 3\n");
}

#[test]
fn windows_without_overlap_have_a_gap_between() {
    let (mut merger, mut out) = (Merger::default(), Vec::new());
    merger.window(b"line 1\n", &mut out);
    merger.window(b"LINE 9\n", &mut out);
    assert_eq!(text(&out), "line 1\n<gap>LINE 9\n");
}

#[test]
fn what_was_printed_before_the_session_comes_first() {
    let (mut merger, mut out) = (Merger::default(), Vec::new());
    merger.session_started(&mut out);
    live(&mut merger, "line 3 is rather long\n", &mut out);
    assert!(merger.is_holding());
    merger.window(b"line 1\nline 2\nline 3 is rather long\nline 4\n", &mut out);
    live(&mut merger, "line 4\n", &mut out);
    assert_eq!(text(&out), "line 1\nline 2\nline 3 is rather long\nline 4\n");
}

#[test]
fn a_window_that_is_ahead_of_the_session_does_not_double_bytes() {
    let (mut merger, mut out) = (Merger::default(), Vec::new());
    merger.session_started(&mut out);
    merger.window(b"line 1\nline 2\nline 3 is long enough\n", &mut out);
    live(&mut merger, "line 2\nline 3 is long enough\nline 4\n", &mut out);
    merger.window(b"line 1\nline 2\nline 3 is long enough\nline 4\n", &mut out);
    assert_eq!(text(&out), "line 1\nline 2\nline 3 is long enough\nline 4\n");
}

#[test]
fn a_window_of_before_the_session_showed_anything_does_not_settle_where_it_began() {
    let (mut merger, mut out) = (Merger::default(), Vec::new());
    let before = b"one\nHello World again\ntwo\n";
    merger.session_started(&mut out);
    merger.window(before, &mut out);
    live(&mut merger, "Hello World again\n", &mut out);
    merger.stale_window(before, &mut out);
    for _ in 0..2 {
        merger.window(b"one\nHello World again\ntwo\nHello World again\n", &mut out);
    }
    live(&mut merger, "three\n", &mut out);
    assert_eq!(text(&out), "one\nHello World again\ntwo\nHello World again\nthree\n");
}

#[test]
fn what_a_drop_lost_is_filled() {
    let (mut merger, mut out) = (Merger::default(), Vec::new());
    merger.window(b"", &mut out);
    merger.session_started(&mut out);
    live(&mut merger, "line 1 before the drop\n", &mut out);
    merger.window(b"", &mut out);
    merger.give_up(&mut out);
    merger.session_ended();
    merger.session_started(&mut out);
    live(&mut merger, "line 3 after the drop\n", &mut out);
    merger.window(b"line 1 before the drop\nline 2 lost\nline 3 after the drop\n", &mut out);
    assert_eq!(text(&out), "line 1 before the drop\nline 2 lost\nline 3 after the drop\n");
}

#[test]
fn what_a_short_session_showed_comes_with_the_next_window() {
    let (mut merger, mut out) = (Merger::default(), Vec::new());
    merger.window(b"line 1 before the session\n", &mut out);
    merger.session_started(&mut out);
    live(&mut merger, "line 3\n", &mut out);
    merger.session_ended();
    assert!(merger.is_holding() && merger.wants_windows());
    merger.window(b"line 1 before the session\nline 2\nline 3\nline 4\n", &mut out);
    assert!(!merger.is_holding());
    assert_eq!(text(&out), "line 1 before the session\nline 2\nline 3\nline 4\n");
}

#[test]
fn without_a_window_in_time_there_is_a_gap() {
    let (mut merger, mut out) = (Merger::default(), Vec::new());
    merger.window(b"line 1\n", &mut out);
    merger.session_started(&mut out);
    live(&mut merger, "line 3\n", &mut out);
    merger.give_up(&mut out);
    live(&mut merger, "line 4\n", &mut out);
    assert_eq!(text(&out), "line 1\n<gap>line 3\nline 4\n");
}

#[test]
fn a_window_that_comes_late_tells_the_size_of_a_gap() {
    let (mut merger, mut out) = (Merger::default(), Vec::new());
    let (before, lost, after) = ("line 1 before the drop\n", "line 2\n", "line 3 after it\n");
    merger.window(before.as_bytes(), &mut out);
    merger.session_started(&mut out);
    live(&mut merger, after, &mut out);
    assert!(merger.wants_windows());
    merger.give_up(&mut out);
    assert!(merger.wants_windows());
    for window in [before.to_owned(), format!("{before}{lost}{after}")] {
        merger.window(window.as_bytes(), &mut out);
    }
    assert!(!merger.wants_windows());
    live(&mut merger, "line 4\n", &mut out);
    assert_eq!(text(&out), format!("{before}<gap>{after}<7>line 4\n"));
}

#[test]
fn what_was_before_a_session_is_missing_when_no_window_comes_in_time() {
    let (mut merger, mut out) = (Merger::default(), Vec::new());
    merger.session_started(&mut out);
    live(&mut merger, "line 2 that is long\n", &mut out);
    merger.give_up(&mut out);
    merger.window(b"line 1\nline 2 that is long\n", &mut out);
    live(&mut merger, "line 3\n", &mut out);
    assert_eq!(out[0], Merged::Gap(Missing::Unseen));
    assert_eq!(text(&out), "<gap>line 2 that is long\n<7>line 3\n");
    // A window that had nothing says that there was nothing.
    let (mut merger, mut out) = (Merger::default(), Vec::new());
    merger.window(b"", &mut out);
    merger.session_started(&mut out);
    live(&mut merger, "line 1\n", &mut out);
    merger.give_up(&mut out);
    assert_eq!(text(&out), "line 1\n");
}

#[test]
fn what_is_no_longer_kept_is_missing() {
    let (mut merger, mut out) = (Merger::default(), Vec::new());
    let full = stream(WINDOW);
    merger.window(&full, &mut out);
    assert_eq!(out[0], Merged::Gap(Missing::Before));
    let overrun = stream(3 * WINDOW).split_off(2 * WINDOW);
    merger.window(&overrun, &mut out);
    assert_eq!(out[2], Merged::Gap(Missing::Overrun { printed: 65536 }));
    assert_eq!(out.len(), 4);
    let (mut merger, mut out) = (Merger::default(), Vec::new());
    merger.window(&full[1..], &mut out);
    assert_eq!(out.len(), 1);
}

#[test]
fn a_held_flood_is_let_go() {
    let (mut merger, mut out) = (Merger::default(), Vec::new());
    merger.session_started(&mut out);
    merger.live(Bytes::from(vec![b'x'; MAX_HELD + 1]), &mut out);
    assert!(!merger.is_holding());
    assert!(matches!(out[..], [Merged::Gap(Missing::Unseen), Merged::Live(_)]), "{}", out.len());
}

#[derive(Clone, Debug)]
enum Step {
    Print(usize),
    Connect,
    Drop,
    Window { lag: usize, size: usize },
    GiveUp,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..3000).prop_map(Step::Print),
        2 => Just(Step::Connect),
        1 => Just(Step::Drop),
        4 => (0usize..400, 200usize..6000).prop_map(|(lag, size)| Step::Window { lag, size }),
        1 => Just(Step::GiveUp),
    ]
}

/// A stream in which hardly any four bytes come twice.
fn stream(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'!' + (state % 94) as u8
    };
    (0..length).map(letter).collect()
}

/// Pieces that are found in the stream again.
#[derive(Default)]
struct Found {
    /// How far they have come.
    at: usize,
    /// What is not placed yet.
    run: Vec<u8>,
    /// A gap is before it.
    gap: bool,
    /// What was missing at the last one; nothing is known of one at the start, as these
    /// windows are cut to less than those that count.
    lost: Option<usize>,
}

impl Found {
    fn place(&mut self, stream: &[u8]) -> Result<(), String> {
        let run = std::mem::take(&mut self.run);
        if run.is_empty() {
            return Ok(());
        }
        let Some(skipped) = memchr::memmem::find(&stream[self.at..], &run) else {
            let run = String::from_utf8_lossy(&run);
            return Err(format!("not in order at {}: {run}", self.at));
        };
        if self.gap {
            self.lost = (self.at > 0).then_some(skipped);
        } else if skipped > 0 {
            return Err(format!("{skipped} bytes lost unmarked at {}", self.at));
        }
        self.at += skipped + run.len();
        self.gap = false;
        Ok(())
    }
}

/// Checks the pieces against the stream.
fn check(stream: &[u8], out: &[Merged]) -> Result<(), String> {
    let mut found = Found { gap: true, ..Found::default() };
    for piece in out {
        match piece {
            Merged::Live(bytes) | Merged::Backlog(bytes) => found.run.extend_from_slice(bytes),
            Merged::Gap(_) => {
                found.place(stream)?;
                found.gap = true;
            }
            Merged::Sized(bytes) => {
                found.place(stream)?;
                if let Some(lost) = found.lost
                    && lost as u64 != *bytes
                {
                    return Err(format!("{lost} bytes are missing, not {bytes}"));
                }
            }
        }
        if found.run.len() >= 16 {
            found.place(stream)?;
        }
    }
    found.place(stream)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn nothing_is_doubled_reordered_or_lost_in_silence(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let stream = stream(40 * 3000);
        let (mut merger, mut out) = (Merger::default(), Vec::new());
        let (mut printed, mut session, mut newest) = (0, false, 0);
        for step in &steps {
            if merger.is_holding() && !matches!(step, Step::Print(_) | Step::Window { .. }) {
                newest = printed;
            }
            match step {
                Step::Print(count) => {
                    let bytes = Bytes::copy_from_slice(&stream[printed..printed + count]);
                    printed += count;
                    if session {
                        merger.live(bytes, &mut out);
                    }
                }
                Step::Connect => {
                    if session { merger.session_ended(); }
                    merger.session_started(&mut out);
                    session = true;
                }
                Step::Drop => {
                    if session { merger.session_ended(); }
                    session = false;
                }
                Step::Window { lag, size } => {
                    newest = newest.max(printed.saturating_sub(*lag));
                    merger.window(&stream[newest.saturating_sub(*size)..newest], &mut out);
                }
                Step::GiveUp => merger.give_up(&mut out),
            }
        }
        if let Err(problem) = check(&stream, &out) {
            return Err(TestCaseError::fail(format!("{problem}\n{}", text(&out))));
        }
    }
}
