//! A small cloud: providers in an index, the same hosts as Nova's table, and claims on the index.

use std::collections::BTreeMap;

use berth_placement::candidates;
use berth_placement::{Allocation, ConsumerId, Index, Inventory, Row};
use berth_scheduler::nova::hosts::HostTable;
use berth_scheduler::nova::placement_query::{
    ComputeNode, Extent, HostCandidates, Known, PlacementQuery, QueryError, placement_query,
};
use berth_scheduler::nova::select::{AllocationCandidate, Chooser, Claims, Decision};
use berth_scheduler::nova::{Aggregate, Options, RequestSpec, SelectDestinations};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const NOW: i64 = 1_780_272_000_000_000; // 2026-06-01

/// A provider: what it has, and what is said of it.
#[derive(Default)]
pub(crate) struct Provider {
    pub(crate) name: &'static str,
    pub(crate) inventories: Vec<(&'static str, u32)>,
    pub(crate) traits: Vec<&'static str>,
}

/// A compute node.
#[derive(Default)]
pub(crate) struct Host {
    pub(crate) root: Provider,
    pub(crate) children: Vec<Provider>,
    /// The aggregate it is in, which names a zone.
    pub(crate) zone: Option<&'static str>,
    /// What its record says beside the usual.
    pub(crate) record: Value,
}

impl Host {
    /// A host with the three usual classes.
    pub(crate) fn plain(name: &'static str, vcpus: u32, memory: u32) -> Self {
        let inventories = vec![("VCPU", vcpus), ("MEMORY_MB", memory), ("DISK_GB", 500)];
        Self { root: Provider { name, inventories, ..Provider::default() }, ..Self::default() }
    }

    pub(crate) fn with(mut self, class: &'static str, total: u32) -> Self {
        self.root.inventories.push((class, total));
        self
    }

    pub(crate) fn has(mut self, name: &'static str) -> Self {
        self.root.traits.push(name);
        self
    }

    pub(crate) fn zone(self, zone: &'static str) -> Self {
        Self { zone: Some(zone), ..self }
    }

    pub(crate) fn record(self, record: Value) -> Self {
        Self { record, ..self }
    }

    pub(crate) fn child(mut self, name: &'static str, class: &'static str) -> Self {
        self.children.push(Provider { name, inventories: vec![(class, 1)], traits: Vec::new() });
        self
    }

    fn amount(&self, class: &str) -> u32 {
        self.root.inventories.iter().find(|(name, _)| *name == class).map_or(0, |(_, total)| *total)
    }

    fn host_record(&self) -> Value {
        let name = self.root.name;
        let mut record = json!({
            "host": name, "node": name, "uuid": uuid_of(name),
            "vcpus": self.amount("VCPU"),
            "memory_mb": self.amount("MEMORY_MB"), "free_ram_mb": self.amount("MEMORY_MB"),
            "local_gb": self.amount("DISK_GB"), "free_disk_gb": self.amount("DISK_GB"),
        });
        if let Value::Object(more) = &self.record {
            record.as_object_mut().unwrap().extend(more.clone());
        }
        record
    }
}

/// A UUID that a name always gets.
pub(crate) fn uuid_of(name: &str) -> Uuid {
    let number = name.bytes().fold(0xcbf2_9ce4_8422_2325_u128, |sum, byte| {
        (sum ^ u128::from(byte)).wrapping_mul(0x0000_0100_0000_01b3_0000_0000_0000_013b)
    });
    Uuid::from_u128(number)
}

pub(crate) struct Cloud {
    pub(crate) index: Index,
    pub(crate) hosts: HostTable,
    pub(crate) options: Options,
    aggregates: Vec<Aggregate>,
    computes: Vec<ComputeNode>,
    names: BTreeMap<String, String>,
}

impl Cloud {
    pub(crate) fn new(fleet: &[Host]) -> Self {
        let options = Options::default();
        let index = Index::default();
        fleet.iter().for_each(|host| plant(&index, host));
        let records: Vec<_> =
            fleet.iter().map(|host| serde_json::from_value(host.host_record()).unwrap()).collect();
        let aggregates = aggregates(fleet);
        let hosts = HostTable::load(&records, &aggregates, &options.general, NOW).unwrap();
        let providers = || fleet.iter().flat_map(|host| host.children.iter().chain([&host.root]));
        let names = providers().map(|one| (uuid_of(one.name).to_string(), one.name.to_owned())).collect();
        let compute = |host: &Host| ComputeNode {
            host: host.root.name.to_owned(),
            node: host.root.name.to_owned(),
            uuid: uuid_of(host.root.name),
            cell_uuid: None,
        };
        Self { index, hosts, options, aggregates, computes: fleet.iter().map(compute).collect(), names }
    }

