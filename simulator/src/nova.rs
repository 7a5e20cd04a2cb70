//! Nova's whole pipeline on the fleet of a trace: zones, aggregates, traits, extra specs and server
//! groups.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use berth_placement::{GroupId, GroupPolicy, HOST_CLASSES, Index, Owner, Row, Timestamp};
use berth_scheduler::decider::{Decider, HostChanges, HostSource, Rules};
use berth_scheduler::hosts::{HostRecord, InstanceRecord, ReportedAmount, UsageRow};
use berth_scheduler::options::LivenessSource;
use berth_scheduler::packing::LIFETIME_SPEC;
use berth_scheduler::python::Value;
use berth_scheduler::request_spec::RequestedFlavor;
use berth_scheduler::select::Claimant;
use berth_scheduler::{AggregateRecord, Options, Preference, RequestSpec, WeigherName};
use berth_traces::{Demands, TraceHost, Vm, rng};
use compact_str::CompactString;
use rand::Rng;
use uuid::Uuid;

use crate::fleet::{aggregates_of, host_uuid};
use crate::simulation::{Placer, SimulationError, Starting, consumer_of};

/// The options of a replay with Nova's pipeline.
#[derive(Debug, Clone, Default)]
pub struct NovaOptions {
    /// The options of `nova.conf`.
    pub options: Options,
    /// The objective that chooses among the hosts that pass the filters.
    pub preference: Preference,
    /// The policy of the server group for each batch of the trace; `None` creates none. Groups that
    /// the trace names have their own.
    pub batch_policy: Option<GroupPolicy>,
    /// The seed of random choices: ties, and one of the best hosts where the options request it.
    pub seed: u64,
}

/// Places VMs with Nova's filters and weighers.
pub(crate) struct NovaPlacer {
    index: Arc<Index>,
    decider: Decider,
    fleet: Fleet,
    owner: Arc<Owner>,
    batch_policy: Option<GroupPolicy>,
    /// The number of each server group that the trace names, in order of their first members.
    named_groups: BTreeMap<CompactString, u64>,
    default_zone: String,
    tie_breaker: rng::Stream,
}

impl NovaPlacer {
    pub(crate) fn new(index: Arc<Index>, hosts: &[TraceHost], nova: NovaOptions) -> Self {
        let NovaOptions { mut options, preference, batch_policy, seed } = nova;
        // A trace has no heartbeats: every host is up.
        options.liveness = LivenessSource::Record;
        let default_zone = options.general.default_availability_zone.clone();
        let weighers = &options.filter_scheduler.weight_classes;
        let weighs_lifetimes = weighers.contains(&WeigherName::LifetimeWeigher);
        let rules = Rules::Nova { options: Box::new(options), preference };
        let owner =
            Owner { project: "trace".into(), user: "trace".into(), consumer_type: Some("INSTANCE".into()) };
        Self {
            fleet: Fleet::new(Arc::clone(&index), hosts, weighs_lifetimes),
            default_zone,
            decider: Decider::new(Arc::clone(&index), rules),
            index,
            owner: Arc::new(owner),
            batch_policy,
            named_groups: BTreeMap::new(),
            tie_breaker: rng::stream(seed, "ties"),
        }
    }

    /// The request of the VM; `None` if it names a zone without hosts. Its flavor states how long
    /// it is predicted to live.
    fn spec(&self, vm: &Vm, lifetime_s: Option<f64>) -> Option<RequestSpec> {
        let none = Demands::default();
        let demands = vm.demands.as_deref().unwrap_or(&none);
        let stated = lifetime_s.filter(|_| self.fleet.lives.is_some());
        let stated = stated.map(|seconds| (LIFETIME_SPEC.to_owned(), seconds.to_string()));
        let mut spec = RequestSpec {
            project_id: project_of(vm).to_owned(),
            user_id: "trace".to_owned(),
            flavor: RequestedFlavor {
                name: vm.flavor.to_string(),
                vcpus: vm.resources.vcpus.into(),
                memory_mb: vm.resources.memory_mb.into(),
                root_gb: vm.resources.disk_gb.into(),
                extra_specs: demands
                    .extra_specs
                    .iter()
                    .map(|(key, value)| (key.to_string(), value.to_string()))
                    .chain(stated)
                    .collect(),
                ..RequestedFlavor::default()
            },
            ..RequestSpec::default()
        };
        if demands.zone.is_empty() {
            return Some(spec);
        }
        if demands.zone == self.default_zone {
            // No aggregate defines the default zone, so the hosts of all other zones are excluded.
            spec.ignore_hosts.clone_from(&self.fleet.zoned);
        } else if !self.fleet.zones.contains(demands.zone.as_str()) {
            return None;
        }
        spec.availability_zone = Some(demands.zone.to_string());
        Some(spec)
    }

