//! `cargo l4re help [COMMAND|TOPIC]`: a command's help, or a page of the book.

use clap::{Args, CommandFactory};
use clap_complete::engine::ArgValueCompleter;

use crate::arguments::Cli;
use crate::complete;
use crate::failure::Failure;
use crate::manual::{self, TOPICS};
use crate::shell::Shell;

/// Arguments of `help`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A command (with its subcommand), or a topic
    #[arg(value_name = "COMMAND|TOPIC", add = ArgValueCompleter::new(complete::subjects))]
    words: Vec<String>,
    /// The topic of that name, where a command has it too
    #[arg(long)]
    topic: bool,
}

/// Runs `help`.
pub fn help(shell: &Shell, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.topic {
        return topic(shell, &arguments.words);
    }
    let mut command = Cli::command();
    command.build();
    let mut found = &mut command;
    for word in &arguments.words {
        if found.find_subcommand(word).is_none() {
            return topic(shell, &arguments.words);
        }
        found = found.find_subcommand_mut(word).ok_or_else(|| unknown(word))?;
    }
    let text = found.render_long_help().ansi().to_string();
    shell.raw(text.as_bytes())?;
    match arguments.words.as_slice() {
        [] => shell.raw(list().as_bytes())?,
        [word] if TOPICS.iter().any(|topic| topic.name == word) => {
            let more = format!("\nThe topic of this name: `cargo l4re help --topic {word}`\n");
            shell.raw(more.as_bytes())?;
        }
        _ => {}
    }
    Ok(())
}

fn topic(shell: &Shell, words: &[String]) -> Result<(), Failure> {
    let name = words.join("-").to_lowercase();
    let topic = TOPICS.iter().find(|topic| topic.name == name).ok_or_else(|| unknown(&name))?;
    Ok(shell.raw(manual::render(topic.text, shell.width()).as_bytes())?)
}

/// The topics, one a line.
fn list() -> String {
    let commands = commands();
    let lines = TOPICS.iter().map(|topic| {
        let also = commands.iter().any(|(command, _)| command == topic.name);
        let word = format!("{}{}", if also { "--topic " } else { "" }, topic.name);
        format!("  {word:<16} {}\n", topic.title())
    });
    format!("\nTopics of `cargo l4re help TOPIC`:\n{}", lines.collect::<String>())
}

/// Every word that `help` takes behind these: subcommands; at first commands, then topics.
pub fn subjects_behind(words: &[String]) -> Vec<(String, String)> {
    let command = Cli::command();
    let found = words.iter().try_fold(&command, |found, word| found.find_subcommand(word));
    match found {
        _ if words.is_empty() => subjects(),
        Some(command) => of(command),
        None => Vec::new(),
    }
}

/// Every word that `help` takes first.
fn subjects() -> Vec<(String, String)> {
    let topics = TOPICS.iter().map(|topic| (topic.name.to_owned(), topic.title().to_owned()));
    commands().into_iter().chain(topics).collect()
}

/// Every command, with what it does.
pub fn commands() -> Vec<(String, String)> {
    of(&Cli::command())
}

/// A command's subcommands, with what they do.
fn of(command: &clap::Command) -> Vec<(String, String)> {
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    let about = |command: &clap::Command| command.get_about().map(ToString::to_string);
    commands.map(|c| (c.get_name().to_owned(), about(c).unwrap_or_default())).collect()
}

fn unknown(word: &str) -> Failure {
    let subjects = subjects();
    let names = subjects.iter().map(|(name, _)| name.as_str());
    let near = match l4re_image::nearest(word, names).first() {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    let topics: Vec<_> = TOPICS.iter().map(|topic| topic.name).collect();
    let topics = topics.join(", ");
    Failure::Usage(format!("`{word}` is neither a command nor a topic ({topics}){near}"))
}
