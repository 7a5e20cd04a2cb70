//! `berth store`: what an operator does to the folder of `berth serve --data`.

mod backup;
mod upkeep;

pub(crate) use upkeep::time;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::Ending;

/// Verify, back up, restore and repair the folder of a service
#[derive(Args)]
#[command(after_help = "\
Only `backup` works while a service has the folder. Exit codes: 0 done (verify: whole), 1 failed (verify: damaged).
See docs/durability.md.")]
pub(crate) struct Store {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Read everything, verify all checksums, and that the records belong together; print what there is and its digest
    Verify {
        /// The folder (berth serve --data)
        dir: PathBuf,
    },
    /// Write everything as a state file: text, a line for each record
    Dump {
        /// The folder (berth serve --data)
        dir: PathBuf,
        /// Where to; standard output if not given
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Save what can still be read of a damaged store; without --write, only say what
    Repair {
        /// The folder (berth serve --data)
        dir: PathBuf,
        /// Put what was saved in the place of the damaged store, which is kept beside
        #[arg(long)]
        write: bool,
    },
    /// Give back the room in the store's file that is not needed
    Compact {
        /// The folder (berth serve --data)
        dir: PathBuf,
    },
    /// Write the state of one moment to a file, also while a service has the folder
    Backup {
        /// The folder (berth serve --data)
        dir: PathBuf,
        /// The state file; one that is there is replaced when the new one is whole
        file: PathBuf,
    },
    /// Make a store of a backup or dump
    Restore {
        /// A state file
        file: PathBuf,
        /// The folder (berth serve --data)
        dir: PathBuf,
        /// Put it in the place of a store that is there, which is kept beside
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

/// What helps when a store is damaged.
pub(crate) fn advice(folder: &std::path::Path) -> String {
    let folder = folder.display();
    format!(
        "the store is damaged and was left as it is:\n  \
         berth store verify {folder}                   says where\n  \
         berth store restore BACKUP {folder} --replace puts a backup in its place\n  \
         berth store repair {folder}                   says what can be saved without a backup; --write does it"
    )
}
