//! The scripts that shells source, and the way back from them into this program.
//!
//! A script does no more than call us with the words typed so far, so it never falls behind
//! the commands. Cargo's own completion knows nothing of us: in bash and fish the script
//! takes `cargo l4re …` over; in zsh cargo's asks for a function of a plugin by its name, and
//! where there is none, the script takes over, too.

use clap::{CommandFactory, ValueEnum};
use clap_complete::CompleteEnv;
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use crate::arguments::Cli;

/// The variable by which a script asks.
const VARIABLE: &str = "COMPLETE";
const PROGRAM: &str = "cargo-l4re";
/// What the scripts call their function after.
const NAME: &str = "cargo_l4re";

const BASH: &str = r#"
# Bash puts in what it is given as it is: words with blanks and the like must be quoted.
_cargo_l4re() {
    _clap_complete_cargo_l4re "$@"
    local at
    [[ ${COMP_WORDS[COMP_CWORD]} == [\"\']* ]] && return
    for at in "${!COMPREPLY[@]}"; do
        [[ ${COMPREPLY[at]} == *[[:space:]\"\'\`\$\\\;\&\|\<\>\(\)\*\?\[\#]* ]] &&
            printf -v "COMPREPLY[at]" %q "${COMPREPLY[at]}"
    done
}
complete -o nospace -o bashdefault -o nosort -F _cargo_l4re cargo-l4re 2> /dev/null ||
    complete -o nospace -o bashdefault -F _cargo_l4re cargo-l4re

# `cargo l4re …` too; all else is left to cargo's own completion.
if ! complete -p cargo &> /dev/null; then
    if declare -F _comp_load > /dev/null; then _comp_load cargo
    elif declare -F _completion_loader > /dev/null; then _completion_loader cargo
    fi &> /dev/null
fi
_cargo_l4re_others=$(complete -p cargo 2> /dev/null | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
[[ $_cargo_l4re_others == _cargo_or_cargo_l4re || $_cargo_l4re_others == _minimal ]] && _cargo_l4re_others=
_cargo_or_cargo_l4re() {
    if [[ ${COMP_WORDS[1]} == l4re && $COMP_CWORD -gt 1 ]]; then
        COMP_WORDS=(cargo-l4re "${COMP_WORDS[@]:2}")
        COMP_CWORD=$((COMP_CWORD - 1))
        _cargo_l4re cargo-l4re "$2" "$3"
    elif [[ -n $_cargo_l4re_others ]]; then
        "$_cargo_l4re_others" "$@"
    fi
}
complete -o nospace -o bashdefault -o default -F _cargo_or_cargo_l4re cargo
"#;

const ZSH: &str = r"
# Cargo's own completion calls this for `cargo l4re …`.
_cargo-l4re() {
    words[1]=cargo-l4re
    _clap_dynamic_completer_cargo_l4re
}
# Where cargo has none, `cargo l4re …` is completed all the same.
if (( ! $+_comps[cargo] )); then
    _cargo_or_cargo_l4re() {
        if [[ ${words[2]} == l4re ]] && (( CURRENT > 2 )); then
            shift words
            (( CURRENT-- ))
            _cargo-l4re
        else
            _default
        fi
    }
    compdef _cargo_or_cargo_l4re cargo
fi
";

const FISH: &str = r#"
# `cargo l4re …` too.
complete --keep-order --exclusive --command cargo --condition '__fish_seen_subcommand_from l4re' --arguments "(COMPLETE=fish cargo-l4re -- cargo-l4re (commandline --current-process --tokenize --cut-at-cursor)[3..] (commandline --current-token))"
"#;

/// A shell whose completions are known. Its variants have no text of their own in help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

/// The script that a shell is to source.
pub fn registration(language: Language) -> std::io::Result<Vec<u8>> {
    let (completer, more): (&dyn EnvCompleter, &str) = match language {
        Language::Bash => (&Bash, BASH),
        Language::Elvish => (&Elvish, ""),
        Language::Fish => (&Fish, FISH),
        Language::Powershell => (&Powershell, ""),
        Language::Zsh => (&Zsh, ZSH),
    };
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, NAME, PROGRAM, PROGRAM, &mut script)?;
    script.extend_from_slice(more.as_bytes());
    Ok(script)
}

/// Answers a shell, if one asks; whether one did.
pub fn answered() -> bool {
    let folder = std::env::current_dir().ok();
    let environment = CompleteEnv::with_factory(Cli::command).var(VARIABLE).bin(PROGRAM);
    // What a shell asks in vain must not spoil the line that is being typed.
    environment.try_complete(std::env::args_os(), folder.as_deref()).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_name_the_program_and_the_variable() {
        for language in Language::value_variants() {
            let script = String::from_utf8(registration(*language).unwrap()).unwrap();
            assert!(script.contains(PROGRAM), "{language:?}");
            assert!(script.contains(VARIABLE), "{language:?}");
        }
    }

    #[test]
    fn the_functions_that_we_call_are_those_of_the_scripts() {
        let text = |language| String::from_utf8(registration(language).unwrap()).unwrap();
        assert!(text(Language::Bash).contains("_clap_complete_cargo_l4re() {"));
        assert!(text(Language::Zsh).contains("function _clap_dynamic_completer_cargo_l4re() {"));
    }
}
