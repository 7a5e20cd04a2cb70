//! `berth bench memory`.

use std::path::PathBuf;

use anyhow::Result;
use berth_benches::Progress;
use berth_benches::memory::{self, MemoryFailure};
use berth_benches::suite::{ObjectiveName, SuiteOptions};
use clap::Args;

use super::measured::{measured, shown_command};
use super::unique;
use crate::Ending;

#[derive(Args)]
pub(super) struct Memory {
    /// Hosts
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(16..=10_000_000))]
    hosts: u32,
    /// VMs on them, each with an allocation of vCPUs, memory and disk
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    vms: u32,
    /// A decider for each of these: nova (its default weighers), bestfit, bestfit-cpu, firstfit,
    /// worstfit
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_values_t = SuiteOptions::default().goals)]
    objective: Vec<ObjectiveName>,
    /// Write the result to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Memory {
    pub(super) fn run(self) -> Result<Ending> {
        let options =
            memory::MemoryOptions { hosts: self.hosts, vms: self.vms, goals: unique(&self.objective) };
        let run = |progress: &Progress<'_>| memory::run(&options, shown_command(), progress);
        measured(run, |failure| matches!(failure, MemoryFailure::Stopped), self.json)
    }
}
