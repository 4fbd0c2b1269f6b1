//! `kv completions`: what shells need to complete commands and options.

use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::output::stream::Out;
use clap::Args;
use clap_complete::{generate, Shell};

/// Writes what a shell needs to complete commands, options, files and tables.
///
/// For this session of bash: source <(kv completions bash). For all of them, write it to
/// ~/.local/share/bash-completion/completions/kv; for zsh to a file _kv in a folder of $fpath; for fish to
/// ~/.config/fish/completions/kv.fish.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    /// Writes it.
    pub fn run(self, context: &Context) -> Outcome {
        let mut text = Vec::new();
        generate(self.shell, &mut context.command_line(), "kv", &mut text);
        if self.shell == Shell::Bash {
            text = for_bash(&String::from_utf8_lossy(&text)).into_bytes();
        }
        let mut out = Out::open()?;
        out.bytes(&text)?;
        out.finish()?;
        Ok(Exit::Done)
    }
}

/// What bash does with the words that the generated function finds. That one offers options where a file is typed, and
/// files where a table is.
const BASH: &str = r#"
_kv_words() {
    local word file
    _kv "$@"
    case "$3" in
        -t|--table)
            COMPREPLY=()
            for word in "${COMP_WORDS[@]:2}"; do
                [[ -f $word ]] && file=$word && break
            done
            [[ -n $file ]] || return 0
            while IFS= read -r word; do
                [[ -n $word && $word == "$2"* ]] && COMPREPLY+=("$(printf %q "$word")")
            done < <("$1" tables --wait 0 --quick -o raw -- "$file" 2>/dev/null | cut -f1)
            return 0
            ;;
    esac
    if [[ $2 != -* ]]; then
        local words=("${COMPREPLY[@]}")
        COMPREPLY=()
        for word in "${words[@]}"; do
            [[ $word == -* ]] || COMPREPLY+=("$word")
        done
    fi
}

"#;

/// Puts [`BASH`] between the generated function and bash. Where it finds no words, bash completes files.
fn for_bash(generated: &str) -> String {
    let registers = "if [[ \"${BASH_VERSINFO[0]}\" -eq 4 &&";
    match generated.rsplit_once(registers) {
        Some((function, rest)) => {
            let rest = rest.replace("complete -F _kv ", "complete -F _kv_words ");
            format!(
                "{}{BASH}{registers}{rest}",
                function.trim_end_matches('\n').to_owned() + "\n"
            )
        }
        None => generated.to_string(),
    }
}
