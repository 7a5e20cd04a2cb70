//! Healing of findings that have not changed since they were found.

use anyhow::Result;
use berth_placement::Inventory;
use clap::ValueEnum;
use serde::Serialize;
use uuid::Uuid;

use super::findings::{Findings, Leaked};
use super::fleet::{About, Fleet};

/// The kinds of findings that can be healed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Heal {
    /// Delete the allocations of consumers that no longer exist
    Leaked,
    /// Raise allocation ratios to cover the usage
    OverCapacity,
    /// Report how to recount the usage
    Usage,
}

/// The state that is healed.
pub(super) trait Healer {
    /// Deletes all allocations of a consumer that has not changed.
    fn remove(&mut self, consumer: Uuid, about: &About) -> Result<Outcome>;

    /// Sets the allocation ratio of an inventory that has not changed.
    fn set_ratio(&mut self, provider: Uuid, class: &str, found: &Inventory, ratio: f64) -> Result<Outcome>;
}

/// The outcome of one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Done,
    /// Not applied, because --write is missing.
    WouldBeDone,
    /// Skipped: it changed after it was found.
    Changed,
    /// Skipped: it was written recently, or at an unknown time.
    TooYoung,
    /// Impossible from here.
    Impossible(String),
    /// The service refused it.
    Refused(String),
}

/// A change and its outcome.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Step {
    pub(super) what: String,
    pub(super) outcome: Outcome,
}

/// What to heal, and how.
pub(super) struct HealOptions<'a> {
    pub(super) kinds: &'a [Heal],
    /// Consumers written at this time or later, in seconds since 1970, are skipped.
    pub(super) before: u64,
    /// Whether changes are applied.
    pub(super) write: bool,
}

/// Heals the findings of the selected kinds.
pub(super) fn heal(
    healer: &mut dyn Healer,
    fleet: &Fleet,
    findings: &Findings,
    options: &HealOptions<'_>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    if options.kinds.contains(&Heal::Leaked) {
        for leaked in findings.leaked.iter().flatten() {
            let what = format!("delete the allocations of consumer {}", leaked.consumer);
            steps.push(Step { what, outcome: settled(remove(healer, leaked, options)) });
        }
    }
    if options.kinds.contains(&Heal::OverCapacity) {
        raise_ratios(healer, fleet, findings, options, &mut steps);
    }
    if options.kinds.contains(&Heal::Usage) {
        for usage in &findings.usage {
            let what = format!("recount the usage of {} on {}", usage.class, usage.name);
            let how = "the API cannot; Berth recounts from the allocations whenever it starts";
            steps.push(Step { what, outcome: Outcome::Impossible(how.to_owned()) });
        }
    }
    steps
}

/// A change that failed is reported beside those that were applied.
fn settled(outcome: Result<Outcome>) -> Outcome {
    outcome.unwrap_or_else(|error| Outcome::Refused(format!("{error:#}")))
}

fn remove(healer: &mut dyn Healer, leaked: &Leaked, options: &HealOptions<'_>) -> Result<Outcome> {
    if leaked.about.since.is_none_or(|since| since >= options.before) {
        return Ok(Outcome::TooYoung);
    }
    if !options.write {
        return Ok(Outcome::WouldBeDone);
    }
    let about = About {
        generation: leaked.about.generation,
        project: leaked.about.project.clone(),
        user: leaked.about.user.clone(),
        kind: leaked.about.consumer_type.clone(),
        written_at: leaked.about.since,
    };
    healer.remove(leaked.consumer, &about)
}

fn raise_ratios(
    healer: &mut dyn Healer,
    fleet: &Fleet,
    findings: &Findings,
    options: &HealOptions<'_>,
    steps: &mut Vec<Step>,
) {
    for over in &findings.over_capacity {
        for excess in &over.classes {
            let found = fleet.providers[&over.provider].inventories[&excess.class];
            let (class, name, before) = (&excess.class, &over.name, excess.allocation_ratio);
            let (what, outcome) = match enough(&found, excess.used) {
                None => {
                    let why = "no ratio is enough: all of it is reserved".to_owned();
                    (format!("raise the allocation ratio of {class} on {name}"), Outcome::Impossible(why))
                }
                Some(ratio) => {
                    let outcome = if options.write {
                        settled(healer.set_ratio(over.provider, class, &found, ratio))
                    } else {
                        Outcome::WouldBeDone
                    };
                    (
                        format!("raise the allocation ratio of {class} on {name} from {before} to {ratio}"),
                        outcome,
                    )
                }
            };
            steps.push(Step { what, outcome });
        }
    }
}

/// The smallest ratio with four decimals that covers the usage.
fn enough(inventory: &Inventory, used: i64) -> Option<f64> {
    let offered = i64::from(inventory.total) - i64::from(inventory.reserved);
    if offered <= 0 {
        return None;
    }
    let tenthousandths = (used * 10_000 + offered - 1) / offered;
    #[allow(clippy::cast_precision_loss, reason = "amounts are far below 2^53")]
    let ratio = |number: i64| number as f64 / 10_000.0;
    let fits = |ratio: &f64| Inventory { allocation_ratio: *ratio, ..*inventory }.capacity() >= used;
    (tenthousandths..tenthousandths + 3).map(ratio).find(fits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_ratio_is_just_enough(total in 1_u32..2_000_000, reserved in 0_u32..2_000_000, used in 1_i64..20_000_000) {
            let inventory = Inventory { reserved: reserved.min(total), ..Inventory::of(total) };
            let Some(ratio) = enough(&inventory, used) else {
                return Err(TestCaseError::fail("no ratio")).or_else(|error| {
                    if inventory.reserved == total { Ok(()) } else { Err(error) }
                });
            };
            let capacity = |ratio| Inventory { allocation_ratio: ratio, ..inventory }.capacity();
            prop_assert!(capacity(ratio) >= used);
            prop_assert!(capacity(ratio - 0.000_3) < used);
        }
    }
}
