//! The JSON document that both Berth and Nova read.

use berth_scheduler::{FilterName, Options, WeigherName};
use serde_json::{Value, json};

use super::fleet::Fleet;
use super::request::request;
use super::{NovaVariant, World, Wrong};

/// The time of every decision.
pub(super) const NOW: &str = "2026-06-01T00:00:00";

/// Fleet, filters, weighers and request in the format that `docs/performance.md` describes.
#[must_use]
pub fn case(variant: NovaVariant, hosts: u32, seed: u64) -> Value {
    let fleet = Fleet { variant, hosts, seed };
    let text = |names: &[String]| json!(names);
    json!({
        "schema": "nova-sched-oracle/1", "id": format!("berth-bench-{variant}-{hosts}-{seed}"),
        "kind": "pipeline", "now": NOW,
        "filters": text(&filters(variant).iter().map(ToString::to_string).collect::<Vec<_>>()),
        "weighers": text(&weighers().iter().map(ToString::to_string).collect::<Vec<_>>()),
        "aggregates": fleet.aggregates(),
        "hosts": fleet.hosts().collect::<Vec<_>>(),
        "request": request(fleet),
    })
}

/// The case under `input` and Berth's answer under `berth`: the number of hosts that each filter
/// removes, and the remaining hosts with their weights, best first.
///
/// # Errors
/// [`Wrong`] if Berth's two searches disagree.
pub fn case_with_answer(variant: NovaVariant, hosts: u32, seed: u64) -> Result<Value, Wrong> {
    let answer = World::new(variant, hosts, seed).answer()?;
    let case = case(variant, hosts, seed);
    Ok(json!({"id": case["id"], "input": case, "berth": answer}))
}

/// Nova's default filters, and the filters of NUMA cells and devices for the variants that request
/// them.
pub(super) fn filters(variant: NovaVariant) -> Vec<FilterName> {
    let mut filters = Options::default().filter_scheduler.enabled_filters;
    if variant == NovaVariant::Numa {
        filters.extend([FilterName::NUMATopologyFilter, FilterName::PciPassthroughFilter]);
    }
    filters
}

/// Nova's default weighers.
pub(super) fn weighers() -> Vec<WeigherName> {
    Options::default().filter_scheduler.weight_classes
}
