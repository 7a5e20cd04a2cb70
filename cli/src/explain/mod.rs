//! `berth explain`.

mod input;
mod service;
pub(crate) mod text;
mod unknown;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use berth_scheduler::explain::{
    self, Case, Ending as Outcome, Explanation, Question, TenantExplanation, TenantResult,
};
use berth_scheduler::hosts::HostRow;
use clap::Args;
use serde::Serialize;

use crate::document::DocumentOptions;
use crate::operator::connection::Connection;
use crate::operator::server::Wanted;
use crate::operator::{self, Project};
use crate::{Ending, output};

/// Explain why a request finds a host or none, and which change would find one.
#[derive(Args)]
#[command(after_help = "\
Examples:
  berth explain --flavor m1.small --image debian.qcow2 --host compute-7   ask the running service
  berth explain --flavor m1.small --availability-zone az1 --tenant        the tenant's view
  berth explain --case case.json                       the same of a fleet in a file
  berth explain --case fleet.json --request vm.json    a request to a fleet that is in another file
  berth explain --request-id req-7c1f…                  what became of a request to Nova
  berth explain --case - --tenant --json < case.json   the tenant's view, for scripts

Exit codes: 0 there is a host, 3 there is none, 1 the input is bad (the message names the field), 2 wrong usage.
docs/explain.md describes the input and reads an explanation line by line.")]
pub(crate) struct Explain {
    /// Explain a case (fleet, configuration and request as JSON) instead of the service's fleet; -
    /// reads standard input
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present_any = ["flavor", "request_id"],
        conflicts_with_all = ["flavor", "image", "image_property", "availability_zone", "hint"]
    )]
    case: Option<PathBuf>,
    /// Show what became of a request to Nova, by the id that Nova's API returned
    #[arg(long, value_name = "REQ-ID", conflicts_with_all = ["case", "flavor", "request", "host", "tenant"])]
    request_id: Option<String>,
    /// A request as JSON that replaces that of the case
    #[arg(long, value_name = "FILE", conflicts_with = "flavor")]
    request: Option<PathBuf>,
    /// The name of the flavor
    #[arg(long, value_name = "NAME")]
    flavor: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// A host to explain; may be given several times
    #[arg(long, value_name = "NAME", conflicts_with = "tenant")]
    host: Vec<String>,
    /// How many of the best hosts to show with their weights
    #[arg(long, value_name = "N", default_value_t = 3)]
    top: u32,
    /// Also explain Placement's part of a case: capacity, traits, aggregates, zone [default: if
    /// hosts have traits]
    #[arg(long, conflicts_with = "flavor")]
    placement: bool,
    /// Show the tenant's view: counts only
    #[arg(long)]
    tenant: bool,
    #[command(flatten)]
    format: DocumentOptions,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    project: Project,
}

/// An explanation as it is printed.
struct Shown {
    table: String,
    json: String,
    /// Whether there is a host.
    found: bool,
}

impl Explain {
    pub(crate) fn run(self) -> Result<Ending> {
        if let Some(request_id) = &self.request_id {
            return operator::scheduler::explain(&self.connection, request_id, self.format);
        }
        let shown = match &self.case {
            Some(case) => self.of_case(case)?,
            None => self.of_service()?,
        };
        if self.format.is_document() {
            self.format.print_json(&shown.json)?;
        } else {
            output::print(&shown.table)?;
        }
        Ok(if shown.found { Ending::Complete } else { Ending::NoHost })
    }

    /// Explains a case.
    fn of_case(&self, file: &Path) -> Result<Shown> {
        let mut record = input::case(file)?;
        if let Some(path) = &self.request {
            record.request = Some(input::request(path)?);
        }
        let case = Case::load(record, self.placement).with_context(|| input::name(file))?;
        let question = case.question();
        let wanted =
            explain::ExplanationScope { hosts: rows(&question, &self.host)?, standings: self.top as usize };
        let explanation = explain::explain(&question, &wanted);
        if self.tenant {
            let explanation = explanation.for_tenant();
            Ok(Shown::for_tenant(&explanation, json(&explanation)?))
        } else {
            Ok(Shown::for_operator(&explanation, json(&explanation)?))
        }
    }
}

impl Shown {
    fn for_operator(explanation: &Explanation, json: String) -> Self {
        let found = matches!(explanation.ending, Outcome::Found { .. });
        Self { table: text::for_operator(explanation), json, found }
    }

    fn for_tenant(explanation: &TenantExplanation, json: String) -> Self {
        let found = explanation.result == TenantResult::Found;
        Self { table: text::for_tenant(explanation), json, found }
    }
}

fn json(explanation: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(explanation).context("cannot write JSON")? + "\n")
}

/// The nodes of the named hosts.
fn rows(question: &Question<'_>, names: &[String]) -> Result<Vec<HostRow>> {
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
