//! Hosts as Nova sees them and as the index does: the same rows in both.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use berth_placement::{ClassId, ConsumerId, GroupId, GroupPolicy, Index, Inventory, Owner, Timestamp};
use berth_scheduler::filters::RequestState;
use berth_scheduler::hosts::{HostRecord, HostRow, HostTable};
use berth_scheduler::select::{AllocationCandidate, Chooser, Claimant};
use berth_scheduler::{Options, RequestSpec};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const NOW: i64 = 1_780_272_000_000_000;
pub(crate) const GROUP: GroupId = GroupId(1);

/// The host of each instance, as Nova's database has it.
pub(crate) type Books = BTreeMap<String, HostRow>;

pub(crate) fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("reads")
}

/// The instance of a number, whose UUID is [`uuid`] of it.
pub(crate) const fn instance(number: u128) -> ConsumerId {
    ConsumerId(number)
}

pub(crate) fn uuid(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

/// The provider of a host.
pub(crate) fn provider(host: u32) -> String {
    uuid(0x1000 + u128::from(host))
}

/// Hosts with so many vCPUs each.
pub(crate) fn index(hosts: u32, inventory: impl Fn(u32) -> Inventory) -> Index {
    let index = Index::default();
    let mut writer = index.write();
    for host in 0..hosts {
        let id = Uuid::parse_str(&provider(host)).unwrap();
        let row = writer.add_provider(id, &format!("host {host}"), None).unwrap();
        writer.set_inventory(row, ClassId::VCPU, Some(&inventory(host))).unwrap();
    }
    drop(writer);
    index
}

/// The hosts with the instances of the books.
pub(crate) fn hosts(count: u32, books: &Books) -> HostTable {
    let record = |host: u32| -> HostRecord {
        let here = books.iter().filter(|(_, row)| row.0 == host);
        let instances: Vec<Value> = here.map(|(uuid, _)| json!({ "uuid": uuid })).collect();
        read(json!({"host": format!("host {host}"), "node": format!("host {host}"), "uuid": provider(host),
            "vcpus": 64, "memory_mb": 65536, "free_ram_mb": 65536, "free_disk_gb": 100, "instances": instances}))
    };
    let records: Vec<HostRecord> = (0..count).map(record).collect();
    HostTable::load(&records, &[], &Options::default().general, NOW).expect("loads")
}

/// A request of the group as it is according to the books.
pub(crate) fn request(policy: GroupPolicy, books: &Books) -> RequestSpec {
    let (name, rules) = match policy {
        GroupPolicy::Affinity => ("affinity", json!({})),
        GroupPolicy::AntiAffinity { max_per_host } => {
            ("anti-affinity", json!({"max_server_per_host": max_per_host.to_string()}))
        }
        GroupPolicy::SoftAffinity | GroupPolicy::SoftAntiAffinity => panic!("breaks nothing"),
    };
    let hosts: Vec<String> = books.values().map(|row| format!("host {}", row.0)).collect();
    let members: Vec<&String> = books.keys().collect();
    read(json!({"flavor": {"vcpus": 1, "memory_mb": 1, "root_gb": 0},
        "instance_group": {"policy": name, "rules": rules, "members": members, "hosts": hosts}}))
}

/// One vCPU of the host itself.
pub(crate) fn candidate(host: u32) -> AllocationCandidate {
    read(json!({"allocations": {provider(host): {"resources": {"VCPU": 1}}}}))
}

pub(crate) fn state(hosts: u32) -> RequestState {
    let mut state = RequestState::default();
    (0..hosts).for_each(|host| state.give(HostRow(host), vec![candidate(host)]));
    state
}

pub(crate) fn claimant(group: Option<GroupId>) -> Claimant {
    let owner =
        Owner { project: "project".into(), user: "user".into(), consumer_type: Some("INSTANCE".into()) };
    Claimant {
        owner: owner.into(),
        group,
        keeps_allocations: false,
        migration: None,
        now: Timestamp(u64::try_from(NOW).unwrap()),
    }
}

pub(crate) fn at_most(max: u32) -> GroupPolicy {
    GroupPolicy::AntiAffinity { max_per_host: NonZeroU32::new(max).unwrap() }
}

/// Always the best host.
pub(crate) struct Best;

impl Chooser for Best {
    fn choose(&mut self, _: usize) -> usize {
        0
    }

    fn shuffle(&mut self, _: &mut [usize]) {}
}
