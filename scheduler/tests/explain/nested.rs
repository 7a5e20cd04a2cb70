//! Hosts with nested providers: inventories and traits count provider by provider, never as sums
//! over the tree.

use std::sync::Arc;

use berth_placement::{Allocation, ConsumerId, Index, Inventory, Row, Units};
use berth_scheduler::HostTable;
use berth_scheduler::explain::{Case, CaseRecord, Explanation, ExplanationScope, PlacementFacts, explain};
use berth_scheduler::placement_query::ComputeNode;
use serde_json::{Value, json};
use uuid::Uuid;

/// A cloud of two hosts with two NUMA nodes and two accelerators each.
struct Cloud {
    index: Arc<Index>,
    record: CaseRecord,
}

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(0x1000_0000_0000_4000_8000_0000_0000_0000 + number)
}

impl Cloud {
    fn new(request: &Value) -> Self {
        let hosts: Vec<Value> = [("a", 0_u128), ("b", 100)]
            .map(|(name, first)| {
                json!({ "host": name, "node": name, "uuid": uuid(first).to_string(), "vcpus": 16,
                        "memory_mb": 16_384, "free_ram_mb": 16_384, "local_gb": 100, "free_disk_gb": 100 })
            })
            .into();
        let record = json!({ "filters": [], "hosts": hosts, "request": request });
        let cloud = Self {
            index: Arc::new(Index::default()),
            record: serde_json::from_value(record).expect("a case"),
        };
        for (name, first) in [("a", 0), ("b", 100)] {
            cloud.add_host(name, first);
        }
        cloud
    }

    fn add_host(&self, name: &str, first: u128) {
        let root = self.add(name, first, None, &[("MEMORY_MB", 16_384), ("DISK_GB", 100)], &[]);
        for node in 0..2 {
            let cpus = format!("{name}-numa{node}");
            self.add(&cpus, first + 1 + node, Some(root), &[("VCPU", 8)], &["HW_NUMA_ROOT"]);
            let device = format!("{name}-gpu{node}");
            let kind = if node == 0 { "CUSTOM_FAST" } else { "CUSTOM_LARGE" };
            self.add(&device, first + 10 + node, Some(root), &[("VGPU", 2)], &[kind]);
        }
    }

    fn add(&self, name: &str, id: u128, parent: Option<Row>, stock: &[(&str, u32)], traits: &[&str]) -> Row {
        let mut writer = self.index.write();
        let row = writer.add_provider(uuid(id), name, parent).expect("a new provider");
        let traits: Vec<_> = traits.iter().map(|name| writer.trait_named(name)).collect();
        writer.set_traits(row, &traits).expect("traits");
        for &(class, total) in stock {
            let class = writer.resource_class(class).expect("a class");
            let inventory = Inventory { units: Units::ANY, ..Inventory::of(total) };
            writer.set_inventory(row, class, Some(&inventory)).expect("an inventory");
        }
        row
    }

    fn take(&self, provider: u128, class: &str, amount: u32) {
        let row = self.index.find(uuid(provider)).expect("a provider");
        let class = self.index.topology().class(class).expect("a class");
        let consumer = ConsumerId(provider << 8 | u128::from(amount));
        self.index.claim(consumer, &[Allocation { row, class, amount }]).expect("free");
    }

    fn explain(&self) -> Explanation {
        let case = Case::load(self.record.clone(), false).expect("a case");
        let case = case.with_placement(self.facts(&case_hosts(&self.record)));
        let question = case.question();
        explain(&question, &ExplanationScope { hosts: question.scene.hosts.rows().collect(), standings: 1 })
    }

    fn facts(&self, hosts: &HostTable) -> PlacementFacts {
        let compute = |host: &berth_scheduler::hosts::HostRecord| ComputeNode {
            host: host.host.clone(),
            node: host.node.clone(),
            uuid: host.uuid,
            cell_uuid: None,
        };
        let computes = self.record.hosts.iter().map(compute).collect();
        PlacementFacts::of_service(Arc::clone(&self.index), hosts, Vec::new(), computes, 0)
    }

    /// What removes host a, and why.
    fn verdict_on_a(&self) -> (String, String) {
        let verdict = &self.explain().verdicts[0];
        (verdict.constraint.as_ref().map(ToString::to_string).unwrap_or_default(), verdict.text.clone())
    }
}

fn case_hosts(record: &CaseRecord) -> HostTable {
    Case::load(record.clone(), false).expect("a case").hosts().clone()
}

fn flavor(vcpus: u32, specs: &Value) -> Value {
    json!({ "flavor": { "vcpus": vcpus, "memory_mb": 512, "root_gb": 1, "extra_specs": specs } })
}

/// Sixteen vCPUs are free in the tree, but no provider has more than eight.
#[test]
fn amounts_are_not_added_up_over_the_tree() {
    let verdict = Cloud::new(&flavor(12, &json!({}))).verdict_on_a();
    assert_eq!(verdict, ("placement: VCPU 12".into(), "asked 12 VCPU, 8 free".into()));
}

/// The trait is a child's; only the root was looked at.
#[test]
fn a_trait_of_a_child_counts() {
    let specs = json!({ "resources:VGPU": "1", "trait:CUSTOM_FAST": "required" });
    let explained = Cloud::new(&flavor(2, &specs)).explain();
    assert_eq!(explained.verdicts[0].text, "passes", "{:?}", explained.removed);
}

#[test]
fn a_group_is_served_by_one_provider() {
    let specs = json!({ "resources1:VGPU": "3" });
    let (by, why) = Cloud::new(&flavor(2, &specs)).verdict_on_a();
    assert_eq!(by, "placement: group 1: 3 VGPU");
    assert_eq!(why, "no provider of the host can serve group 1: 3 VGPU");
}

/// Of the fast device nothing is left, and the other lacks the trait: each constraint alone holds.
#[test]
fn parts_that_do_not_go_together_are_distinguished_from_missing_ones() {
    let specs = json!({ "resources:VGPU": "1", "trait:CUSTOM_FAST": "required" });
    let cloud = Cloud::new(&flavor(2, &specs));
    cloud.take(10, "VGPU", 2);
    let (by, why) = cloud.verdict_on_a();
    assert_eq!(by, "placement: together");
    assert!(why.contains("no choice of providers"), "{why}");
}

/// The counts end with what the index itself answers.
#[test]
fn what_is_left_is_what_the_index_offers() {
    let specs = json!({ "resources1:VGPU": "2", "trait1:CUSTOM_FAST": "required" });
    let cloud = Cloud::new(&flavor(2, &specs));
    cloud.take(110, "VGPU", 1);
    let removed = cloud.explain().removed;
    let left = removed.iter().fold(2, |left, one| left - one.removed);
    assert_eq!(left, 1, "{removed:?}");
}

/// One more empty host like those that are full.
#[test]
fn one_more_host_is_copied_with_its_tree() {
    let cloud = Cloud::new(&flavor(2, &json!({ "resources1:VGPU": "2" })));
    for device in [10, 11, 110, 111] {
        cloud.take(device, "VGPU", 1);
    }
    let found = cloud.explain().relaxations.expect("no host").found;
    assert!(found.iter().any(|one| one.example.starts_with("like ")), "{found:?}");
}
