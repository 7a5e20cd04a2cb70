//! `berth scheduler`, and `berth explain --request-id`.

use anyhow::{Context, Result, bail};
use berth_api::v1::{ListRequestsRequest, RemovedBy, ServedRequest};
use berth_scheduler::explain::Explanation;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::connection::{Connection, request};
use super::record::{Record, print_list};
use super::refusal::Answer;
use super::{Common, ask, run};
use crate::document::DocumentOptions;
use crate::explain::text::for_operator;
use crate::{Ending, output};

/// Show what Nova asked of the scheduler
#[derive(Args)]
#[command(after_help = "\
Example: berth scheduler requests --failed

The service has requests of Nova if it runs in nova-scheduler's place: docs/replace-nova-scheduler.md")]
pub(crate) struct Scheduler {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List recent requests, oldest first
    Requests {
        /// Only requests that found no host
        #[arg(long)]
        failed: bool,
    },
}

const COLUMNS: &[&str] =
    &["arrived", "request_id", "project", "flavor", "instances", "hosts", "refusal", "removed"];

impl Scheduler {
    pub(crate) fn run(self) -> Result<Ending> {
        let format = &self.common.output;
        run(&self.common.connection, async |client| match self.action {
            Action::Requests { failed } => {
                let wanted = ListRequestsRequest { failed, request_id: String::new() };
                let known = client.scheduler().list_requests(request(wanted)).await.answer()?;
                print_list(format, COLUMNS, &known.requests.into_iter().map(record).collect::<Vec<_>>())
            }
        })
    }
}

fn record(served: ServedRequest) -> Record {
    let removed: Vec<String> =
        served.removed.iter().map(|one| format!("{} {}", one.constraint, one.hosts)).collect();
    Record::new()
        .time("arrived", served.arrived_us)
        .text("request_id", served.request_id)
        .text("project", served.project)
        .text("flavor", served.flavor)
        .with("instances", served.instances)
        .with("hosts", served.chosen)
        .text("refusal", served.refusal)
        .with("removed", removed)
}

/// Prints what became of the request with an id of Nova's API; returns whether it found hosts.
pub(crate) fn explain(connection: &Connection, request_id: &str, format: DocumentOptions) -> Result<Ending> {
    let wanted = ListRequestsRequest { failed: false, request_id: request_id.to_owned() };
    let known = ask(connection, async |client| {
        Ok(client.scheduler().list_requests(request(wanted.clone())).await.answer()?.requests)
    })?;
    // A request to Nova may reach the scheduler more than once, as a resize that is tried again
    // does.
    let Some(last) = known.last() else {
        bail!(
            "--request-id {request_id}: the service has no such request; it keeps the last 1,000 of each outcome"
        );
    };
    let found = last.refusal.is_empty();
    if format.is_document() {
        format.print(&known.into_iter().map(explained).collect::<Result<Vec<_>>>()?)?;
    } else {
        output::print(&known.iter().map(text).collect::<Result<Vec<_>>>()?.join("\n"))?;
    }
    Ok(if found { Ending::Complete } else { Ending::NoHost })
}

/// The record with its explanation.
fn explained(served: ServedRequest) -> Result<Record> {
    let (placed, explanation) = (served.placed, explanation(&served)?);
    Ok(record(served).with("placed", placed).with("explanation", explanation))
}

/// The explanation as JSON; null if there is none.
fn explanation(served: &ServedRequest) -> Result<Value> {
    if served.explanation.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&served.explanation).context("the service's explanation is no JSON")
}

fn text(served: &ServedRequest) -> Result<String> {
    let ServedRequest { request_id, flavor, project, instances, chosen, refusal, placed, .. } = served;
    let count = instances.len();
    let head = format!("{request_id}: {count} instance(s) of flavor {flavor}, project {project}\n");
    if refusal.is_empty() {
        return Ok(format!("{head}  hosts: {}\n", chosen.join(", ")));
    }
    let mut text = format!("{head}  {refusal}\n");
    if *placed > 0 {
        text.push_str(&format!("  {placed} of {count} instances had found a host; nothing is claimed\n"));
    }
    match explanation(served)? {
        Value::Null => removals(&mut text, served),
        explanation => {
            let explanation: Explanation =
                serde_json::from_value(explanation).context("cannot read the explanation")?;
            let of = if *placed > 0 { "One instance, before the others:" } else { "Explanation:" };
            text.push_str(&format!("\n{of}\n{}", for_operator(&explanation)));
        }
    }
    Ok(text)
}

/// The counts alone.
fn removals(text: &mut String, served: &ServedRequest) {
    let mut left = served.hosts;
    text.push_str(&format!("  {left} hosts\n"));
    for RemovedBy { constraint, hosts } in &served.removed {
        left = left.saturating_sub(*hosts);
        text.push_str(&format!("  {constraint} removed {hosts}, {left} left\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_are_shown_in_order_with_what_they_left() {
        let removed = |constraint: &str, hosts| RemovedBy { constraint: constraint.to_owned(), hosts };
        let served = ServedRequest {
            request_id: "req-1".to_owned(),
            flavor: "m1".to_owned(),
            project: "p".to_owned(),
            instances: vec!["i".to_owned()],
            refusal: "No valid host was found. There are not enough hosts available.".to_owned(),
            removed: vec![removed("placement", 3), removed("ComputeFilter", 2)],
            hosts: 5,
            ..ServedRequest::default()
        };
        assert_eq!(
            text(&served).expect("a text"),
            "req-1: 1 instance(s) of flavor m1, project p\n  No valid host was found. There are not enough hosts \
             available.\n  5 hosts\n  placement removed 3, 2 left\n  ComputeFilter removed 2, 0 left\n"
        );
        let explanation = r#"{"hosts": 5, "ending": {"result": "no_host"}, "removed": [{"constraint": "placement: VCPU 9",
            "entered": 5, "removed": 5}], "not_judged": [], "verdicts": [], "standings": [], "relaxations": null}"#;
        let explained = ServedRequest { placed: 1, explanation: explanation.to_owned(), ..served.clone() };
        let explained = text(&explained).expect("a text");
        assert!(explained.contains("1 of 1 instances had found a host"), "{explained}");
        assert!(explained.contains("placement: VCPU 9"), "{explained}");
        let nonsense = ServedRequest { explanation: "{".to_owned(), ..served.clone() };
        assert!(text(&nonsense).is_err());
        let placed = ServedRequest { chosen: vec!["c1".to_owned()], refusal: String::new(), ..served };
        assert!(text(&placed).expect("a text").ends_with("  hosts: c1\n"));
    }
}
