//! Plain tables: columns of words, two spaces apart, no lines; they can be cut and grepped.

use comfy_table::{ColumnConstraint, ContentArrangement};

/// Spaces behind each column.
const GAP: u16 = 2;

/// A table for stdout.
#[derive(Debug)]
pub struct Table {
    table: comfy_table::Table,
    headings: Vec<String>,
}

impl Table {
    /// A table with these headings, or with none.
    pub fn new(headings: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        if !headings.is_empty() {
            table.set_header(headings);
        }
        Self { table, headings: headings.iter().map(|&heading| heading.to_owned()).collect() }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.table.add_row(cells);
        for column in self.table.column_iter_mut() {
            column.set_padding((0, GAP));
        }
    }

    /// Leaves out columns of `least`, in that order, until the rest has room in `width`.
    pub fn narrow_to(&mut self, width: u16, least: &[&str]) {
        let mut widths = self.table.column_max_content_widths();
        for wanted in least {
            let total: u16 =
                widths.iter().filter(|width| **width > 0).map(|width| width + GAP).sum();
            let Some(at) = self.headings.iter().position(|heading| heading == wanted) else {
                continue;
            };
            // What stands behind the last column is trimmed.
            if total <= width + GAP {
                return;
            }
            if let Some(column) = self.table.column_mut(at) {
                column.set_constraint(ColumnConstraint::Hidden);
                widths[at] = 0;
            }
        }
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.table.trim_fmt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_columns_go_where_there_is_no_room() {
        let lines = |width: u16| {
            let mut table = Table::new(&["NAME", "ZONE", "ID"]);
            table.row(["hello".to_owned(), "eu-central-1a".to_owned(), "i-0123".to_owned()]);
            table.narrow_to(width, &["ZONE", "ID"]);
            table.to_string()
        };
        let whole = "NAME   ZONE           ID\nhello  eu-central-1a  i-0123";
        assert_eq!(lines(28), whole);
        assert_eq!(lines(27), "NAME   ID\nhello  i-0123");
        assert_eq!(lines(5), "NAME\nhello");
        assert!(whole.lines().all(|line| line.len() <= 28));
    }
}
