//! Compares embedded stores under Berth's load. See README.md.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock, and waits")]

mod child;
mod damage;
mod digest;
mod fleet;
mod full;
mod kills;
mod load;
mod machine;
mod rates;
mod stores;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;
use stores::{Kind, Store};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Which store, and where.
#[derive(Args, Clone)]
struct Setup {
    #[arg(long, value_enum)]
    store: Kind,
    /// Emptied first; on the disk to be measured
    #[arg(long)]
    directory: PathBuf,
    /// Memory for the store's own cache
    #[arg(long, default_value_t = 128)]
    cache_mib: usize,
}

#[derive(Args, Clone)]
struct Size {
    #[arg(long, default_value_t = 100_000)]
    providers: u32,
    #[arg(long, default_value_t = 1_000_000)]
    consumers: u32,
}

#[derive(Subcommand)]
enum Command {
    /// Measures appends of 4 KiB with fdatasync on this disk
    Fsync {
        #[arg(long)]
        directory: PathBuf,
    },
    /// Measures group commits of 1 to 4,096 claims and releases
    Commits {
        #[command(flatten)]
        setup: Setup,
        #[command(flatten)]
        size: Size,
        /// For each batch size
        #[arg(long, default_value_t = 4.0)]
        seconds: f64,
        /// Attempts for a lap in which no other process used the processors
        #[arg(long, default_value_t = 6)]
        attempts: u32,
    },
    /// Measures size and restart time: after a clean close, after kill -9, after compaction
    Restarts {
        #[command(flatten)]
        setup: Setup,
        #[command(flatten)]
        size: Size,
        #[arg(long, default_value_t = 1_000_000)]
        cycles: usize,
    },
    /// Kills the writer in the middle of commits (kill -9)
    Kills {
        #[command(flatten)]
        setup: Setup,
        #[arg(long, default_value_t = 50)]
        rounds: u64,
    },
    /// Damages files: truncated, zeroed or flipped
    Damage {
        #[command(flatten)]
        setup: Setup,
        #[arg(long, default_value_t = 40)]
        flips: u32,
    },
    /// Fills a disk (mounts a tmpfs, so only as root)
    Full {
        #[command(flatten)]
        setup: Setup,
    },
    /// Commits until the process is killed
    #[command(hide = true)]
    Write {
        #[command(flatten)]
        setup: Setup,
        #[arg(long)]
        seed: u64,
        #[arg(long)]
        batch: usize,
    },
    /// Reads everything once
    #[command(hide = true)]
    Read {
        #[command(flatten)]
        setup: Setup,
    },
}

impl Setup {
    fn open(&self) -> Result<Box<dyn Store>> {
        self.store.open(&self.directory, self.cache_mib << 20)
    }

    fn clear(&self) -> Result<()> {
        if self.directory.exists() {
            std::fs::remove_dir_all(&self.directory)?;
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Fsync { directory } => {
            let mut times = machine::fsyncs(&directory, Duration::from_secs(5))?;
            let (p50, p99) = (machine::percentile(&mut times, 0.5), machine::percentile(&mut times, 0.99));
            println!("{} a second, p50 {p50:?}, p99 {p99:?}", times.len() / 5);
            Ok(())
        }
        Command::Commits { setup, size, seconds, attempts } => {
            rates::commits(&setup, size.providers, size.consumers, seconds, attempts)
        }
        Command::Restarts { setup, size, cycles } => {
            rates::restarts(&setup, size.providers, size.consumers, cycles)
        }
        Command::Kills { setup, rounds } => kills::kills(&setup, rounds),
        Command::Damage { setup, flips } => damage::damage(&setup, flips),
        Command::Full { setup } => full::full(&setup),
        Command::Write { setup, seed, batch } => child::write(&setup, seed, batch),
        Command::Read { setup } => child::read(&setup),
    }
}
