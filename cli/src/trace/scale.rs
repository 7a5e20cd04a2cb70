//! `berth trace scale`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use berth_traces::Micros;
use berth_traces::scale::{DAY, as_vms, by_factor, growing, repeated, resample, unchanged};
use clap::Args;
use indicatif::HumanCount;

use super::Input;
use crate::{Ending, output};

/// Make another trace from one: thinner, denser, of other days, growing.
#[derive(Args)]
#[command(after_help = "\
The steps are applied in this order: --resample, --days, --factor, --growth. The same seed gives the same trace.

Examples:
  berth trace scale vms.parquet --factor 0.1 --out tenth.parquet
  berth trace scale vms.parquet --resample --seed 7 --out other-days.parquet
  berth trace scale vms.parquet --days 365 --growth 0.03 --out year.parquet")]
pub(crate) struct ScaleTrace {
    #[command(flatten)]
    input: Input,
    /// Draw days of the trace with replacement, keeping the hours of the day
    #[arg(long)]
    resample: bool,
    /// Repeat the trace until it lasts this many days
    #[arg(long, value_name = "N")]
    days: Option<u64>,
    /// Keep this share of the batches, or add copies (above 1)
    #[arg(long, value_name = "X")]
    factor: Option<f64>,
    /// Let arrivals grow by this share each month, 0.03 for 3 %
    #[arg(long, value_name = "X")]
    growth: Option<f64>,
    /// The seed of all draws
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The file to write: Parquet, or neutral CSV if the name ends in .csv
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl ScaleTrace {
    pub(crate) fn run(self) -> Result<Ending> {
        let out_of_range = |x: f64, least: f64| !x.is_finite() || x < least || x > 1000.0;
        if self.factor.is_some_and(|factor| out_of_range(factor, 0.0)) {
            bail!("--factor: a number from 0 to 1000");
        }
        if self.growth.is_some_and(|growth| out_of_range(growth, -0.99)) {
            bail!("--growth: a number from -0.99 to 1000");
        }
        let mut vms = self.input.read()?;
        if self.resample {
            vms = as_vms(&vms, &resample(&vms, self.seed));
        }
        if let Some(days) = self.days {
            let Some(length) = days.checked_mul(DAY) else { bail!("--days: too many") };
            vms = as_vms(&vms, &repeated(&unchanged(&vms), Micros(length)));
        }
        if let Some(factor) = self.factor {
            vms = as_vms(&vms, &by_factor(&vms, factor, self.seed));
        }
        if let Some(growth) = self.growth {
            vms = as_vms(&vms, &growing(&vms, growth, self.seed));
        }
        super::write(&self.out, &vms)?;
        output::print(&format!("{} VMs: {}\n", HumanCount(vms.len() as u64), self.out.display()))?;
        Ok(Ending::Complete)
    }
}
