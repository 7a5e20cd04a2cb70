//! `berth trace import`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use indicatif::{HumanBytes, HumanCount};

use super::Input;
use crate::{Ending, output};

/// Convert a trace of any format to Berth's trace file, sorted by arrival.
#[derive(Args)]
#[command(after_help = "\
Formats (docs/traces.md says where the originals are): neutral, azure-v1-2017, azure-vmtable (V1 and V2),
azure-packing-2020, huawei-east-1, huawei-east-1-lt, huawei-numa, alibaba-openb-2023, google-2019, swf, opendc,
nova-instances, rvtools, berth-decisions, berth.

Examples:
  berth trace import vms.csv.gz --out vms.parquet
  mysql --batch -e 'SELECT * FROM nova_cell1.instances' | berth trace import - --out nova.parquet
  berth trace import vms.parquet --out vms.csv       back to the neutral CSV")]
pub(crate) struct Import {
    #[command(flatten)]
    input: Input,
    /// The file to write: Parquet, or neutral CSV if the name ends in .csv
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Import {
    pub(crate) fn run(self) -> Result<Ending> {
        let vms = self.input.read()?;
        super::write(&self.out, &vms)?;
        let size = std::fs::metadata(&self.out).map(|file| file.len()).unwrap_or(0);
        let (count, size) = (HumanCount(vms.len() as u64), HumanBytes(size));
        output::print(&format!("{count} VMs, {size}: {}\n", self.out.display()))?;
        Ok(Ending::Complete)
    }
}
