//! `berth scheduler`, and `berth explain --request-id`.

use anyhow::{Result, bail};
use berth_api::v1::{ListRequestsRequest, RemovedBy, ServedRequest};
use clap::{Args, Subcommand};

use super::connection::{Connection, request};
use super::record::{Record, print_list};
use super::refusal::Answer;
use super::{Common, ask, run};
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
        let format = self.common.format;
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
pub(crate) fn explain(connection: &Connection, request_id: &str, as_json: bool) -> Result<Ending> {
    let wanted = ListRequestsRequest { failed: false, request_id: request_id.to_owned() };
    let known = ask(connection, async |client| {
        Ok(client.scheduler().list_requests(request(wanted.clone())).await.answer()?.requests)
    })?;
    // A request to Nova may reach the scheduler more than once, as a resize that is tried again does.
    let Some(last) = known.last() else {
        bail!(
            "--request-id {request_id}: the service has no such request; it keeps the last 1,000 of each outcome"
        );
    };
    let found = last.refusal.is_empty();
    if as_json {
        output::print_json(&known.into_iter().map(record).collect::<Vec<_>>())?;
    } else {
        output::print(&known.iter().map(text).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(if found { Ending::Complete } else { Ending::NoHost })
}

fn text(served: &ServedRequest) -> String {
    let ServedRequest { request_id, flavor, project, instances, chosen, refusal, hosts, .. } = served;
    let count = instances.len();
    let head = format!("{request_id}: {count} instance(s) of flavor {flavor}, project {project}\n");
    if refusal.is_empty() {
        return format!("{head}  hosts: {}\n", chosen.join(", "));
    }
    let mut left = *hosts;
    let mut lines = format!("{head}  {refusal}\n  {left} hosts\n");
    for RemovedBy { constraint, hosts } in &served.removed {
        left = left.saturating_sub(*hosts);
        lines.push_str(&format!("  {constraint} removed {hosts}, {left} left\n"));
    }
    lines
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
            text(&served),
            "req-1: 1 instance(s) of flavor m1, project p\n  No valid host was found. There are not enough hosts \
             available.\n  5 hosts\n  placement removed 3, 2 left\n  ComputeFilter removed 2, 0 left\n"
        );
        let placed = ServedRequest { chosen: vec!["c1".to_owned()], refusal: String::new(), ..served };
        assert!(text(&placed).ends_with("  hosts: c1\n"));
    }
}
