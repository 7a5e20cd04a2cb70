//! Fleets whose unit rules differ from host to host, and all smaller requests tried one by one.

use berth_scheduler::explain::{Case, CaseRecord, Change, ExplanationScope, explain};
use berth_scheduler::request_spec::RequestSpec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::decision::{Decided, decide};

/// An inventory of at most 40, with rules that often leave few amounts.
fn inventory() -> impl Strategy<Value = Value> {
    let units =
        (0..=40_u32, prop_oneof![Just(1_u32), 1..=12_u32], prop_oneof![Just(1_u32), 1..=9_u32], 1..=40_u32);
    units.prop_map(|(total, min, step, most)| {
        json!({ "total": total.max(1), "min_unit": min, "step_size": step, "max_unit": most.max(min) })
    })
}

/// A host; of some no inventory is known.
fn host() -> impl Strategy<Value = Value> {
    let inventories = (inventory(), inventory(), inventory());
    prop::option::weighted(0.8, inventories).prop_map(|inventories| {
        let inventories = inventories
            .map(|(vcpus, memory, disk)| json!({ "VCPU": vcpus, "MEMORY_MB": memory, "DISK_GB": disk }));
        json!({ "traits": [], "inventories": inventories, "vcpus": 5, "memory_mb": 11, "free_ram_mb": 11,
                "local_gb": 7, "free_disk_gb": 7 })
    })
}

/// A request that asks too much of one thing, mostly.
fn flavor() -> impl Strategy<Value = Value> {
    let amounts = (1..=40_i64, 1..=40_i64, 0..=30_i64, 0..=10_i64, prop_oneof![Just(0_i64), 1..=3000_i64]);
    amounts.prop_map(|(memory, vcpus, root, ephemeral, swap)| {
        json!({ "memory_mb": memory, "vcpus": vcpus, "root_gb": root, "ephemeral_gb": ephemeral, "swap": swap })
    })
}

fn record() -> impl Strategy<Value = CaseRecord> {
    (prop::collection::vec(host(), 1..6), flavor()).prop_map(|(mut hosts, flavor)| {
        for (number, host) in hosts.iter_mut().enumerate() {
            for field in ["host", "node"] {
                host[field] = json!(format!("host-{number}"));
            }
            host["uuid"] = json!(format!("10000000-0000-4000-8000-{number:012}"));
        }
        let case = json!({ "filters": [], "hosts": hosts, "request": { "flavor": flavor } });
        serde_json::from_value(case).expect("a case")
    })
}

fn suggested(record: &CaseRecord) -> Option<Vec<Vec<Change>>> {
    let case = Case::load(record.clone(), false).expect("loads");
    let relaxations =
        explain(&case.question(), &ExplanationScope { hosts: Vec::new(), standings: 0 }).relaxations?;
    Some(relaxations.found.into_iter().map(|one| one.changes).collect())
}

fn finds_one(record: &CaseRecord, changes: &[Change]) -> bool {
    let mut record = record.clone();
    let request = record.request.as_mut().expect("a request");
    changes.iter().for_each(|change| change.apply(request, &mut record.config));
    matches!(decide(&record), Ok(Decided { host: Some(_), .. }))
}

fn with_amount(change: &Change, enough: i64) -> Change {
    match *change {
        Change::Memory { asked, .. } => Change::Memory { asked, enough },
        Change::Vcpus { asked, .. } => Change::Vcpus { asked, enough },
        Change::Disk { asked, .. } => Change::Disk { asked, enough },
        ref other => panic!("{other} has no amount"),
    }
}

/// The changes by which a request can ask for less, with the least that they can come to.
fn all_amounts(request: &RequestSpec) -> Vec<(Change, i64)> {
    let flavor = &request.flavor;
    let (memory, vcpus) = (flavor.memory_mb, flavor.vcpus);
    let disk = flavor.root_gb + flavor.ephemeral_gb;
    vec![
        (Change::Memory { asked: memory, enough: memory }, 1),
        (Change::Vcpus { asked: vcpus, enough: vcpus }, 1),
        (Change::Disk { asked: disk, enough: disk }, 0),
    ]
}

/// The largest smaller amount that finds a host, found by trying each.
fn closest(record: &CaseRecord, change: &Change, least: i64) -> Option<Change> {
    let (asked, _) = change.amounts().expect("an amount");
    let smaller = (least..asked).rev().map(|amount| with_amount(change, amount));
    smaller.into_iter().find(|change| finds_one(record, std::slice::from_ref(change)))
}

fn is_amount(change: &Change) -> bool {
    matches!(change, Change::Memory { .. } | Change::Vcpus { .. } | Change::Disk { .. })
}

/// A pair finds a host; with any amount of either closer to what was asked it does not.
fn is_least(record: &CaseRecord, pair: &[Change]) -> Result<(), TestCaseError> {
    prop_assert!(finds_one(record, pair), "{:?} does not help", pair);
    for (at, change) in pair.iter().enumerate() {
        let (asked, enough) = change.amounts().expect("an amount");
        for closer in enough + 1..=asked {
            let mut closer_pair = pair.to_vec();
            closer_pair[at] = with_amount(change, closer);
            prop_assert!(
                !finds_one(record, &closer_pair),
                "{:?} would do instead of {:?}",
                closer_pair,
                pair
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Where unit rules forbid an amount of 1, less was once never suggested.
    #[test]
    fn the_closest_size_that_finds_a_host_is_suggested(record in record()) {
        let Some(suggested) = suggested(&record) else { return Ok(()) };
        let singles: Vec<&Change> =
            suggested.iter().filter(|changes| changes.len() == 1).map(|changes| &changes[0]).collect();
        for (change, least) in all_amounts(record.request.as_ref().expect("a request")) {
            let same = |other: &&&Change| std::mem::discriminant(**other) == std::mem::discriminant(&change);
            let explained = singles.iter().find(same).map(|change| (*change).clone());
            prop_assert_eq!(explained, closest(&record, &change, least), "{}", change);
        }
        let pairs = suggested.iter().filter(|changes| changes.len() == 2 && changes.iter().all(is_amount));
        for pair in pairs {
            is_least(&record, pair)?;
        }
    }
}

/// Two kinds of hosts: the rules of one allow 48, those of the other 50, and nobody allows 1.
#[test]
fn less_is_suggested_where_one_is_no_size() {
    let host = |name: &str, number: u32, min: u32, step: u32| {
        json!({ "host": name, "node": name, "uuid": format!("10000000-0000-4000-8000-{number:012}"), "traits": [],
                "inventories": { "VCPU": { "total": 8 }, "DISK_GB": { "total": 9 },
                                 "MEMORY_MB": { "total": 60, "min_unit": min, "step_size": step } } })
    };
    let record: CaseRecord = serde_json::from_value(json!({
        "filters": [], "hosts": [host("a", 1, 16, 16), host("b", 2, 10, 25)],
        "request": { "flavor": { "memory_mb": 64, "vcpus": 1 } },
    }))
    .expect("a case");
    let changes: Vec<String> =
        suggested(&record).expect("no host").iter().flatten().map(ToString::to_string).collect();
    assert_eq!(
        changes.first().map(String::as_str),
        Some("14 MiB less memory: 50 instead of 64"),
        "{changes:?}"
    );
}
