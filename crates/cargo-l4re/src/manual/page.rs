//! A page of the book as text for a terminal: headings in bold, tables in columns, links as
//! their words. As much of Markdown as the book uses.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};

use crate::shell::wrapped;

/// The page, no wider than `width` where it can be helped.
pub fn render(markdown: &str, width: u16) -> String {
    let mut text = String::new();
    let mut lines = markdown.lines().peekable();
    let mut fenced = false;
    while let Some(line) = lines.next() {
        if is_fence(line) {
            fenced = !fenced;
        } else if fenced {
            text.push_str(&format!("    {line}\n"));
        } else if line.starts_with('#') {
            let bold = anstyle::Style::new().bold();
            let title = words(line.trim_start_matches('#').trim());
            text.push_str(&format!("{bold}{title}{bold:#}\n"));
        } else if !line.starts_with("<!--") {
            // A link may go on over the end of a line, but not over that of its kind.
            let mut block = vec![line];
            while let Some(next) = lines.next_if(|next| goes_on(line, next)) {
                block.push(next);
            }
            text.push_str(&match line.starts_with('|') {
                true => table(&block, width),
                false => filled(&words(&block.join("\n")), usize::from(width)),
            });
        }
    }
    text
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

/// Whether a line belongs to the same table or paragraph as another one.
fn goes_on(first: &str, next: &str) -> bool {
    let other = next.is_empty() || next.starts_with(['#', '<']) || is_fence(next);
    !first.is_empty() && !other && first.starts_with('|') == next.starts_with('|')
}

/// A paragraph or list in lines no longer than `width`; what goes on is below its item's text.
fn filled(text: &str, width: usize) -> String {
    let mut items: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        match (marker(line), items.last_mut()) {
            (0, Some((_, item))) => item.push_str(&format!(" {}", line.trim_start())),
            (indent, _) => items.push((indent, line.to_owned())),
        }
    }
    if items.is_empty() {
        return "\n".to_owned();
    }
    items.iter().map(|(indent, item)| wrapped(item, *indent, width) + "\n").collect()
}

/// The width of a list's `- ` or `1. ` at the beginning of a line.
fn marker(line: &str) -> usize {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    match (digits, &line.as_bytes()[digits..]) {
        (0, [b'-', b' ', ..]) => 2,
        (1.., [b'.', b' ', ..]) => digits + 2,
        _ => 0,
    }
}

/// A table's rows in columns; the second row only says where the heading ends.
fn table(rows: &[&str], width: u16) -> String {
    let cells = |row: &str| -> Vec<String> {
        let row = row.trim().trim_matches('|').replace("\\|", "\u{1}");
        row.split('|').map(|cell| words(cell.trim()).replace('\u{1}', "|")).collect()
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    let heading = rows.first().map(|heading| cells(&heading.to_uppercase()));
    let rows: Vec<_> = rows.iter().skip(2).map(|row| cells(row)).collect();
    // Names of keys and variables stay whole, also where that makes a line too long.
    let widest = |column: usize| {
        let words = rows.iter().filter_map(|row| row.get(column)).flat_map(|cell| cell.split(' '));
        words.map(|word| word.chars().count()).max().unwrap_or(0)
    };
    let columns = heading.as_ref().map_or(0, Vec::len);
    let least = |column| u16::try_from(widest(column) + 2).unwrap_or(u16::MAX);
    let constraints: Vec<_> = (0..columns)
        .map(|column| ColumnConstraint::LowerBoundary(Width::Fixed(least(column))))
        .collect();
    table.set_header(heading.unwrap_or_default());
    for row in &rows {
        table.add_row(row);
    }
    table.set_constraints(constraints);
    format!("{}\n", table.trim_fmt())
}

/// Text with links and drawings as their words, and without marks of code.
fn words(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        let link = rest[start..].split_once("](").and_then(|(words, after)| {
            let (_, after) = after.split_once(')')?;
            (!words[1..].contains(['[', ']'])).then_some((&words[1..], after))
        });
        match link {
            Some((words, after)) => {
                plain.push_str(&rest[..start]);
                if plain.ends_with('!') {
                    plain.pop();
                    plain.push_str(&format!("(A drawing: {words})"));
                } else {
                    plain.push_str(words);
                }
                rest = after;
            }
            None => {
                plain.push_str(&rest[..=start]);
                rest = &rest[start + 1..];
            }
        }
    }
    plain.push_str(rest);
    plain.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_become_text() {
        let page = "# Title\n\nSee [the\n`twin`](twin.md) and `[[entry]]`.\n<!-- not run: x -->\n![It\nruns.](a.svg)\n\n```console\n$ a [b](c)\n```\n\n\
                    | key | meaning |\n| --- | --- |\n| `a` | x \\| y |\n";
        let text = anstream::adapter::strip_str(&render(page, 80)).to_string();
        let lines: Vec<_> = text.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "Title",
                "",
                "See the twin and [[entry]].",
                "(A drawing: It runs.)",
                "",
                "    $ a [b](c)",
                "",
                " KEY  MEANING",
                " a    x | y"
            ]
        );
    }

    #[test]
    fn text_keeps_to_the_width_and_lists_stay_lists() {
        let page =
            "One two three four\nfive six.\n\n1. first item goes on\n   and on\n2. second\n- a b\n";
        assert_eq!(
            render(page, 14),
            "One two three\nfour five six.\n\n1. first item\n   goes on and\n   on\n2. second\n- a b\n"
        );
        assert_eq!(render("a-word-without-end b\n", 5), "a-word-without-end\nb\n");
    }

    #[test]
    fn tables_keep_to_the_width() {
        let row = format!("| key | {} |\n", "word ".repeat(60));
        let page = format!("| a | b |\n| - | - |\n{row}");
        assert!(render(&page, 60).lines().all(|line| line.trim_end().chars().count() <= 60));
    }
}
