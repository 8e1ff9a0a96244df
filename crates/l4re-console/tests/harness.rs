//! Verdicts on tests beside those of Perl's `TAP::Parser`, by which L4Re's `make test` judges.
//!
//! What stands between the marks goes to Perl as L4Re's `tool/lib/L4/TapWrapper.pm` hands it
//! over: without the prefix and carriage returns, with the plan at the end. Perl is there
//! wherever L4Re's build system is.

use l4re_console::tap::TapParser;
use l4re_console::text::Lines;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

/// Streams that are judged.
const STREAMS: usize = 400;

/// Reads streams that end with form feeds, and prints a verdict for each.
const PERL: &str = r#"
use TAP::Parser;
binmode STDIN;
$/ = "\f";
while (my $tap = <STDIN>) {
  chomp $tap;
  my $parser = TAP::Parser->new({ tap => "TAP Version 13\n$tap" });
  $parser->run;
  my $good = !$parser->has_problems && !$parser->failed;
  print $good ? "good\n" : "bad\n";
}
"#;

/// A line of a block: most are cases.
fn line() -> impl Strategy<Value = String> {
    let word = |words: &[&str]| {
        prop::sample::select(words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>())
    };
    let ok = word(&["ok", "ok", "ok", "ok", "ok", "ok", "ok", "not ok"]);
    let number = word(&["", "", "", "", " N", " N", " N", " 7"]);
    let name = word(&[
        "",
        " Suite.test",
        " - Suite::a",
        r" a \# b",
        " issue #7",
        " -1 neg",
        r" x\\",
        " # lead",
        " a#SKIP b",
        "-y",
        ": z",
    ]);
    let directive = word(&[
        "",
        "",
        "",
        "",
        " # SKIP no hw",
        " # TODO later",
        " #SKIP x",
        " # skip: y",
        " # SKIPPED z",
        " # todo",
        " # Todoism",
        r" \# SKIP q",
        r" \\# SKIP q",
        " # note # TODO a",
    ]);
    let case =
        (ok, number, name, directive).prop_map(|(ok, n, name, d)| format!("{ok}{n}{name}{d}"));
    let other = word(&[
        "",
        "hello   | ok 1 other",
        "okay",
        "  ok 9 a",
        " ok 3",
        "    ok 1 sub",
        "    not ok 2 sub",
        "    1..2",
        "not okay",
        "# diag",
        "not  ok 4",
        "OK 1",
        "1..x",
        "\tok 1",
        "ok_1",
        "  ---\n  message: it\n  ...",
    ]);
    prop_oneof![4 => case, 1 => other]
}

/// Lines, the difference of the plan from what they say, and what stands behind it.
fn block() -> impl Strategy<Value = (Vec<String>, i64, &'static str)> {
    let off = prop_oneof![8 => Just(0), 1 => Just(1), 1 => Just(-1)];
    let tail = prop_oneof![8 => Just(""), 1 => Just(" # SKIP - none"), 1 => Just(" # SKIPPED")];
    (prop::collection::vec(line(), 0..6), off, tail)
}

/// Whether our parser finds the console's tests good.
fn is_good(console: &str) -> bool {
    let (mut lines, mut parser) = (Lines::default(), TapParser::default());
    lines.push(console.as_bytes(), |block| parser.block(block, &mut |_, _| {}));
    parser.report().verdict.is_good()
}

#[test]
fn verdicts_are_those_of_perls_harness() {
    let mut runner = TestRunner::deterministic();
    let (mut input, mut ours) = (String::new(), Vec::new());
    for _ in 0..STREAMS {
        let (mut lines, off, tail) = block().new_tree(&mut runner).unwrap().current();
        let mut count = 0;
        for line in &mut lines {
            let is_case = line.strip_prefix("not ").unwrap_or(line).starts_with("ok");
            count += i64::from(is_case && !line.starts_with("okay") && !line.starts_with("ok_"));
            *line = line.replace('N', &count.to_string());
        }
        let planned = (count + off).max(0);
        // As the framework has it, what stands behind a plan for something is no part of it.
        let tail = if planned > 0 { "" } else { tail };
        lines.push(format!("1..{planned}{tail}"));
        input.push_str(&format!("{}\n\u{c}", lines.join("\n")));
        lines.insert(0, "TAP TEST START".to_owned());
        lines.push("TAP TEST FINISHED\n".to_owned());
        let console = lines.join("\n").replace('\n', "\r\nKUT ");
        ours.push((is_good(&format!("boot\r\nKUT {console}\r\n")), lines));
    }
    let theirs = duct::cmd!("perl", "-e", PERL).stdin_bytes(input).stderr_null().read().unwrap();
    let theirs: Vec<_> = theirs.lines().map(|line| line == "good").collect();
    assert_eq!(theirs.len(), STREAMS);
    for ((ours, lines), theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs, "{lines:#?}");
    }
    // Both kinds are among them.
    let good = theirs.iter().filter(|good| **good).count();
    assert!((STREAMS / 8..STREAMS * 7 / 8).contains(&good), "{good}");
}
