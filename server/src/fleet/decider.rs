//! The scheduler over a fleet: it follows what hosts and aggregates become, decides, and claims.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_placement::{Consumer, GroupId, Index, JournalRead, Owner, Row, Timestamp};
use berth_scheduler::nova::filter_scheduler::Wanted;
use berth_scheduler::nova::hosts::HostRecord;
use berth_scheduler::nova::placement_query::{ComputeNode, Known};
use berth_scheduler::nova::select::{
    AllocationCandidate, Chooser, Claimant, Claims, Decision, IndexClaims, SelectError, Selection,
};
use berth_scheduler::nova::{Aggregate, FilterScheduler, HostTable, Options};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use super::ask::{Ask, GroupView};
use super::error::{FleetError, NO_VALID_HOST};

/// Compute services of this release and later, as Nova counts them: every pre-filter may be used.
const OLDEST_COMPUTE: u32 = 68;

/// Where an instance goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) instance: Uuid,
    pub(crate) place: Place,
    /// Others that would do, best first.
    pub(crate) alternates: Vec<Place>,
}

/// A host, and what an instance takes there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: String,
    /// UUID of the root provider.
    pub(crate) provider: String,
    /// Amounts by class, by UUID of the provider.
    pub(crate) allocations: BTreeMap<String, BTreeMap<String, u64>>,
}

/// What changed in a fleet since the decider looked last.
#[derive(Debug, Default)]
pub(super) struct News {
    /// There are other hosts, or other aggregates.
    pub(super) layout: bool,
    /// Hosts whose status, instances or facts are others.
    pub(super) hosts: BTreeSet<String>,
}

/// What the decider asks a fleet about itself.
pub(super) trait FleetView {
    /// What is new since the last call.
    fn news(&self) -> News;
    /// All hosts.
    fn all(&self) -> (Vec<HostRecord>, Vec<Aggregate>);
    /// These hosts.
    fn some(&self, hosts: &BTreeSet<String>) -> Vec<HostRecord>;
}

/// Decides for a fleet. One at a time: a decision takes microseconds.
pub(super) struct Decider {
    index: Arc<Index>,
    options: Options,
    known: Option<KnownFleet>,
    dice: Dice,
}

/// The fleet as it was when the decider looked.
struct KnownFleet {
    scheduler: FilterScheduler,
    aggregates: Vec<Aggregate>,
    computes: Vec<ComputeNode>,
    /// Names of hosts, by the row of their root provider.
    names: BTreeMap<Row, String>,
    /// Where the journal was read to.
    cursor: u64,
}

impl Decider {
    pub(super) fn new(index: Arc<Index>, mut options: Options, seed: u64) -> Self {
        // Whether a host is up is judged by its agent's heartbeats, and told with its record.
        options.general.service_down_time = i64::MAX / 4;
        Self { index, options, known: None, dice: Dice(ChaCha8Rng::seed_from_u64(seed)) }
    }

    /// Picks hosts, and claims the room on them for all instances, or for none. With `dry`, nothing is claimed.
    pub(super) fn decide(
        &mut self,
        fleet: &dyn FleetView,
        ask: &Ask,
        group: Option<&GroupView>,
        now: Timestamp,
        dry: bool,
    ) -> Result<Vec<Placed>, FleetError> {
        let spec = ask.spec(group)?;
        let micros = i64::try_from(now.0).unwrap_or(i64::MAX);
        let Self { index, options, known, dice } = self;
        let known = follow(known, index, options, fleet, micros)?;
        let facts = Known {
            aggregates: &known.aggregates,
            computes: &known.computes,
            oldest_compute: OLDEST_COMPUTE,
            networks: None,
        };
        let mut prepared = known
            .scheduler
            .prepare(spec, &facts, micros)
            .map_err(|error| FleetError::exhausted(NO_VALID_HOST, error.to_string()))?;
        let instances: Vec<String> = ask.instances.iter().map(Uuid::to_string).collect();
        let wanted = Wanted { instances: &instances, alternates: ask.alternates > 0, now: micros };
        let mut claims = IndexClaims::new(index, claimant(ask, group, now));
        let mut pretended = Pretend;
        let claims: &mut dyn Claims = if dry { &mut pretended } else { &mut claims };
        let mut decision = known.scheduler.select(&mut prepared, wanted, claims, dice);
        // Hosts are what the index and the instances on them say; the claim is in the journal.
        known.scheduler.undo(&mut decision);
        let hosts = known.scheduler.hosts();
        match &decision.result {
            Ok(selections) => Ok(ask
                .instances
                .iter()
                .zip(selections)
                .map(|(&instance, selections)| placed(hosts, instance, selections, ask.alternates))
                .collect()),
            Err(error) => Err(refusal(error, &decision, hosts.len())),
        }
    }

    /// Where the instances are that hold their room already; nothing if one of them holds none.
    pub(super) fn held(
        &self,
        instances: &[Uuid],
        host_name: impl Fn(Uuid) -> Option<String>,
    ) -> Option<Vec<Placed>> {
        let topology = self.index.topology();
        let held = |&instance: &Uuid| {
            let Consumer { allocations, .. } = self.index.consumer(instance.into())?;
            let root = topology.provider(topology.host_of(&allocations)?)?;
            let mut by_provider: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
            for allocation in &allocations {
                let provider = topology.provider(allocation.row)?.uuid.to_string();
                let class = topology.classes().name(allocation.class.0.into())?.to_string();
                by_provider.entry(provider).or_default().insert(class, allocation.amount.into());
            }
            let place = Place {
                host: host_name(root.uuid)?,
                provider: root.uuid.to_string(),
                allocations: by_provider,
            };
            Some(Placed { instance, place, alternates: Vec::new() })
        };
        instances.iter().map(held).collect()
    }
}

