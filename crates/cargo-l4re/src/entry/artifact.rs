//! Modules that Cargo builds: `cargo build` with JSON messages, of which the executable is
//! taken.

use camino::Utf8PathBuf;
use cargo_metadata::Message;

use crate::commands::Context;
use crate::failure::Failure;
use crate::settings::ModuleTable;

/// Why there is no artifact.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Cargo could not be started.
    #[error("cannot start `{program}`")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// Cargo failed; its own lines were shown before.
    #[error("cargo build of {what} failed")]
    Failed {
        /// What was to be built.
        what: String,
    },
    /// Cargo was content and named no executable.
    #[error("cargo build of {what} made no executable")]
    None {
        /// What was to be built.
        what: String,
    },
}

/// Builds the artifact of a module's table and gives its path.
pub fn build(context: &Context, table: &ModuleTable) -> Result<Utf8PathBuf, Failure> {
    let program = context.environment.get("CARGO").unwrap_or("cargo");
    let manifest = context.global.manifest_path.as_deref().map(|path| path.as_str());
    let argv = argv(table, manifest);
    context.shell.detail("Running", format_args!("{program} {}", crate::shell::words(&argv)));
    let what = table.bin.as_deref().or(table.example.as_deref()).unwrap_or_default();
    let start = |source| ArtifactError::Start { program: program.to_owned(), source };
    // Cargo's own messages go where a person reads them; stdout carries the JSON.
    let output = duct::cmd(program, &argv)
        .dir(context.environment.folder())
        .stdin_null()
        .stdout_capture()
        .unchecked()
        .run()
        .map_err(start)?;
    if !output.status.success() {
        return Err(ArtifactError::Failed { what: what.to_owned() }.into());
    }
    let messages = Message::parse_stream(output.stdout.as_slice()).filter_map(Result::ok);
    let executables = messages.filter_map(|message| match message {
        Message::CompilerArtifact(artifact) if artifact.target.name == what => artifact.executable,
        _ => None,
    });
    let path = executables.last();
    Ok(path.ok_or_else(|| ArtifactError::None { what: what.to_owned() })?)
}

/// What Cargo is asked.
fn argv(table: &ModuleTable, manifest: Option<&str>) -> Vec<String> {
    let mut argv = vec!["build".to_owned(), "--message-format=json-render-diagnostics".to_owned()];
    let mut option = |flag: &str, value: Option<&str>| {
        if let Some(value) = value {
            argv.extend([flag.to_owned(), value.to_owned()]);
        }
    };
    option("--manifest-path", manifest);
    option("--package", table.package.as_deref());
    option("--bin", table.bin.as_deref());
    option("--example", table.example.as_deref());
    option("--target", table.target.as_deref());
    option("--profile", table.profile.as_deref());
    for feature in &table.features {
        option("--features", Some(feature));
    }
    argv.extend(table.cargo_args.iter().cloned());
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_asked_for_one_thing() {
        let table = ModuleTable {
            bin: Some("app".into()),
            package: Some("my-crate".into()),
            target: Some("x.json".into()),
            features: vec!["a".into()],
            cargo_args: vec!["-Zbuild-std".into()],
            ..ModuleTable::default()
        };
        assert_eq!(
            argv(&table, None).join(" "),
            "build --message-format=json-render-diagnostics --package my-crate --bin app \
             --target x.json --features a -Zbuild-std"
        );
    }
}
