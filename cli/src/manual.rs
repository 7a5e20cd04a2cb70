//! `berth manual`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use berth_process::command_line;
use clap::{Args, CommandFactory};

use crate::{Cli, Ending};

/// Write the manual pages of all commands into a directory.
#[derive(Args)]
#[command(after_help = "Example: berth manual /usr/local/share/man/man1")]
pub(crate) struct Manual {
    /// The directory; it is created where it is missing
    directory: PathBuf,
}

impl Manual {
    pub(crate) fn run(self) -> Result<Ending> {
        let Self { directory } = self;
        let written = command_line::write_manual(Cli::command(), &directory);
        written.with_context(|| format!("cannot write to {}", directory.display()))?;
        Ok(Ending::Complete)
    }
}
