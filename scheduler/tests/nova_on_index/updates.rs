//! A scheduler whose hosts report again decides as a new one that is made from what they report.

use std::sync::Arc;

use berth_placement::ConsumerId;
use berth_scheduler::filter_scheduler::FilterScheduler;
use berth_scheduler::hosts::{HostRecord, UpdateError};
use berth_scheduler::{Options, RequestSpec};
use serde_json::{Value, json};

use crate::cloud::{NOW, ShortWay, computes, hosts, known};
use crate::fleet::{Fleet, Kind, uuid};
use crate::numbers::Numbers;
use crate::requests::request;

/// Changes what a host reports: its use, its service, and now and then what it is.
fn report_again(record: &mut Value, random: &mut Numbers) {
    record["vcpus_used"] = json!(random.below(4));
    record["free_ram_mb"] = json!(random.below(8) * 1_024);
    record["free_disk_gb"] = json!(random.below(200));
    record["stats"] = json!({ "io_workload": random.below(10).to_string(), "num_instances": random.below(60).to_string(),
                              "failed_builds": random.pick(&[0, 0, 0, 1]).to_string() });
    record["metrics"] = json!([{ "name": "cpu.frequency", "value": random.below(5) }]);
    let seen = random.pick(&["2026-05-31T23:59:40", "2026-05-31T23:00:00"]);
    record["service"] =
        json!({ "disabled": random.one_in(4), "forced_down": random.one_in(8), "last_seen_up": seen });
    if random.one_in(4) {
        record["hypervisor_version"] = json!(random.pick(&[6_002_000, 8_000_000, 9_000_000]));
    }
    if random.one_in(6) {
        record["supported_instances"] = json!([[random.pick(&["x86_64", "aarch64"]), "kvm", "hvm"]]);
    }
    if random.one_in(3) {
        let instances: Vec<Value> =
            (0..random.below(3)).map(|_| json!({ "uuid": uuid(9, random.below(12)).to_string() })).collect();
        record["instances"] = json!(instances);
    }
}

/// Moves hosts between aggregates, and gives one a multiplier of its own.
fn regroup(fleet: &mut Fleet, random: &mut Numbers) {
    for aggregate in &mut fleet.aggregates {
        if random.one_in(3) {
            aggregate.hosts.retain(|_| !random.one_in(3));
        }
        if random.one_in(8) {
            let multiplier = random.pick(&["-1.0", "2.0"]).to_owned();
            aggregate.metadata.insert("ram_weight_multiplier".to_owned(), multiplier);
        } else {
            aggregate.metadata.remove("ram_weight_multiplier");
        }
    }
}

fn records(values: &[&Value]) -> Vec<HostRecord> {
    values.iter().map(|value| serde_json::from_value((*value).clone()).unwrap()).collect()
}

/// What decisions have found, so that a test that finds nothing fails.
#[derive(Default)]
struct Counts {
    found: usize,
    refused: usize,
}

fn compare(random: &mut Numbers, counts: &mut Counts) {
    let kind = random.pick(&[Kind::Plain, Kind::Plain, Kind::Devices]);
    let mut fleet = Fleet::new(kind, random.pick(&[3, 8, 70]), random);
    let options = Options::default();
    let mut cloud = ShortWay::new(&fleet, &options);
    let computes = computes(&fleet);
    let specs: Vec<RequestSpec> =
        (0..6).map(|_| serde_json::from_value(request(&fleet, random)).unwrap()).collect();
    let prepare = |scheduler: &mut FilterScheduler, fleet: &Fleet, spec: &RequestSpec| {
        scheduler.prepare(spec.clone(), &known(fleet, &computes), NOW).ok()
    };
    let mut prepared: Vec<_> = specs.iter().map(|spec| prepare(&mut cloud.scheduler, &fleet, spec)).collect();
    for step in 0..6 {
        let changed: Vec<usize> = (0..fleet.hosts.len()).filter(|_| random.one_in(2)).collect();
        changed.iter().for_each(|&at| report_again(&mut fleet.hosts[at].1, random));
        let values: Vec<&Value> = changed.iter().map(|&at| &fleet.hosts[at].1).collect();
        cloud.scheduler.update_hosts(&records(&values), NOW).unwrap();
        if random.one_in(3) {
            regroup(&mut fleet, random);
            cloud.scheduler.replace_aggregates(&fleet.aggregates);
            prepared = specs.iter().map(|spec| prepare(&mut cloud.scheduler, &fleet, spec)).collect();
        }
        cloud.scheduler.check().unwrap();
        let index = Arc::clone(&cloud.index);
        let mut rebuilt = ShortWay {
            scheduler: FilterScheduler::new(Arc::clone(&index), hosts(&fleet, &options), options.clone()),
            index,
        };
        for (number, (spec, prepared)) in specs.iter().zip(&mut prepared).enumerate() {
            let Some(prepared) = prepared else { continue };
            let instance = [ConsumerId::from(uuid(7, step * 10 + number))];
            let mut fresh = prepare(&mut rebuilt.scheduler, &fleet, spec).unwrap();
            let mut expected = rebuilt.decide(&mut fresh, &instance, &mut |_, _| ());
            rebuilt.scheduler.undo(&mut expected);
            let _ = cloud.index.release(instance[0]);
            let mut found = cloud.decide(prepared, &instance, &mut |_, _| ());
            cloud.scheduler.undo(&mut found);
            let _ = cloud.index.release(instance[0]);
            assert_eq!(format!("{:?}", found.result), format!("{:?}", expected.result), "{spec:?}");
            *(if found.result.is_ok() { &mut counts.found } else { &mut counts.refused }) += 1;
        }
    }
}

#[test]
fn hosts_that_report_again_are_decided_on_as_if_they_were_new() {
    let mut counts = Counts::default();
    for seed in 0..60 {
        compare(&mut Numbers(seed), &mut counts);
    }
    assert!(counts.found > 200 && counts.refused > 50, "{} found, {} refused", counts.found, counts.refused);
}

/// A host may come back with another provider; the one it had is nobody's then.
#[test]
fn a_host_follows_its_provider() {
    let fleet = Fleet::new(Kind::Plain, 2, &mut Numbers(1));
    let mut cloud = ShortWay::new(&fleet, &Options::default());
    let (mut first, mut second) = (fleet.hosts[0].1.clone(), fleet.hosts[1].1.clone());
    (first["uuid"], second["uuid"]) = (second["uuid"].clone(), first["uuid"].clone());
    cloud.scheduler.update_hosts(&records(&[&first, &second]), NOW).unwrap();
    cloud.scheduler.check().unwrap();
}

#[test]
fn what_cannot_be_taken_in_changes_nothing() {
    let fleet = Fleet::new(Kind::Plain, 2, &mut Numbers(1));
    let mut cloud = ShortWay::new(&fleet, &Options::default());
    let mut unknown = fleet.hosts[0].1.clone();
    unknown["node"] = json!("elsewhere");
    let refused = cloud.scheduler.update_hosts(&records(&[&fleet.hosts[1].1, &unknown]), NOW);
    let unknown = UpdateError::Unknown { host: "host0".to_owned(), node: "elsewhere".to_owned() };
    assert_eq!(refused, Err(unknown));
    cloud.scheduler.check().unwrap();
}
