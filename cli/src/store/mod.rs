//! `berth store`: maintenance of the data directory of `berth serve`.

mod backup;
mod upkeep;

pub(crate) use upkeep::time;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::Ending;

/// Verify, back up, restore and repair the data directory of a service
#[derive(Args)]
#[command(after_help = "\
Only `backup` works while a service has the directory. Exit codes: 0 done (verify: whole), 1 failed (verify: damaged).
See docs/durability.md.")]
pub(crate) struct Store {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Verify all checksums and the consistency of the records; print counts and the digest
    Verify {
        /// The data directory (berth serve --data)
        dir: PathBuf,
    },
    /// Write the state as a state file: text, one line per record
    Dump {
        /// The data directory (berth serve --data)
        dir: PathBuf,
        /// The file to write [default: standard output]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Recover the readable part of a damaged store; without --write, only report it
    Repair {
        /// The data directory (berth serve --data)
        dir: PathBuf,
        /// Replace the damaged store by the recovered one; the damaged store is kept beside it
        #[arg(long)]
        write: bool,
    },
    /// Shrink the store's file to the space it needs
    Compact {
        /// The data directory (berth serve --data)
        dir: PathBuf,
    },
    /// Write a consistent snapshot of the state to a file, also while the service runs
    Backup {
        /// The data directory (berth serve --data)
        dir: PathBuf,
        /// The state file; an existing one is replaced when the new one is complete
        file: PathBuf,
    },
    /// Create a store from a backup or dump
    Restore {
        /// A state file
        file: PathBuf,
        /// The data directory (berth serve --data)
        dir: PathBuf,
        /// Replace an existing store, which is kept beside the new one
        #[arg(long)]
        replace: bool,
    },
}

impl Store {
    pub(crate) fn run(self) -> Result<Ending> {
        match self.action {
            Action::Verify { dir } => upkeep::verify(&dir),
            Action::Dump { dir, output } => backup::dump(&dir, output.as_deref()),
            Action::Repair { dir, write } => upkeep::repair(&dir, write),
            Action::Compact { dir } => upkeep::compact(&dir),
            Action::Backup { dir, file } => backup::backup(&dir, &file),
            Action::Restore { file, dir, replace } => backup::restore(&file, &dir, replace),
        }
    }
}

/// Advice for a damaged store.
pub(crate) fn advice(directory: &std::path::Path) -> String {
    let directory = directory.display();
    format!(
        "the store is damaged and was left as it is:\n  \
         berth store verify {directory}                   says where\n  \
         berth store restore BACKUP {directory} --replace puts a backup in its place\n  \
         berth store repair {directory}                   says what can be saved without a backup; --write does it"
    )
}