    /// The server group of the VM: the one that the trace names, or that of its batch.
    fn group(&mut self, vm: &Vm) -> Option<GroupId> {
        let named = vm.demands.as_deref().filter(|demands| !demands.group.is_empty());
        let (policy, id) = match named.and_then(|demands| Some((policy_named(&demands.policy)?, demands))) {
            Some((policy, demands)) => {
                let next = self.named_groups.len() as u64;
                let number = *self.named_groups.entry(demands.group.clone()).or_insert(next);
                (policy, group_uuid(NAMED, number))
            }
            None => (self.batch_policy?, group_uuid(OF_BATCH, vm.batch?.number())),
        };
        let id = GroupId::from(id);
        // The group exists from its second member on.
        let _ = self.index.add_group(id, policy);
        Some(id)
    }
}

/// The policy of a group as traces write it; `None` for none.
fn policy_named(name: &str) -> Option<GroupPolicy> {
    match name {
        "affinity" => Some(GroupPolicy::Affinity),
        "anti-affinity" => Some(GroupPolicy::AntiAffinity { max_per_host: NonZeroU32::MIN }),
        "soft-affinity" => Some(GroupPolicy::SoftAffinity),
        "soft-anti-affinity" => Some(GroupPolicy::SoftAntiAffinity),
        _ => None,
    }
}

impl Placer for NovaPlacer {
    fn place(&mut self, sequence: u64, vm: &Vm, start: Starting) -> Result<Option<Row>, SimulationError> {
        let Some(spec) = self.spec(vm, start.lifetime_s) else { return Ok(None) };
        let consumer = consumer_of(sequence);
        let owner = Arc::clone(&self.owner);
        let group = self.group(vm);
        let claimant =
            Claimant { owner, group, keeps_allocations: false, migration: None, now: Timestamp(start.now.0) };
        let mut prepared = self.decider.prepare(spec);
        let Self { decider, fleet, tie_breaker, .. } = self;
        let chooser = &mut |len: usize| tie_breaker.random_range(0..len);
        let placed = decider.place(fleet, &mut prepared, consumer, &claimant, chooser);
        let host = placed.map_err(|reason| SimulationError::Decision {
            vm: vm.id.to_string(),
            reason: Box::new(reason),
        })?;
        if let Some(row) = host {
            self.fleet.add(sequence, vm, row, start);
        }
        Ok(host)
    }

    fn adopt(&mut self, sequence: u64, vm: &Vm, host: Row, start: Starting) {
        if let Some(group) = self.group(vm) {
            // A group whose policy the snapshot's VMs violate already keeps only those that fit it.
            let _ = self.index.rejoin(group, consumer_of(sequence));
        }
        self.fleet.add(sequence, vm, host, start);
    }

    fn departed(&mut self, sequence: u64, host: Row) {
        self.fleet.remove(sequence, host);
    }

    fn check(&mut self) -> Result<(), String> {
        self.decider.check()
    }
}

/// The trace's hosts in the format of Nova's database.
struct Fleet {
    index: Arc<Index>,
    records: Vec<HostRecord>,
    aggregates: Vec<AggregateRecord>,
    rows: BTreeMap<String, Row>,
    zones: BTreeSet<String>,
    /// Hosts with a zone.
    zoned: Vec<String>,
    /// The number of VMs per host.
    counts: Vec<usize>,
    /// The VMs per host, if a weigher looks at their lifetimes.
    lives: Option<Vec<BTreeMap<u64, InstanceRecord>>>,
    changes: RefCell<HostChanges>,
}

