//! Plain tables: columns of words, two spaces apart, no lines; they can be cut and grepped.

use comfy_table::ContentArrangement;

/// A table for stdout.
#[derive(Debug)]
pub struct Table(comfy_table::Table);

impl Table {
    /// A table with these headings, or with none.
    pub fn new(headings: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        if !headings.is_empty() {
            table.set_header(headings);
        }
        Self(table)
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.0.add_row(cells);
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.trim_fmt())
    }
}
