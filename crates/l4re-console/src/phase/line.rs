//! Looks at one line.
