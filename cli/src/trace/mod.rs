//! `berth trace`: converts, checks, describes and scales traces.

mod check;
mod describe;
mod import;
mod scale;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use berth_traces::{Format, Trace, Vm, columnar, neutral};
use clap::{Args, Subcommand};

use crate::Ending;

/// Convert, check, describe and scale traces of VMs.
#[derive(Args)]
pub(crate) struct Traces {
    #[command(subcommand)]
    command: TraceCommand,
}

#[derive(Subcommand)]
enum TraceCommand {
    /// Convert a trace of any format to Berth's trace file, sorted by arrival
    Import(import::Import),
    /// Report rows that cannot be right, VMs that can never fit, and a cold start
    Check(check::CheckTrace),
    /// Show rates, lifetimes, shapes and peaks
    Describe(describe::DescribeTrace),
    /// Make another trace from one: thinner, denser, of other days, growing
    Scale(scale::ScaleTrace),
}

impl Traces {
    pub(crate) fn run(self) -> Result<Ending> {
        match self.command {
            TraceCommand::Import(command) => command.run(),
            TraceCommand::Check(command) => command.run(),
            TraceCommand::Describe(command) => command.run(),
            TraceCommand::Scale(command) => command.run(),
        }
    }
}

/// The trace that a command reads.
#[derive(Args)]
struct Input {
    /// The trace, plain or gzip; - is standard input
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// The format of the trace [default: detected from its first bytes]
    #[arg(long, value_name = "F")]
    format: Option<Format>,
}

impl Input {
    /// Reads the whole trace, in order of arrival.
    fn read(&self) -> Result<Vec<Vm>> {
        Ok(Trace::open_sorted(&self.trace, self.format)?)
    }
}

/// Writes a trace: neutral CSV for a name that ends in `.csv`, else Berth's own file.
fn write(path: &Path, vms: &[Vm]) -> Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => neutral::write_all(path, vms)?,
        Some("gz") => bail!("{}: berth does not compress; write .csv or .parquet", path.display()),
        _ => columnar::write(path, vms)?,
    }
    Ok(())
}
