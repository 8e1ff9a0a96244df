//! The book's tables of what is recognised: `docs/src/troubleshooting.md` holds them as they
//! are made here, so that page and program say the same.

use std::collections::BTreeMap;

use super::rules::faults;
use super::{FaultKind, Phase, explain, hint_for, usual_limit};

/// The page, and how a table's beginning and end are marked in it.
const PAGE: &str = "../../docs/src/troubleshooting.md";
const END: &str = "<!-- end -->\n";

/// Files of iPXE that an error number can name, and errors.
const FILES: std::ops::Range<u32> = 0..0x800;
const ERRORS: std::ops::Range<u32> = 0..0x80;

fn hints() -> String {
    let rows = Phase::ALL.into_iter().map(Some);
    let rows = std::iter::once(None).chain(rows).filter_map(|phase| {
        let name = phase.map_or("nothing yet", Phase::name);
        let seconds = usual_limit(phase)?.as_secs();
        Some(format!("| {name} | {seconds} s | {} |\n", hint_for(phase)))
    });
    format!(
        "| stands in | after | what to look at |\n| --- | --- | --- |\n{}",
        String::from_iter(rows)
    )
}

fn lines() -> String {
    let mut rows: Vec<(FaultKind, &str, Vec<String>)> = Vec::new();
    for (needle, kind, explanation) in faults() {
        let needle = match needle.trim() {
            needle if needle.contains('`') => format!("`` {needle} ``"),
            needle => format!("`{needle}`"),
        };
        match rows.iter_mut().find(|(of, text, _)| *of == kind && *text == explanation) {
            Some((.., needles)) => needles.push(needle),
            None => rows.push((kind, explanation, vec![needle])),
        }
    }
    let rows = rows.iter().map(|(kind, explanation, needles)| {
        let end = if kind.is_final() { "9" } else { "–" };
        format!("| {} | {explanation} | {end} |\n", needles.join(", "))
    });
    format!("| in the line | is | exit code |\n| --- | --- | --- |\n{}", String::from_iter(rows))
}

/// Errors of iPXE by their explanations, each with the beginnings of its numbers; a dot is any
/// digit.
fn ipxe() -> String {
    let mut found: BTreeMap<&str, Vec<(u32, u32)>> = BTreeMap::new();
    for (error, file) in ERRORS.flat_map(|error| FILES.map(move |file| (error, file))) {
        found.entry(explain(error << 24 | file << 13)).or_default().push((error, file));
    }
    found.remove(explain(u32::MAX));
    let mut rows: Vec<(String, &str)> =
        found.iter().map(|(text, pairs)| (numbers(pairs), *text)).collect();
    rows.sort();
    let rows = rows.iter().map(|(numbers, text)| format!("| {numbers} | {text} |\n"));
    format!("| number | is |\n| --- | --- |\n{}", String::from_iter(rows))
}

fn numbers(pairs: &[(u32, u32)]) -> String {
    let errors: Vec<u32> = distinct(pairs.iter().map(|(error, _)| *error));
    let files: Vec<u32> = distinct(pairs.iter().map(|(_, file)| *file));
    let text = |error: &str, file: &str| format!("`{error}{file}…`");
    let error = |error: &u32| format!("{error:02x}");
    let file = |file: &u32| format!("{:03x}", file << 1);
    let many = |count: usize| count > 8;
    let all: Vec<String> = match (many(errors.len()), many(files.len())) {
        (false, true) => errors.iter().map(|one| text(&error(one), "")).collect(),
        (true, _) => files.iter().map(|one| text("..", &file(one))).collect(),
        (false, false) => pairs.iter().map(|(one, of)| text(&error(one), &file(of))).collect(),
    };
    all.join(", ")
}

fn distinct(numbers: impl Iterator<Item = u32>) -> Vec<u32> {
    numbers.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

#[test]
fn the_book_says_what_the_program_says() {
    let page = fs_err::read_to_string(PAGE).unwrap();
    for (name, table) in [("hints", hints()), ("lines", lines()), ("ipxe", ipxe())] {
        let begin = format!("<!-- made by phase/book.rs: {name} -->\n\n");
        let rest = page.split_once(&begin).unwrap_or_else(|| panic!("no `{begin}`")).1;
        let there = rest.split_once(END).unwrap().0.trim_end();
        assert_eq!(there, table.trim_end(), "{PAGE} has to have:\n\n{table}");
    }
}
