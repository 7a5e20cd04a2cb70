//! `berth store`: maintenance of the state of `berth serve`, in its data directory or in etcd.

mod backup;
mod copy;
mod place;
mod upkeep;

pub(crate) use upkeep::time;

use place::Place;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::Ending;
use crate::config::{EtcdTable, Sources};

/// Verify, back up, restore, copy and repair the state of a service
#[derive(Args)]
#[command(after_help = "\
STATE is a data directory (berth serve --data), or etcd://HOST:PORT,…/PREFIX (berth serve --store), which is reached with
the settings below [serve.etcd]. While a service has a directory, only `backup` works on it; on etcd, all that only reads
does. Exit codes: 0 done (verify: whole), 1 failed (verify: damaged). See docs/durability.md.")]
pub(crate) struct Store {
    #[command(flatten)]
    sources: Sources,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Verify all checksums and the consistency of the records; print counts and the digest
    Verify {
        /// The state
        #[arg(value_name = "STATE")]
        state: String,
    },
    /// Write the state as a state file: text, one line per record
    Dump {
        /// The state
        #[arg(value_name = "STATE")]
        state: String,
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
        /// The state
        #[arg(value_name = "STATE")]
        state: String,
        /// The state file; an existing one is replaced when the new one is complete
        file: PathBuf,
    },
    /// Create a store from a backup or dump
    Restore {
        /// A state file
        file: PathBuf,
        /// The state to create
        #[arg(value_name = "STATE")]
        state: String,
        /// Replace the store of a data directory, which is kept beside the new one
        #[arg(long)]
        replace: bool,
    },
    /// Copy a state from a data directory to etcd, or back, and compare both by their digests
    Copy {
        /// The state to read; no service writes it meanwhile
        #[arg(value_name = "FROM")]
        from: String,
        /// The state to create
        #[arg(value_name = "TO")]
        to: String,
        /// Replace the store of a data directory, which is kept beside the new one
        #[arg(long)]
        replace: bool,
    },
}

impl Store {
    pub(crate) fn run(self) -> Result<Ending> {
        let etcd = || -> Result<EtcdTable> { Ok(self.sources.clone().settings(Vec::new())?.serve.etcd) };
        let place = |state: &str| Place::parse(state, &etcd);
        match self.action {
            Action::Verify { state } => upkeep::verify(&place(&state)?),
            Action::Dump { state, output } => backup::dump(&place(&state)?, output.as_deref()),
            Action::Repair { dir, write } => upkeep::repair(&dir, write),
            Action::Compact { dir } => upkeep::compact(&dir),
            Action::Backup { state, file } => backup::backup(&place(&state)?, &file),
            Action::Restore { file, state, replace } => backup::restore(&file, &place(&state)?, replace),
            Action::Copy { from, to, replace } => copy::copy(&place(&from)?, &place(&to)?, replace),
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
