//! `berth bench plot`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use berth_benches::Report;
use berth_benches::plot::{self, Over};
use clap::Args;

use crate::{Ending, output};

#[derive(Args)]
pub(super) struct Plot {
    /// The result
    result: PathBuf,
    /// What to draw
    #[arg(long, value_name = "NAME", default_value = "decisions/recurrent")]
    row: String,
    /// The axis: hosts or fill
    #[arg(long, value_name = "NAME", default_value_t = Over::Hosts)]
    over: Over,
    /// Write the picture to this file
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

impl Plot {
    pub(super) fn run(self) -> Result<Ending> {
        let report = match Report::read(&self.result) {
            Ok(report) => report,
            Err(error) => {
                output::complain(&error.into());
                return Ok(Ending::WrongUsage);
            }
        };
        let picture = plot::svg(&report, &self.row, self.over)
            .with_context(|| format!("no picture of {}", self.result.display()))?;
        output::write_file(&self.output, &picture)?;
        Ok(Ending::Complete)
    }
}