/// The fleet as it is now.
fn follow<'a>(
    known: &'a mut Option<KnownFleet>,
    index: &Arc<Index>,
    options: &Options,
    fleet: &dyn FleetView,
    now: i64,
) -> Result<&'a mut KnownFleet, FleetError> {
    let mut news = fleet.news();
    let unreadable =
        |error: String| FleetError::precondition("HOSTS", format!("the hosts cannot be read: {error}"));
    match known {
        Some(before) if !news.layout => {
            if before.read_journal(index, &mut news.hosts) && !news.hosts.is_empty() {
                let records = fleet.some(&news.hosts);
                let updated = before.scheduler.update_hosts(&records, now);
                updated.map_err(|error| unreadable(error.to_string()))?;
            }
        }
        _ => *known = Some(KnownFleet::load(index, options, fleet, now).map_err(unreadable)?),
    }
    Ok(known.as_mut().expect("it was loaded"))
}

impl KnownFleet {
    fn load(index: &Arc<Index>, options: &Options, fleet: &dyn FleetView, now: i64) -> Result<Self, String> {
        let cursor = index.journal().end();
        let (records, aggregates) = fleet.all();
        let table = HostTable::load(&records, &aggregates, &options.general, now)
            .map_err(|error| error.to_string())?;
        let mut names = BTreeMap::new();
        let mut computes = Vec::new();
        for record in &records {
            let uuid = Uuid::try_parse(&record.uuid).map_err(|error| error.to_string())?;
            if let Some(row) = index.find(uuid) {
                names.insert(row, record.host.clone());
            }
            let (host, node) = (record.host.clone(), record.node.clone());
            computes.push(ComputeNode { host, node, uuid, cell_uuid: Some(record.cell_uuid.clone()) });
        }
        let scheduler = FilterScheduler::new(Arc::clone(index), table, options.clone());
        Ok(Self { scheduler, aggregates, computes, names, cursor })
    }

    /// Adds hosts that others have claimed from; returns whether that is all there is to know.
    fn read_journal(&mut self, index: &Index, hosts: &mut BTreeSet<String>) -> bool {
        let topology = index.topology();
        loop {
            match index.journal().read(&mut self.cursor) {
                JournalRead::Changed(entry) => {
                    let root = topology.provider(entry.row).map(|provider| provider.root);
                    hosts.extend(root.and_then(|root| self.names.get(&root)).cloned());
                }
                JournalRead::UpToDate => return true,
                JournalRead::Overrun => hosts.extend(self.names.values().cloned()),
            }
        }
    }
}

fn claimant(ask: &Ask, group: Option<&GroupView>, now: Timestamp) -> Claimant {
    let owner = Owner {
        project: ask.project.as_str().into(),
        user: ask.user.as_str().into(),
        consumer_type: Some("INSTANCE".into()),
    };
    Claimant { owner: Arc::new(owner), group: group.map(|group| GroupId::from(group.uuid)), now }
}

fn placed(hosts: &HostTable, instance: Uuid, selections: &[Selection], alternates: usize) -> Placed {
    let mut places = selections.iter().map(|selection| place(hosts, selection));
    let first = places.next().unwrap_or_default();
    Placed { instance, place: first, alternates: places.take(alternates).collect() }
}

fn place(hosts: &HostTable, selection: &Selection) -> Place {
    let request = selection.allocation_request.clone().unwrap_or_default();
    let allocations = request.allocations.into_iter().map(|(uuid, of)| (uuid, of.resources)).collect();
    Place {
        host: hosts.host(selection.row).to_owned(),
        provider: hosts.uuid(selection.row).unwrap_or_default().to_owned(),
        allocations,
    }
}

/// Why there is no host, with what removed how many.
fn refusal(error: &SelectError, decision: &Decision, hosts: usize) -> FleetError {
    let removed = decision.removed.last().into_iter().flatten().filter(|(_, count)| *count > 0);
    let removed: Vec<String> = removed.map(|(step, count)| format!("{step} removed {count}")).collect();
    let detail = if removed.is_empty() { String::new() } else { format!(" ({})", removed.join(", ")) };
    match error {
        SelectError::NoValidHost { placed, wanted } => FleetError::exhausted(
            NO_VALID_HOST,
            format!(
                "No valid host was found: {placed} of {wanted} instances could be placed on {hosts} hosts{detail}"
            ),
        ),
        other => FleetError::exhausted(NO_VALID_HOST, format!("No valid host was found: {other}{detail}")),
    }
}

/// Lots, drawn from a seeded stream.
struct Dice(ChaCha8Rng);

impl Chooser for Dice {
    fn choose(&mut self, len: usize) -> usize {
        self.0.random_range(0..len)
    }

    fn shuffle(&mut self, positions: &mut [usize]) {
        positions.shuffle(&mut self.0);
    }
}

/// Claims that take nothing: for dry runs.
struct Pretend;

impl Claims for Pretend {
    fn claim(&mut self, _: &str, _: Row, _: &AllocationCandidate) -> bool {
        true
    }

    fn release(&mut self, _: &str) {}
}
