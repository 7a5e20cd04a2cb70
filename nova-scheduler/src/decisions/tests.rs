//! Decisions on an index with two hosts.

use std::collections::BTreeSet;

use berth_placement::{ClassId, Inventory, Row};
use berth_scheduler::AggregateRecord;
use berth_scheduler::decider::HostChanges;
use berth_scheduler::hosts::HostRecord;
use berth_scheduler::request_spec::{CheckType, Destination, RequestedFlavor};

use super::*;

const NOW: Timestamp = Timestamp(1_796_000_000_000_000);

/// Hosts with 4 vCPUs and 4 GiB each.
struct Hosts(Vec<HostRecord>);

impl HostSource for Hosts {
    fn changes(&self) -> HostChanges {
        HostChanges::default()
    }

    fn all(&self) -> (Vec<HostRecord>, Vec<AggregateRecord>) {
        (self.0.clone(), Vec::new())
    }

    fn some(&self, hosts: &BTreeSet<String>) -> Vec<HostRecord> {
        self.0.iter().filter(|record| hosts.contains(&record.host)).cloned().collect()
    }
}

fn hosts() -> Hosts {
    let record = |number: u128| {
        let name = format!("c{number}");
        let mut record = HostRecord::new(&name, &name, Uuid::from_u128(number));
        (record.vcpus, record.memory_mb, record.free_ram_mb) = (4, 4096, 4096);
        (record.local_gb, record.free_disk_gb) = (100, Some(100));
        record
    };
    Hosts((1..=2).map(record).collect())
}

fn index() -> Arc<Index> {
    let index = Index::with_holders();
    let mut writer = index.write();
    // Placement knows all standard traits.
    writer.trait_named("COMPUTE_STATUS_DISABLED");
    for number in 1..=2 {
        let row =
            writer.add_provider(Uuid::from_u128(number), &format!("c{number}"), None).expect("a provider");
        let amounts = [(ClassId::VCPU, 4), (ClassId::MEMORY_MB, 4096), (ClassId::DISK_GB, 100)];
        let inventories = amounts.map(|(class, total)| (class, Inventory::of(total)));
        writer.set_inventories(row, Some(0), inventories.to_vec()).expect("inventories");
    }
    drop(writer);
    Arc::new(index)
}

fn spec(vcpus: i64) -> RequestSpec {
    let flavor = RequestedFlavor { vcpus, memory_mb: 512, root_gb: 1, ..RequestedFlavor::default() };
    RequestSpec { project_id: "p".to_owned(), user_id: "u".to_owned(), flavor, ..RequestSpec::default() }
}

fn asked<'a>(spec: &'a RequestSpec, instances: &'a [Uuid]) -> Asked<'a> {
    Asked { spec, instances, claims: true, with_alternates: true, now: NOW }
}

fn used(index: &Index) -> [i64; 2] {
    [0, 1].map(|row| index.used(Row(row), ClassId::VCPU))
}

const A: [Uuid; 1] = [Uuid::from_u128(100)];

#[test]
fn a_host_is_claimed_and_named() {
    let (index, hosts) = (index(), hosts());
    let mut decisions = Decisions::new(Options::default(), 1);
    let spec = spec(2);
    let selected = decisions.decide(&index, &hosts, &asked(&spec, &A)).ok().expect("a host");
    assert_eq!((selected.len(), selected[0].len()), (1, 2), "the other host is an alternate");
    let chosen = &selected[0][0];
    assert_eq!(chosen.availability_zone, "nova");
    let request = chosen.allocations.as_ref().expect("a claim");
    assert_eq!(request.mappings.get(""), Some(&vec![chosen.compute_node_uuid.clone()]));
    let resources = &request.allocations[&chosen.compute_node_uuid].resources;
    let amounts: Vec<_> = resources.iter().map(|(class, amount)| (class.as_str(), *amount)).collect();
    assert_eq!(amounts, [("DISK_GB", 1), ("MEMORY_MB", 512), ("VCPU", 2)]);
    assert_eq!(used(&index).iter().sum::<i64>(), 2);
    let owner = index.consumer(A[0].into()).and_then(|held| held.owner).expect("an owner");
    assert_eq!((&*owner.project, &*owner.user, &owner.consumer_type), ("p", "u", &None));
}