impl Fleet {
    fn new(index: Arc<Index>, hosts: &[TraceHost], weighs_lifetimes: bool) -> Self {
        let records: Vec<HostRecord> = (0_u32..)
            .zip(hosts)
            .map(|(row, host)| HostRecord::new(&host.id, &host.id, host_uuid(row)))
            .collect();
        let aggregates = (1_u32..).zip(aggregates_of(hosts)).map(|(id, aggregate)| {
            let members = aggregate.hosts.iter().map(|&host| hosts[host].id.to_string());
            let (key, value) = aggregate.metadata;
            AggregateRecord {
                id: id.into(),
                uuid: Some(aggregate.uuid),
                name: Some(format!("{key}={value}")),
                hosts: members.collect(),
                metadata: [(key, value)].into(),
            }
        });
        let zoned = hosts.iter().filter(|host| !host.zone.is_empty());
        Self {
            aggregates: aggregates.collect(),
            rows: records.iter().map(|record| record.host.clone()).zip((0..).map(Row)).collect(),
            zones: zoned.clone().map(|host| host.zone.to_string()).collect(),
            zoned: zoned.map(|host| host.id.to_string()).collect(),
            counts: vec![0; hosts.len()],
            lives: weighs_lifetimes.then(|| vec![BTreeMap::new(); hosts.len()]),
            changes: RefCell::new(HostChanges { layout: true, ..HostChanges::default() }),
            records,
            index,
        }
    }

    fn add(&mut self, sequence: u64, vm: &Vm, row: Row, start: Starting) {
        self.counts[row.index()] += 1;
        if let Some(lives) = &mut self.lives {
            let record = InstanceRecord {
                started: i64::try_from(start.now.0).ok(),
                flavor: vm.flavor.to_string(),
                project: project_of(vm).to_owned(),
                lifetime_s: start.lifetime_s,
                ..InstanceRecord::new(consumer_of(sequence).into())
            };
            lives[row.index()].insert(sequence, record);
        }
    }

    fn remove(&mut self, sequence: u64, row: Row) {
        self.counts[row.index()] -= 1;
        if let Some(lives) = &mut self.lives {
            lives[row.index()].remove(&sequence);
        }
    }

    /// What the host reports of vCPUs, memory and disk.
    fn amounts(&self, row: Row) -> [ReportedAmount; 3] {
        HOST_CLASSES.map(|class| {
            let total = self.index.inventory(row, class).map_or(0, |inventory| inventory.total.into());
            ReportedAmount { total, used: self.index.used(row, class), allocation_ratio: 1.0 }
        })
    }

    /// The host with its resources, use and number of VMs.
    fn record(&self, row: Row) -> HostRecord {
        let mut record = self.records[row.index()].clone();
        record.set_amounts(self.amounts(row));
        let count = Value::Int(self.counts[row.index()] as i128);
        record.stats = Value::map([("num_instances".to_owned(), count)]);
        if let Some(lives) = &self.lives {
            record.instances = lives[row.index()].values().cloned().collect();
        }
        record
    }
}

impl HostSource for Fleet {
    fn changes(&self) -> HostChanges {
        self.changes.take()
    }

    fn all(&self) -> (Vec<HostRecord>, Vec<AggregateRecord>) {
        let rows = (0..).map(Row).take(self.records.len());
        (rows.map(|row| self.record(row)).collect(), self.aggregates.clone())
    }

    fn some(&self, hosts: &BTreeSet<String>) -> Vec<HostRecord> {
        hosts.iter().filter_map(|host| self.rows.get(host)).map(|&row| self.record(row)).collect()
    }

    fn usage(&self, host: Row) -> Option<UsageRow> {
        if self.lives.is_some() {
            return None; // the record names the VMs as well
        }
        let num_instances = i64::try_from(self.counts[host.index()]).unwrap_or(i64::MAX);
        Some(UsageRow::of_amounts(self.amounts(host), num_instances))
    }
}

/// The project of a VM.
fn project_of(vm: &Vm) -> &str {
    let project = vm.demands.as_deref().map(|demands| demands.project.as_str());
    project.filter(|project| !project.is_empty()).unwrap_or("trace")
}

/// Groups of batches, and groups that the trace names.
const OF_BATCH: u128 = 2;
const NAMED: u128 = 3;

/// The server group of a kind with this number.
fn group_uuid(kind: u128, number: u64) -> Uuid {
    Uuid::from_u128(kind << 64 | u128::from(number))
}
