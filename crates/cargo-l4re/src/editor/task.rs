//! The tasks that editors get: argument lists, run without a shell.

use clap::CommandFactory;

use crate::arguments::Cli;

/// Stands for the entry in a task's words.
pub const ENTRY: &str = "ENTRY";

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What it is called after `l4re: `.
    pub name: &'static str,
    /// The words after `cargo`.
    pub words: Vec<&'static str>,
    /// Whether it goes on until it is stopped, and reports rounds.
    pub background: bool,
    /// Whether it is what the editor's key for builds starts.
    pub build: bool,
}

/// The tasks, as far as this build of the program has their commands.
pub fn tasks() -> Vec<Task> {
    let task = |name, words: &[&'static str]| Task {
        name,
        words: [&["l4re"], words].concat(),
        background: name == "watch",
        build: name == "build",
    };
    let all = [
        task("build", &["efiimage", ENTRY]),
        task("run", &["run", ENTRY]),
        task("watch", &["watch", ENTRY]),
        task("test", &["test", ENTRY]),
    ];
    let command = Cli::command();
    all.into_iter().filter(|task| command.find_subcommand(task.words[1]).is_some()).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn each_task_is_a_command_line_that_we_take() {
        let tasks = tasks();
        assert!(tasks.iter().any(|task| task.name == "build" && task.build));
        for task in tasks {
            let words = std::iter::once("cargo-l4re").chain(task.words[1..].iter().copied());
            assert!(Cli::try_parse_from(words).is_ok(), "{task:?}");
        }
    }
}
