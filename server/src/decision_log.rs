//! The log of decisions: requests in, hosts out, and what left.
//!
//! It is the part of the log whose target is [`TARGET`]. Each line has one field, a JSON object:
//! the outcome of a request for hosts, or a consumer that holds nothing any more. A decision is
//! logged while the decider is held, so lines are in the order of decisions; a release is logged
//! before its capacity can be claimed again. So a simulation of the lines has what the service had
//! (`berth simulate`, docs/scenarios.md).

use std::sync::Arc;

use berth_fleet::FleetError;
use berth_placement::{ConsumerId, GroupPolicy, Recorder, StateChange, Ticket, Timestamp};
use berth_store::Queue;
use serde_json::json;
use tracing::Level;
use uuid::Uuid;

use crate::fleet::{Ask, NamedPlacement};
use crate::service::now;

/// The target of the lines, which filters of the log name.
const TARGET: &str = "decisions";

/// Instances in a line, at most: readers of logs have bounds, too.
const MOST_INSTANCES: usize = 100;

/// Logs the outcome of a request for hosts. Errors other than that there is no host are no
/// decisions.
pub(crate) fn decided(
    ask: &Ask,
    group: Option<(Uuid, GroupPolicy)>,
    outcome: Result<&[NamedPlacement], &FleetError>,
    at: Timestamp,
) {
    match outcome {
        Ok(placed) => placed.chunks(MOST_INSTANCES).for_each(|placed| {
            let instances: Vec<Uuid> = placed.iter().map(|placed| placed.instance).collect();
            let hosts: Vec<&str> = placed.iter().map(|placed| placed.place.host.as_str()).collect();
            line(ask, group, &instances, &hosts, at);
        }),
        Err(error) if error.is_no_valid_host() => {
            let instances = if ask.instances.len() > 1 { &[] } else { &ask.instances[..] };
            line(ask, group, instances, &[], at);
        }
        Err(_) => {}
    }
}

fn line(ask: &Ask, group: Option<(Uuid, GroupPolicy)>, instances: &[Uuid], hosts: &[&str], at: Timestamp) {
    let Ask { flavor, project, availability_zone, .. } = ask;
    let disks = [flavor.root_gb, flavor.ephemeral_gb, flavor.swap_mb.div_ceil(1024)];
    let line = json!({
        "at_us": at.0,
        "requested": ask.instances.len(),
        "instances": instances,
        "hosts": hosts,
        "flavor": flavor.name,
        "vcpus": flavor.vcpus,
        "memory_mb": flavor.memory_mb,
        "disk_gb": disks.into_iter().map(u64::from).sum::<u64>(),
        "extra_specs": flavor.extra_specs,
        "project": project,
        "zone": availability_zone.zone,
        "group": group.map(|(group, _)| group),
        "policy": group.map(|(_, policy)| policy_name(policy)),
    });
    tracing::debug!(target: TARGET, decision = %line, "decided");
}

/// Whether decisions are logged.
pub(crate) fn is_on() -> bool {
    tracing::enabled!(target: TARGET, Level::DEBUG)
}

fn released(consumer: ConsumerId) {
    let line = json!({"at_us": now().0, "released": Uuid::from(consumer)});
    tracing::debug!(target: TARGET, decision = %line, "released");
}

const fn policy_name(policy: GroupPolicy) -> &'static str {
    match policy {
        GroupPolicy::Affinity => "affinity",
        GroupPolicy::AntiAffinity { .. } => "anti-affinity",
        GroupPolicy::SoftAffinity => "soft-affinity",
        GroupPolicy::SoftAntiAffinity => "soft-anti-affinity",
    }
}

/// Passes the changes of an index on to the queue of its store, and logs the consumers that leave.
pub(crate) struct Leaving(pub(crate) Arc<Queue>);

impl Recorder for Leaving {
    fn begin(&self) -> Ticket {
        self.0.begin()
    }

    fn record(&self, changes: Vec<StateChange>) {
        if is_on() {
            let left = changes.iter().filter_map(|change| match change {
                StateChange::Consumer { id, after: None, .. } => Some(*id),
                _ => None,
            });
            left.for_each(released);
        }
        self.0.record(changes);
    }

    fn end(&self, ticket: Ticket) {
        self.0.end(ticket);
    }
}
