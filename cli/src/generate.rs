//! `berth generate`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use berth_traces::{Extent, Generator, neutral, reference};
use clap::Args;

use crate::{Ending, output};

/// Write a workload as hosts and vms CSV files.
#[derive(Args)]
#[command(after_help = "\
Examples:
  berth generate --reference s1k --out wl     wl/s1k.hosts.csv and wl/s1k.vms.csv
  berth generate --vms 500000 --out wl        wl/sample.vms.csv: a cloud like Azure's of 2017")]
pub(crate) struct Generate {
    /// A reference workload, the one that simulators are compared on
    #[arg(long, value_name = "NAME", conflicts_with = "vms", value_parser = reference::NAMES)]
    reference: Option<String>,
    /// How many VMs of the synthetic cloud
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    vms: u64,
    /// The seed; a reference workload has its own
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The directory to write to
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

impl Generate {
    pub(crate) fn run(self) -> Result<Ending> {
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot create {}", self.out.display()))?;
        let paths = if let Some(name) = &self.reference {
            let set = reference::set(name).expect("clap lets only known names through");
            let set = if let Some(seed) = self.seed { set.with_seed(seed) } else { set };
            set.write_csv(&self.out)?.to_vec()
        } else {
            let path = self.out.join("sample.vms.csv");
            let generator = Generator::azure_like(self.seed.unwrap_or(1), Extent::Vms(self.vms));
            neutral::write_vms(&path, generator.trace())?;
            vec![path]
        };
        let lines: Vec<String> = paths.iter().map(|path| format!("{}\n", path.display())).collect();
        output::print(&lines.concat())?;
        Ok(Ending::Complete)
    }
}
