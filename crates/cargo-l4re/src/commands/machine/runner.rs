//! `cargo l4re runner ELF [ARGS]`: Cargo's `runner` for a target whose programs run on L4Re.
//!
//! Set `target.<triple>.runner = "cargo l4re runner"` in Cargo's configuration, and `cargo
//! run` and `cargo test` boot the program as the only one beside the L4Re runtime.

use std::sync::Arc;

use clap::Args;

use super::flags::{JudgeFlags, MachineFlags};
use super::run;
use crate::commands::Context;
use crate::commands::flags::ImageFlags;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::instance::Show;
use crate::settings::{Entry, Module, ModuleTable};
use crate::target::default_name;

/// Arguments of `runner`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    machine: MachineFlags,
    #[command(flatten)]
    judge: JudgeFlags,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "ELF [ARGS]",
        value_hint = clap::ValueHint::FilePath)]
    words: Vec<String>,
}

impl Arguments {
    /// The entry that runs the program.
    pub fn entry(&self, environment: &Environment) -> Entry {
        let (elf, args) = self.words.split_first().map_or(("", &[][..]), |(e, a)| (e, a));
        let file = environment.folder().join(elf);
        let program = file.file_name().unwrap_or_default().to_owned();
        let mut roottask = format!("moe --init=rom/{program}");
        if !args.is_empty() {
            roottask.push_str(&format!(" -- {}", args.join(" ")));
        }
        let table = ModuleTable { file: Some(file), ..ModuleTable::default() };
        let modules = vec![Module::Searched("l4re".to_owned()), Module::Described(Box::new(table))];
        // The build tree's own list may well have an entry of the program's name.
        let name = format!("cargo-{}", default_name(&program));
        Entry { name, roottask: Some(roottask), modules, ..Entry::default() }
    }
}

/// Runs `runner`, whose entry is in the settings by now.
pub fn runner(context: &Arc<Context>, arguments: &Arguments) -> Result<(), Failure> {
    let name = arguments.entry(&context.environment).name;
    let image = ImageFlags { words: vec![name], ..ImageFlags::default() };
    run::on_desk(context, &image, &arguments.machine, &arguments.judge, &Show::default())
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;

    #[test]
    fn the_program_is_what_moe_starts() {
        let arguments = Arguments {
            machine: MachineFlags::default(),
            judge: JudgeFlags::default(),
            words: ["target/x/debug/app", "-v", "a"].map(str::to_owned).to_vec(),
        };
        let entry = arguments.entry(&Environment::of(Utf8Path::new("/w"), &[]));
        assert_eq!(entry.name, "cargo-app");
        assert_eq!(entry.roottask.as_deref(), Some("moe --init=rom/app -- -v a"));
        assert_eq!(entry.modules[0], Module::Searched("l4re".into()));
    }
}
