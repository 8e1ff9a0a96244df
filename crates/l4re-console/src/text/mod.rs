//! Console bytes as lines of plain text.
