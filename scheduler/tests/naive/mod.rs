//! The best host by looking at every provider: what every search must equal.

use std::cmp::Reverse;

use berth_placement::{ClassId, Index, Inventory, Row, Topology};
use berth_scheduler::{Policy, Request};

/// The host that `policy` says the request gets.
pub(crate) fn best(index: &Index, request: &Request, policy: Policy) -> Option<Row> {
    let topology = index.topology();
    let hosts = topology.providers().filter(|(_, provider)| provider.parent.is_none()).map(|(row, _)| row);
    let fitting =
        hosts.filter(|&row| has_room(index, request, row) && is_acceptable(&topology, request, row));
    let free = |row| (index.free(row, ClassId::VCPU), index.free(row, ClassId::MEMORY_MB));
    match policy {
        Policy::BestFit => fitting.min_by_key(|&row| (free(row), row)),
        Policy::BestFitCpu => fitting.min_by_key(|&row| (free(row).0, row)),
        Policy::FirstFit => fitting.min(),
        Policy::WorstFit => fitting.min_by_key(|&row| (Reverse(free(row)), row)),
    }
}

fn has_room(index: &Index, request: &Request, row: Row) -> bool {
    let total = |class| request.resources.iter().filter(move |asked| asked.0 == class).map(|asked| asked.1);
    request.resources.iter().filter(|(_, amount)| *amount > 0).all(|&(class, _)| {
        let amount = total(class).fold(0, u32::saturating_add);
        index.inventory(row, class).is_some_and(|inventory| {
            allows(&inventory, amount) && i64::from(amount) + index.used(row, class) <= inventory.capacity()
        })
    })
}

fn allows(inventory: &Inventory, amount: u32) -> bool {
    let units = inventory.units;
    amount >= units.min_unit && amount <= units.max_unit && amount.is_multiple_of(units.step_size)
}

fn is_acceptable(topology: &Topology, request: &Request, row: Row) -> bool {
    let has_trait = |name: &String| {
        let rows = topology.find_trait(name).and_then(|id| topology.rows_with_trait(id));
        rows.is_some_and(|rows| rows.contains(row.0))
    };
    let is_in = |&id| topology.rows_in_aggregate(id).is_some_and(|rows| rows.contains(row.0));
    request.required_traits.iter().all(has_trait)
        && !request.forbidden_traits.iter().any(has_trait)
        && request.member_of.iter().all(|any_of| any_of.iter().any(is_in))
        && !request.forbidden_aggregates.iter().any(is_in)
}
