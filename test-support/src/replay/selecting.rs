//! Destinations: choices, claims, alternates, and what is left of the hosts.

use std::collections::{BTreeMap, BTreeSet};

use berth_placement::ConsumerId;
use berth_scheduler::SelectDestinations;
use berth_scheduler::hosts::{HostRow, HostTable};
use berth_scheduler::select::{AllocationCandidate, Chooser, Claims, SelectError, Selection};
use serde_json::{Value, json};

use super::answer::{Answer, raised};
use super::case::{Case, Draws};
use super::difference::Differences;

const PART: &str = "select";

/// Answers draws as the record says, and notes them.
struct ScriptedDraws<'a> {
    draws: &'a Draws,
    calls: Vec<Value>,
}

impl Chooser for ScriptedDraws<'_> {
    fn choose(&mut self, len: usize) -> usize {
        self.calls.push(json!(["choice", len]));
        if self.draws.choice == "last" { len - 1 } else { 0 }
    }

    fn shuffle(&mut self, positions: &mut [usize]) {
        self.calls.push(json!(["shuffle", positions.len()]));
        if self.draws.shuffle == "reverse" {
            positions.reverse();
        }
    }
}

/// Refuses claims as the record says, and notes them all.
struct ScriptedClaims<'a> {
    case: &'a Case,
    instances: &'a [ConsumerId],
    refused: BTreeSet<(usize, usize)>,
    claims: Vec<(usize, usize, bool)>,
    released: Vec<usize>,
}

impl ScriptedClaims<'_> {
    fn position(&self, instance: ConsumerId) -> usize {
        self.instances.iter().rposition(|other| *other == instance).expect("a known instance")
    }
}

impl Claims for ScriptedClaims<'_> {
    fn claim(&mut self, instance: ConsumerId, _: HostRow, candidate: &AllocationCandidate) -> bool {
        let instance = self.position(instance);
        let host =
            candidate.allocations.providers().find_map(|uuid| self.case.host_of(uuid)).expect("a known host");
        let granted = !self.refused.contains(&(instance, host));
        self.claims.push((instance, host, granted));
        granted
    }

    fn release(&mut self, instance: ConsumerId) {
        self.released.push(self.position(instance));
    }
}

/// Answers the decision for all instances.
pub(crate) fn answer(case: &mut Case, hosts: &mut HostTable, answer: &mut Answer, out: &mut Differences) {
    let Some(select) = case.select.take() else { return };
    let mut request = case.request.clone();
    let mut state = case.state_by_provider(hosts);
    let mut draws = ScriptedDraws { draws: &select.rng, calls: Vec::new() };
    let refused = select.claim_failures.iter().map(|failure| (failure.instance, failure.host)).collect();
    let instances: &Vec<ConsumerId> = &select.instance_uuids.iter().map(|&uuid| uuid.into()).collect();
    let mut claims = ScriptedClaims { case, instances, refused, claims: Vec::new(), released: Vec::new() };
    let what = SelectDestinations {
        options: case.options(),
        instances,
        return_alternates: select.return_alternates,
        now: case.now(),
    };
    let before: Vec<_> = hosts.rows().map(|row| final_state(hosts, row)).collect();
    let mut decision = what.decide(hosts, &mut request, &mut state, &mut claims, &mut draws);
    let touched = touched(&claims.claims, &decision.result);
    let finals: BTreeMap<String, Value> =
        touched.iter().map(|&row| (row.to_string(), final_state(hosts, HostRow(row)))).collect();
    let rows = |rows: &Vec<Vec<Selection>>| {
        rows.iter().map(|row| row.iter().map(selection).collect::<Value>()).collect::<Value>()
    };
    let mut found = json!({
        "selections": decision.result.as_ref().map_or(Value::Null, rows),
        "error": decision.result.as_ref().err().map_or(Value::Null, refusal),
        "claims": claims.claims,
        "cleanup": claims.released,
        "random_calls": draws.calls,
        "final_hosts": finals,
    });
    if let Some(group) = request.instance_group {
        found["group_hosts"] = json!(group.hosts);
    }
    answer.insert(PART, found);
    decision.undo(hosts);
    let after: Vec<_> = hosts.rows().map(|row| final_state(hosts, row)).collect();
    out.expect(PART, "hosts after undoing", &json!(before), &json!(after));
}

fn refusal(error: &SelectError) -> Value {
    error.nova_exception().map_or_else(|| json!(error.to_string()), |exception| raised(&exception))
}

fn selection(selection: &Selection) -> Value {
    json!({
        "host": selection.row.0,
        "allocation_request": selection.allocation_request,
        "availability_zone": selection.availability_zone,
        "limits": selection.limits.map(|limits| json!({
            "cpu_allocation_ratio": limits.cpu_allocation_ratio,
            "ram_allocation_ratio": limits.ram_allocation_ratio,
        })),
    })
}

fn touched(
    claims: &[(usize, usize, bool)],
    result: &Result<Vec<Vec<Selection>>, SelectError>,
) -> BTreeSet<u32> {
    let claimed =
        claims.iter().filter(|(.., granted)| *granted).map(|(_, host, _)| u32::try_from(*host).unwrap_or(0));
    let chosen = result.iter().flatten().filter_map(|row| row.first()).map(|selection| selection.row.0);
    claimed.chain(chosen).collect()
}

fn final_state(hosts: &HostTable, row: HostRow) -> Value {
    let usage = hosts.usage().row(row);
    json!({
        "free_ram_mb": usage.free_ram_mb,
        "free_disk_mb": usage.free_disk_mb,
        "vcpus_used": usage.vcpus_used,
        "num_instances": usage.num_instances,
        "num_io_ops": usage.num_io_ops,
        "numa": hosts.numa(row).map(|numa| numa.usage()),
        "pci_pools": hosts.pools(row).map(|pools| pools.as_slice()),
    })
}