#[test]
fn an_instance_that_is_evacuated_holds_both_hosts() {
    let (index, mut hosts) = (index(), hosts());
    let mut decisions = Decisions::new(Options::default(), 1);
    let spec = spec(2);
    let first = decisions.decide(&index, &hosts, &asked(&spec, &A)).ok().expect("a host")[0][0].host.clone();
    let lost = hosts.0.iter_mut().find(|record| record.host == first).expect("is known");
    lost.service.forced_down = true;
    let mut decisions = Decisions::new(Options::default(), 1);
    let second = decisions.decide(&index, &hosts, &asked(&spec, &A)).ok().expect("a host")[0][0].host.clone();
    assert_ne!(first, second);
    assert_eq!(used(&index), [2, 2]);
}

#[test]
fn a_host_that_is_full_is_refused_as_nova_does() {
    let (index, hosts) = (index(), hosts());
    let mut decisions = Decisions::new(Options::default(), 1);
    let refused = |decisions: &mut Decisions, spec: &RequestSpec, instances: &[Uuid]| {
        let refused = decisions
            .decide(&index, &hosts, &asked(spec, instances))
            .err()
            .unwrap_or_else(|| panic!("a host"));
        (refused.failure.message().to_owned(), refused.removed)
    };
    // No candidate of Placement at all: no reason.
    let (message, removed) = refused(&mut decisions, &spec(5), &A);
    assert_eq!(message, "No valid host was found. ");
    assert_eq!(removed, [("placement".to_owned(), 2)]);
    // Too many instances.
    let instances = [1, 2, 3].map(Uuid::from_u128);
    let (message, _) = refused(&mut decisions, &spec(4), &instances);
    assert_eq!(message, "No valid host was found. There are not enough hosts available.");
    assert_eq!(used(&index), [0, 0], "nothing stays claimed");
}

#[test]
fn a_rebuild_claims_nothing() {
    let (index, hosts) = (index(), hosts());
    let mut decisions = Decisions::new(Options::default(), 1);
    let rebuild =
        RequestSpec { check_type: Some(CheckType::Rebuild), force_hosts: vec!["c2".to_owned()], ..spec(2) };
    let selected = decisions.decide(&index, &hosts, &asked(&rebuild, &A)).ok().expect("a host");
    assert_eq!((selected[0][0].host.as_str(), &selected[0][0].allocations), ("c2", &None));
    assert_eq!(used(&index), [0, 0]);
}

#[test]
fn another_index_is_decided_on_after_the_store_failed() {
    let hosts = hosts();
    let mut decisions = Decisions::new(Options::default(), 1);
    let spec = spec(4);
    for _ in 0..3 {
        let index = index();
        assert!(decisions.decide(&index, &hosts, &asked(&spec, &A)).is_ok());
        assert_eq!(used(&index).iter().sum::<i64>(), 4);
    }
}

/// Conductor names the cell of an instance that moves; Nova looks for hosts there and nowhere else.
#[test]
fn an_instance_moves_within_its_cell() {
    let (index, mut hosts) = (index(), hosts());
    let cells = ["a".to_owned(), "b".to_owned()];
    for (record, cell) in hosts.0.iter_mut().zip(&cells) {
        record.cell_uuid.clone_from(cell);
    }
    let mut decisions = Decisions::new(Options::default(), 1);
    for (cell, host) in cells.into_iter().zip(["c1", "c2"]) {
        let destination =
            Destination { cell_uuid: Some(cell), is_cell_bound: true, ..Destination::default() };
        let spec = RequestSpec { requested_destination: Some(destination), ..spec(1) };
        let request = Asked { claims: false, ..asked(&spec, &A) };
        let selected = decisions.decide(&index, &hosts, &request).ok().expect("a host");
        assert_eq!(
            (selected[0].len(), selected[0][0].host.as_str()),
            (1, host),
            "without alternates elsewhere"
        );
    }
}
