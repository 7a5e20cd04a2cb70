//! `berth trace check`.

use std::path::PathBuf;

use anyhow::Result;
use berth_traces::inspect::{Finding, check};
use berth_traces::{HostShapes, TraceHost, neutral};
use clap::Args;
use indicatif::HumanCount;
use serde::Serialize;

use super::Input;
use crate::table::Grid;
use crate::{Ending, output};

/// Report rows that cannot be right, VMs that can never fit, and a cold start.
#[derive(Args)]
#[command(after_help = "\
Exit code 4 means that rows cannot be right, or that VMs fit no host. Duplicate identifiers, VMs without vCPUs or
memory, impossible sizes and lifetimes are such rows.

Examples:
  berth trace check vms.csv.gz
  berth trace check vms.parquet --host-shape 64x256x3840:1000 --json")]
pub(crate) struct CheckTrace {
    #[command(flatten)]
    input: Input,
    /// Hosts that the VMs have to fit, in the short notation
    #[arg(long, value_name = "SHAPE", conflicts_with = "hosts")]
    host_shape: Option<HostShapes>,
    /// Hosts that the VMs have to fit, in a file
    #[arg(long, value_name = "PATH")]
    hosts: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Record<'a> {
    name: &'a str,
    severity: &'a str,
    vms: u64,
    examples: Vec<&'a str>,
    message: &'a str,
}

impl<'a> From<&'a Finding> for Record<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            name: finding.name,
            severity: if finding.is_wrong { "wrong" } else { "note" },
            vms: finding.vms,
            examples: finding.examples.iter().map(AsRef::as_ref).collect(),
            message: &finding.message,
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    vms: u64,
    wrong: bool,
    findings: Vec<Record<'a>>,
}

impl CheckTrace {
    pub(crate) fn run(self) -> Result<Ending> {
        let found = check(&self.input.read()?, &self.hosts()?);
        let findings: Vec<Record<'_>> = found.findings.iter().map(Record::from).collect();
        if self.json {
            output::print_json(&Document { vms: found.vms, wrong: found.is_wrong(), findings })?;
        } else {
            let mut grid = Grid::new(["", "VMs", "finding"]);
            for finding in &findings {
                let examples = finding.examples.join(", ");
                let examples = if examples.is_empty() { examples } else { format!(" ({examples}, …)") };
                let message = format!("{}{examples}", finding.message);
                grid.row([finding.severity.to_owned(), HumanCount(finding.vms).to_string(), message]);
            }
            grid.align_right(1..2);
            let verdict = if found.is_wrong() { "rows cannot be right" } else { "nothing is wrong" };
            let count = HumanCount(found.vms);
            let table = if grid.len() == 0 { String::new() } else { grid.text() };
            output::print(&format!("{count} VMs: {verdict}\n{table}"))?;
        }
        Ok(if found.is_wrong() { Ending::Found } else { Ending::Complete })
    }

    fn hosts(&self) -> Result<Vec<TraceHost>> {
        if let Some(path) = &self.hosts {
            return Ok(neutral::read_hosts(path)?);
        }
        Ok(self.host_shape.as_ref().map(HostShapes::hosts).unwrap_or_default())
    }
}