    /// What Nova would ask Placement.
    pub(crate) fn query(&self, spec: &mut RequestSpec) -> Result<PlacementQuery, QueryError> {
        let (aggregates, computes) = (&self.aggregates[..], &self.computes[..]);
        let known = Known { aggregates, computes, oldest_compute: 60, networks: None };
        placement_query(spec, &self.options, &known)
    }

    pub(crate) fn ask(&self, spec: &mut RequestSpec) -> HostCandidates {
        let query = self.query(spec).unwrap();
        let extent = Extent::of(spec, &self.options);
        query.ask(&self.index, &self.hosts, extent, &candidates::Options::default())
    }

    /// Decides with candidates that may be out of date.
    pub(crate) fn decide(
        &mut self,
        spec: &mut RequestSpec,
        mut answer: HostCandidates,
        instances: &[String],
    ) -> (Decision, Vec<(String, bool)>) {
        let mut claims = IndexClaims { index: &self.index, claims: Vec::new() };
        let what =
            SelectDestinations { options: &self.options, instances, return_alternates: true, now: NOW };
        let decision = what.decide(&mut self.hosts, spec, &mut answer.state, &mut claims, &mut First);
        let claims = claims.claims.into_iter().map(|(row, granted)| (row, granted)).collect::<Vec<_>>();
        let named = claims.into_iter().map(|(row, granted)| (self.name(row), granted)).collect();
        (decision, named)
    }

    /// Asks and decides for one instance; the host it got.
    pub(crate) fn place(&mut self, mut spec: RequestSpec, instance: u128) -> Option<String> {
        let answer = self.ask(&mut spec);
        assert_eq!(answer.unanswered, []);
        let (decision, _) = self.decide(&mut spec, answer, &[instance_uuid(instance)]);
        let selections = decision.result.ok()?;
        let chosen = &selections[0][0];
        let candidate = chosen.allocation_request.as_ref().unwrap();
        assert_eq!(self.held(&instance_uuid(instance)), amounts(candidate));
        self.index.check().unwrap();
        Some(self.name(chosen.row))
    }

    pub(crate) fn name(&self, row: Row) -> String {
        self.hosts.host(row).to_owned()
    }

    /// The hosts to choose from.
    pub(crate) fn hosts_of(&self, answer: &HostCandidates) -> Vec<String> {
        answer.state.hosts().into_iter().map(|row| self.name(row)).collect()
    }

    /// What each candidate of a host would take, by name of provider.
    pub(crate) fn candidates_of(&self, answer: &HostCandidates, host: &str) -> Vec<Vec<String>> {
        let row = self.hosts.row_of(&uuid_of(host).to_string()).unwrap();
        let taken = |candidate: &AllocationCandidate| {
            let taken = amounts(candidate).into_iter();
            taken.map(|((uuid, class), amount)| format!("{} {class} {amount}", self.names[&uuid])).collect()
        };
        answer.state.candidates(row).iter().map(taken).collect()
    }

