//! `berth explain`.

mod input;
mod text;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use berth_scheduler::nova::explain::{self, Case, Explanation, Question, Wanted};
use clap::Args;
use serde::Serialize;

use crate::output;

/// Say why a request finds its host, or none, and what would find one.
#[derive(Args)]
#[command(after_help = "\
Examples:
  berth explain --case case.json                       why, and what would find a host
  berth explain --case case.json --host compute-7      what stands against this host
  berth explain --case fleet.json --request vm.json    a request to a fleet that is in another file
  berth explain --case - --tenant --json < case.json   what the tenant may know, for scripts

Exit codes: 0 there is a host, 3 there is none, 1 the input is bad (the message names the field), 2 wrong usage.
docs/explain.md describes the input and reads an explanation line by line.")]
pub(crate) struct Explain {
    /// Fleet, configuration and request as JSON; - reads standard input
    #[arg(long, value_name = "FILE")]
    case: PathBuf,
    /// The request as JSON, instead of that of the case
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// A host to explain; may be given several times
    #[arg(long, value_name = "NAME", conflicts_with = "tenant")]
    host: Vec<String>,
    /// How many of the best hosts to show with their weights
    #[arg(long, value_name = "N", default_value_t = 3)]
    top: usize,
    /// Explain Placement's part, too: room, traits, aggregates, zone [default: if hosts have traits]
    #[arg(long)]
    placement: bool,
    /// Show what the tenant may know: counts only
    #[arg(long)]
    tenant: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(crate) fn run(self) -> Result<crate::Ending> {
        let mut record = input::case(&self.case)?;
        if let Some(path) = &self.request {
            record.request = Some(input::request(path)?);
        }
        let case = Case::load(record, self.placement).with_context(|| input::name(&self.case))?;
        let question = case.question();
        let wanted = Wanted { hosts: rows(&question, &self.host)?, standings: self.top };
        let explanation = explain::explain(&question, &wanted);
        output::print(&self.shown(&explanation)?)?;
        let found = matches!(explanation.ending, explain::Ending::Found { .. });
        Ok(if found { crate::Ending::Complete } else { crate::Ending::NoHost })
    }

    fn shown(&self, explanation: &Explanation) -> Result<String> {
        Ok(match (self.tenant, self.json) {
            (false, false) => text::for_operator(explanation),
            (true, false) => text::for_tenant(&explanation.for_tenant()),
            (false, true) => json(explanation)?,
            (true, true) => json(&explanation.for_tenant())?,
        })
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value).context("cannot write JSON")? + "\n")
}

/// The nodes of the named hosts.
fn rows(question: &Question<'_>, names: &[String]) -> Result<Vec<explain::Row>> {
    let hosts = question.scene.hosts;
    let mut rows = Vec::new();
    for name in names {
        let named: Vec<_> =
            hosts.rows().filter(|row| hosts.host(*row) == name || hosts.node(*row) == name).collect();
        if named.is_empty() {
            bail!("--host {name}: the case has no such host or node");
        }
        rows.extend(named);
    }
    Ok(rows)
}
