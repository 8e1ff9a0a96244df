//! A module list with what it includes, as one sequence of lines with their places.
//!
//! Invariant: includes that lead in circles or to absurdly many files end.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::line::Line;
use super::pattern::expand;
use crate::tree::TreeError;

/// More files than any list includes.
const FILES: usize = 1024;

/// A line with its place, and the comment lines right above it.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) file: Utf8PathBuf,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) comment: Option<String>,
}

/// A module list that was read.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) lines: Vec<Placed>,
    /// The first construct that only L4Re's own tools can evaluate, with its place.
    pub(crate) beyond: Option<String>,
    /// A file that includes itself, in the end: how often it counts is left to L4Re's tools.
    pub(crate) circular: Option<String>,
}

impl Source {
    /// Reads `file` and its includes. `variables` are what `${NAME}` in an include means.
    pub(crate) fn read(
        file: &Utf8Path,
        variables: &BTreeMap<&str, String>,
    ) -> Result<Self, TreeError> {
        let mut reader =
            Reader { source: Self::default(), variables, stack: Vec::new(), files: 0, waiting: 0 };
        let text = fs_err::read(file)?;
        reader.file(file, &String::from_utf8_lossy(&text))?;
        Ok(reader.source)
    }

    /// Remembers the first line that is beyond this reader.
    pub(crate) fn note_beyond(&mut self, file: &Utf8Path, line: usize, what: &str) {
        self.beyond.get_or_insert_with(|| format!("{file}:{line}: {what}"));
    }
}

struct Reader<'a> {
    source: Source,
    variables: &'a BTreeMap<&'a str, String>,
    /// The files that are being read, outermost first.
    stack: Vec<Utf8PathBuf>,
    files: usize,
    /// Files of the same include that come before another one are being read.
    waiting: usize,
}

impl Reader<'_> {
    fn file(&mut self, file: &Utf8Path, text: &str) -> Result<(), TreeError> {
        self.files += 1;
        if self.files > FILES {
            let file = self.stack.first().map_or(file, |first| first).to_owned();
            return Err(TreeError::TooManyIncludes { file, limit: FILES });
        }
        self.stack.push(file.to_owned());
        let mut comment: Vec<&str> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            match Line::parse(text) {
                Some(parsed) if parsed.command.eq_ignore_ascii_case("include") => {
                    self.include(file, line, &parsed)?;
                }
                Some(_) => {
                    let comment = (!comment.is_empty()).then(|| comment.join("\n"));
                    let (file, text) = (file.to_owned(), text.to_owned());
                    self.source.lines.push(Placed { file, line, text, comment });
                }
                None => {
                    if let Some(text) = text.trim_start().strip_prefix('#') {
                        comment.push(text.strip_prefix(' ').unwrap_or(text).trim_end());
                        continue;
                    }
                }
            }
            comment.clear();
        }
        self.stack.pop();
        Ok(())
    }

    fn include(
        &mut self,
        file: &Utf8Path,
        line: usize,
        parsed: &Line<'_>,
    ) -> Result<(), TreeError> {
        let variable = |name| self.variables.get(name).map_or("", String::as_str);
        if !parsed.is_for(variable("ARCH"), variable("BITS")) {
            return Ok(());
        }
        let Some(mut paths) = self.paths_of(file, parsed).filter(|_| self.waiting == 0) else {
            self.source.note_beyond(file, line, "an include that must be evaluated");
            return Ok(());
        };
        let last = paths.pop();
        // L4Re reads what these include after all of them.
        self.waiting += 1;
        for path in &paths {
            self.included(file, line, path)?;
        }
        self.waiting -= 1;
        last.map_or(Ok(()), |path| self.included(file, line, &path))
    }

    /// The paths that an include names, `${NAME}` replaced and patterns expanded; `None` with
    /// code, which is L4Re's tools' to evaluate.
    fn paths_of(&self, file: &Utf8Path, parsed: &Line<'_>) -> Option<Vec<String>> {
        let path = match parsed.rest.split_once("${") {
            Some((before, rest)) => {
                let (name, after) = rest.split_once('}')?;
                format!("{before}{}{after}", self.variables.get(name)?)
            }
            None => parsed.rest.to_owned(),
        };
        let special = |c: char| c.is_whitespace() || "~\\\"'$".contains(c);
        if ["perl", "shell", "glob"].into_iter().any(|code| parsed.has(code))
            || path.contains(special)
        {
            return None;
        }
        match path.contains(['*', '?', '{', '}', '[']) {
            true => expand(&path, file.parent().unwrap_or(Utf8Path::new("."))),
            false => Some(vec![path]),
        }
    }

    fn included(&mut self, file: &Utf8Path, line: usize, path: &str) -> Result<(), TreeError> {
        let folder = file.parent().unwrap_or(Utf8Path::new("."));
        let included = folder.join(path);
        if self.stack.contains(&included) {
            let circle = || format!("{file}:{line}: {included} includes itself");
            self.source.circular.get_or_insert_with(circle);
            return Ok(());
        }
        let text = fs_err::read(&included).map_err(|source| {
            let (file, included) = (file.to_owned(), included.clone());
            TreeError::Include { file, line, included, source }
        })?;
        self.file(&included, &String::from_utf8_lossy(&text))
    }
}
