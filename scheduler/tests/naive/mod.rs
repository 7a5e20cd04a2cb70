//! The best host by looking at every provider: what every search must equal.

use std::cmp::Reverse;

use berth_placement::{ClassId, HOST_CLASSES, Index, Inventory, Row, Topology};
use berth_scheduler::{Objective, Policy, Request, Weights};

/// The host that `policy` says the request gets.
#[allow(dead_code)] // not every test compares only the best host
pub(crate) fn best(index: &Index, request: &Request, policy: Policy) -> Option<Row> {
    let fitting = satisfying(index, request).into_iter();
    let free = |row| (index.free(row, ClassId::VCPU), index.free(row, ClassId::MEMORY_MB));
    match policy {
        Policy::BestFit => fitting.min_by_key(|&row| (free(row), row)),
        Policy::BestFitCpu => fitting.min_by_key(|&row| (free(row).0, row)),
        Policy::FirstFit => fitting.min(),
        Policy::WorstFit => fitting.min_by_key(|&row| (Reverse(free(row)), row)),
    }
}

/// All hosts that satisfy the request, those `objective` says are best first.
#[allow(dead_code)] // not every test compares more than the best host
pub(crate) fn all(index: &Index, request: &Request, objective: Objective) -> Vec<Row> {
    let mut rows = satisfying(index, request);
    let free = |row| (index.free(row, ClassId::VCPU), index.free(row, ClassId::MEMORY_MB));
    match objective {
        Objective::Policy(Policy::BestFit) => rows.sort_by_key(|&row| (free(row), row)),
        Objective::Policy(Policy::BestFitCpu) => rows.sort_by_key(|&row| (free(row).0, row)),
        Objective::Policy(Policy::FirstFit) => rows.sort(),
        Objective::Policy(Policy::WorstFit) => rows.sort_by_key(|&row| (Reverse(free(row)), row)),
        Objective::Weigh(weights) => sort_by_score(index, &mut rows, weights),
    }
    rows
}

/// As [`Weights`] has it: the highest sum of normalised free amounts first, equal sums by row.
fn sort_by_score(index: &Index, rows: &mut [Row], weights: Weights) {
    // Free amounts are held to the range of `i32`, see `HostFree`; a class a host does not have
    // weighs as 0.
    let free = |row| {
        HOST_CLASSES.map(|class| {
            let lowest = i64::from(i32::MIN) + 1;
            index.free(row, class).map_or(0, |free| free.clamp(lowest, i64::from(i32::MAX)))
        })
    };
    let frees: Vec<[i64; 3]> = rows.iter().map(|&row| free(row)).collect();
    let low = [0, 1, 2].map(|class| frees.iter().map(|free| free[class]).min().unwrap_or(0).min(0));
    let high = [0, 1, 2].map(|class| frees.iter().map(|free| free[class]).max().unwrap_or(0));
    #[allow(clippy::cast_precision_loss)] // amounts are within `i32`
    let score = |row| {
        let free = free(row);
        let mut score = 0.0;
        for class in 0..3 {
            if high[class] != low[class] {
                let share = (free[class] - low[class]) as f64 / (high[class] - low[class]) as f64;
                score += weights.multipliers[class] * share;
            }
        }
        score
    };
    let mut scored: Vec<(f64, Row)> = rows.iter().map(|&row| (score(row), row)).collect();
    scored.sort_by(|one, other| other.0.partial_cmp(&one.0).unwrap().then(one.1.cmp(&other.1)));
    rows.iter_mut().zip(scored).for_each(|(row, (_, next))| *row = next);
}

/// The hosts that satisfy the request, by row.
fn satisfying(index: &Index, request: &Request) -> Vec<Row> {
    let topology = index.topology();
    let hosts = topology.providers().filter(|(_, provider)| provider.parent.is_none()).map(|(row, _)| row);
    let mut rows: Vec<Row> = hosts
        .filter(|&row| has_capacity(index, request, row) && is_acceptable(&topology, request, row))
        .collect();
    rows.sort_unstable();
    rows
}

fn has_capacity(index: &Index, request: &Request, row: Row) -> bool {
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
