//! `cargo xtask`: the project's own tasks, the same ones for people and for CI.
//!
//! Users of `cargo l4re` never need this crate. It compiles in seconds, so that the first
//! of two commands on a fresh machine answers at once. Exit codes are those of
//! `cargo l4re`: 3 when something must be installed first, a child's own code otherwise.

mod audit;
mod bench;
mod book;
mod build;
mod call;
mod demo;
mod dist;
mod environment;
mod failure;
mod generate;
mod project;
mod setup;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::project::Project;

/// The project's own tasks.
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what a task needs, or say the one line that does
    Setup(setup::Args),
    /// Make the demo image, run it on the twin to `Hello World!` and stop it
    Demo(demo::Args),
    /// All that CI runs
    Test(test::Args),
    /// Check the layout: files, words, crates, documents
    Tidy,
    /// Ratios against make, QEMU by hand and the aws command line
    Bench(bench::Args),
    /// Build the book with mdBook, and follow its links
    Book(book::Args),
    /// Build what a release consists of
    Dist(dist::Args),
    /// Licences, advisories and doubles of dependencies; their oldest versions; the MSRV
    Audit(audit::Args),
    /// Write what is written from the commands themselves: reference, schema, man pages
    Gen(generate::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli.task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn dispatch(task: Task) -> anyhow::Result<()> {
    let project = Project::find()?;
    match task {
        Task::Setup(args) => setup::run(&project, &args),
        Task::Demo(args) => demo::run(&project, &args),
        Task::Test(args) => test::run(&project, &args),
        Task::Tidy => tidy::run(&project),
        Task::Bench(args) => bench::run(&project, &args),
        Task::Book(args) => book::run(&project, &args),
        Task::Dist(args) => dist::run(&project, &args),
        Task::Audit(args) => audit::run(&project, &args),
        Task::Gen(args) => generate::run(&project, &args),
    }
}
