//! Devices that Placement counts as child providers (`[filter_scheduler] pci_in_placement`):
//! filters judge the allocation candidates of a decision, which say what provider a device comes
//! from.

use std::sync::Arc;

use berth_placement::candidates::SearchOptions;
use berth_placement::{Allocation, ConsumerId, Index, Inventory, Row};
use berth_scheduler::explain::{Case, CaseRecord, ExplanationScope, PlacementFacts, explain};
use berth_scheduler::placement_query::{CandidateExtent, ComputeNode, PrefilterFacts, placement_query};
use serde_json::{Value, json};
use uuid::Uuid;

use super::decision::decide_among;

const CLASS: &str = "CUSTOM_PCI_8086_10";
const REQUEST: &str = "50000000-0000-4000-8000-000000000001";

/// A host with two devices, each of which may be in use as Placement knows it, and as the host
/// reports it.
#[derive(Debug, Clone, Copy)]
struct Devices {
    free_in_placement: [bool; 2],
    free_on_host: [bool; 2],
}

const fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(0x1000_0000_0000_4000_8000_0000_0000_0000 + number)
}

impl Devices {
    fn record(self, filter: &str, with_cell: bool) -> CaseRecord {
        let pool = |device: usize| {
            json!({ "vendor_id": "8086", "product_id": "10", "count": 1, "numa_node": 0,
                    "rp_uuid": uuid(device as u128 + 1).to_string() })
        };
        let pools: Vec<Value> = (0..2).filter(|&device| self.free_on_host[device]).map(pool).collect();
        let topology = json!({ "cells": [{
            "id": 0, "cpuset": [0, 1], "pcpuset": [0, 1], "memory": 4096, "siblings": [],
            "mempages": [{ "size_kb": 4, "total": 1_048_576, "used": 0 }],
        }] });
        let instance = json!({ "cells": [{ "id": 0, "cpuset": [0], "memory": 512 }] });
        serde_json::from_value(json!({
            "filters": [filter],
            "config": { "filter_scheduler": { "pci_in_placement": true } },
            "hosts": [{ "host": "a", "node": "a", "uuid": uuid(0).to_string(), "vcpus": 8, "memory_mb": 4096,
                        "free_ram_mb": 4096, "local_gb": 10, "free_disk_gb": 10, "pci_pools": pools,
                        "numa_topology": topology }],
            "request": {
                "flavor": { "vcpus": 1, "memory_mb": 512, "root_gb": 1 },
                "image": { "id": "i", "properties": {} },
                "numa_topology": if with_cell { instance } else { Value::Null },
                "pci_requests": [{ "request_id": REQUEST, "alias_name": "nic", "count": 1,
                                   "spec": [{ "vendor_id": "8086", "product_id": "10" }] }],
                "requested_resources": [{ "requester_id": format!("{REQUEST}-0"), "resources": { CLASS: 1 } }],
            },
        }))
        .expect("a case")
    }

    fn index(self) -> Index {
        let index = Index::default();
        let add = |number: u128, parent: Option<Row>, stock: &[(&str, u32)]| {
            let mut writer = index.write();
            let row = writer.add_provider(uuid(number), &number.to_string(), parent).expect("a new provider");
            for &(class, total) in stock {
                let class = writer.resource_class(class).expect("a class");
                writer.set_inventory(row, class, Some(&Inventory::of(total))).expect("an inventory");
            }
            row
        };
        let root = add(0, None, &[("VCPU", 8), ("MEMORY_MB", 4096), ("DISK_GB", 10)]);
        for device in 0..2 {
            let row = add(device as u128 + 1, Some(root), &[(CLASS, 1)]);
            if !self.free_in_placement[device] {
                let class = index.topology().class(CLASS).expect("a class");
                let consumer = ConsumerId(device as u128 + 1);
                index.claim(consumer, &[Allocation { row, class, amount: 1 }]).expect("free");
            }
        }
        index
    }
}

/// Each combination of devices in use, under each filter that drops candidates. With one candidate
/// that takes all from the root, a host passed whose free devices Placement does not give.
#[test]
fn an_explanation_judges_the_candidates_of_a_decision() {
    let both = [[true, true], [true, false], [false, true], [false, false]];
    let cases = both.iter().flat_map(|placement| both.iter().map(move |host| (*placement, *host)));
    let mut found = 0;
    for ((free_in_placement, free_on_host), (filter, with_cell)) in cases.flat_map(|devices| {
        [("PciPassthroughFilter", false), ("NUMATopologyFilter", true)].map(|filter| (devices, filter))
    }) {
        let devices = Devices { free_in_placement, free_on_host };
        let case = Case::load(devices.record(filter, with_cell), false).expect("a case");
        let index = Arc::new(devices.index());
        let computes =
            vec![ComputeNode { host: "a".into(), node: "a".into(), uuid: uuid(0), cell_uuid: None }];
        let scene = case.question().scene;

        let known =
            PrefilterFacts { aggregates: &[], computes: &computes, oldest_compute: 0, networks: None };
        let mut request = scene.request.clone();
        let query = placement_query(&mut request, scene.options, &known).expect("a query");
        let extent = CandidateExtent::of(scene.request, scene.options);
        let asked = query.ask(&index, scene.hosts, extent, &SearchOptions::default());
        let (decided, _) = decide_among(&scene, asked.state).expect("a decision");

        let facts = PlacementFacts::of_service(index, scene.hosts, Vec::new(), computes.clone(), 0);
        let case = case.with_placement(facts);
        let question = case.question();
        let scope = ExplanationScope { hosts: question.scene.hosts.rows().collect(), standings: 1 };
        let explained = explain(&question, &scope);
        let verdict = &explained.verdicts[0];
        assert_eq!(verdict.text == "passes", decided.is_some(), "{devices:?} {filter}: {verdict:?}");
        let removed: usize = explained.removed.iter().map(|one| one.removed).sum();
        assert_eq!(removed, usize::from(decided.is_none()), "{devices:?} {filter}: {explained:?}");
        found += usize::from(decided.is_some());
    }
    assert_eq!(found, 2 * 7, "the host is found when some device is free in both");
}