    /// What the instance holds on the index, by provider and class.
    pub(crate) fn held(&self, instance: &str) -> BTreeMap<(String, String), u64> {
        let topology = self.index.topology();
        let consumer = ConsumerId::from(instance.parse::<Uuid>().unwrap());
        let held = self.index.allocations(consumer).unwrap_or_default().into_iter();
        let named = held.map(|Allocation { row, class, amount }| {
            let class = topology.classes().name(class.0.into()).unwrap().to_owned();
            ((topology.provider(row).unwrap().uuid.to_string(), class), u64::from(amount))
        });
        named.collect()
    }
}

/// What a candidate takes, by provider and class.
pub(crate) fn amounts(candidate: &AllocationCandidate) -> BTreeMap<(String, String), u64> {
    let allocations = candidate.allocations.iter();
    let each = allocations.flat_map(|(uuid, taken)| {
        taken.resources.iter().map(move |(class, amount)| ((uuid.clone(), class.clone()), *amount))
    });
    each.collect()
}

pub(crate) fn instance_uuid(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

fn plant(index: &Index, host: &Host) {
    let mut writer = index.write();
    let root = grow(&mut writer, &host.root, None);
    writer.set_aggregates(root, &host.zone.map(uuid_of).into_iter().collect::<Vec<_>>()).unwrap();
    for child in &host.children {
        grow(&mut writer, child, Some(root));
    }
}

fn grow(writer: &mut berth_placement::Writer<'_>, provider: &Provider, parent: Option<Row>) -> Row {
    let row = writer.add_provider(uuid_of(provider.name), provider.name, parent).unwrap();
    for &(class, total) in &provider.inventories {
        let class = writer.resource_class(class).unwrap();
        writer.set_inventory(row, class, Some(&Inventory::of(total))).unwrap();
    }
    let traits: Vec<_> = provider.traits.iter().map(|name| writer.trait_named(name)).collect();
    writer.set_traits(row, &traits).unwrap();
    row
}

/// One aggregate for each zone.
fn aggregates(fleet: &[Host]) -> Vec<Aggregate> {
    let mut members: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for host in fleet {
        if let Some(zone) = host.zone {
            members.entry(zone).or_default().push(host.root.name.to_owned());
        }
    }
    let aggregate = |(id, (zone, hosts)): (u64, (&str, Vec<String>))| Aggregate {
        id,
        uuid: Some(uuid_of(zone).to_string()),
        hosts,
        metadata: [("availability_zone".to_owned(), zone.to_owned())].into(),
        ..Aggregate::default()
    };
    (1..).zip(members).map(aggregate).collect()
}

/// Claims on the index, and what became of each.
struct IndexClaims<'a> {
    index: &'a Index,
    claims: Vec<(Row, bool)>,
}

impl IndexClaims<'_> {
    fn allocations(&self, candidate: &AllocationCandidate) -> Vec<Allocation> {
        let topology = self.index.topology();
        let taken = amounts(candidate).into_iter();
        let allocation = |((uuid, class), amount): ((String, String), u64)| Allocation {
            row: self.index.find(uuid.parse().unwrap()).unwrap(),
            class: topology.class(&class).unwrap(),
            amount: amount.try_into().unwrap(),
        };
        taken.map(allocation).collect()
    }
}

impl Claims for IndexClaims<'_> {
    fn claim(&mut self, instance: &str, row: Row, candidate: &AllocationCandidate) -> bool {
        let consumer = ConsumerId::from(instance.parse::<Uuid>().unwrap());
        let granted = self.index.claim(consumer, &self.allocations(candidate)).is_ok();
        self.claims.push((row, granted));
        granted
    }

    fn release(&mut self, instance: &str) {
        self.index.release(ConsumerId::from(instance.parse::<Uuid>().unwrap())).unwrap();
    }
}

/// The first of whatever there is.
struct First;

impl Chooser for First {
    fn choose(&mut self, _: usize) -> usize {
        0
    }

    fn shuffle(&mut self, _: &mut [usize]) {}
}
