//! `berth completions`.

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{Cli, Ending, output};

/// Print a completion script for a shell.
#[derive(Args)]
#[command(after_help = "Example: berth completions bash > ~/.local/share/bash-completion/completions/berth")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<Ending> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "berth", &mut script);
        output::print_document(&String::from_utf8_lossy(&script))?;
        Ok(Ending::Complete)
    }
}
