//! The known facts about all hosts: a [`HostSource`] that follows Nova's databases and
//! announcements.
//!
//! No I/O and no clock: what was read, and when, comes as arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use berth_scheduler::AggregateRecord;
use berth_scheduler::decider::{HostChanges, HostSource};
use berth_scheduler::hosts::{HostRecord, InstanceRecord};
use berth_scheduler::time::micros;
use uuid::Uuid;

use crate::compute_node::NodeRow;
use crate::pending::{Pending, PendingDecisions};
use crate::service::{ServiceRow, ServiceStatus};

/// A row may be written again within the second that its time names: until this long after the time
/// was observed first, microseconds, it is read again.
const SETTLED: i64 = 2_000_000;

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

/// All hosts of all cells.
#[derive(Debug)]
pub struct NovaHosts {
    /// Microseconds without a report after which a service is down.
    down_after: i64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cells: BTreeMap<String, CellHosts>,
    aggregates: Vec<AggregateRecord>,
    instances: Instances,
    pending: PendingDecisions,
    changes: HostChanges,
    /// How often changes were taken.
    revision: u64,
}

/// The hosts of one cell.
#[derive(Debug, Default)]
struct CellHosts {
    is_down: bool,
    /// When it was read last, microseconds since 1970.
    read_at: Option<i64>,
    services: BTreeMap<String, KnownService>,
    /// When the services were judged last, microseconds since 1970.
    judged_at: i64,
    /// The version of the oldest service.
    oldest: Option<i64>,
    nodes: BTreeMap<i64, KnownNode>,
    /// The numbers of a service host's nodes.
    of_host: BTreeMap<String, BTreeSet<i64>>,
}

/// A service, and what was made of it last.
#[derive(Debug)]
struct KnownService {
    row: ServiceRow,
    status: ServiceStatus,
}

impl CellHosts {
    /// Puts these services in the place of those of before; names the hosts whose status is another
    /// one now. Returns whether hosts have got a service or lost it.
    fn replace_services(
        &mut self,
        services: Vec<ServiceRow>,
        (down_after, now): (i64, i64),
        changed: &mut BTreeSet<String>,
    ) -> bool {
        let mut before = std::mem::take(&mut self.services);
        let mut is_other = false;
        for row in services {
            let status = row.status(now, down_after);
            match before.remove(&row.host) {
                Some(known) if known.status == status => {}
                Some(_) => drop(changed.insert(row.host.clone())),
                None => is_other = true,
            }
            self.services.insert(row.host.clone(), KnownService { row, status });
        }
        self.judged_at = now;
        is_other || !before.is_empty()
    }

    /// Judges again which services are up; names the hosts for which that changes.
    fn judge(&mut self, down_after: i64, now: i64, changed: &mut BTreeSet<String>) {
        for (host, service) in &mut self.services {
            let status = service.row.status(now, down_after);
            if service.status != status {
                service.status = status;
                changed.insert(host.clone());
            }
        }
        self.judged_at = now;
    }

    /// The version of the oldest service.
    fn oldest_compute(&self) -> Option<i64> {
        self.services.values().map(|service| service.row.version).min()
    }

    /// Keeps these nodes only; returns whether others were there.
    fn retain(&mut self, ids: &BTreeSet<i64>) -> bool {
        let gone: Vec<i64> = self.nodes.keys().filter(|id| !ids.contains(id)).copied().collect();
        gone.iter().for_each(|id| drop(self.forget(*id)));
        !gone.is_empty()
    }

    fn forget(&mut self, id: i64) -> Option<KnownNode> {
        let node = self.nodes.remove(&id)?;
        let host = &node.row.record.host;
        if let Some(ids) = self.of_host.get_mut(host) {
            ids.remove(&id);
            if ids.is_empty() {
                self.of_host.remove(host);
            }
        }
        Some(node)
    }

    /// Puts a node in the place of what was known of it; returns whether it was known.
    fn put(&mut self, node: KnownNode) -> bool {
        let id = node.row.id;
        let was_known = self.forget(id).is_some();
        self.of_host.entry(node.row.record.host.clone()).or_default().insert(id);
        self.nodes.insert(id, node);
        was_known
    }
}

#[derive(Debug)]
struct KnownNode {
    row: NodeRow,
    /// When `updated_at` was observed first, microseconds since 1970.
    observed: i64,
}

/// Instances by host, and hosts by instance.
#[derive(Debug, Default)]
struct Instances {
    of_host: BTreeMap<String, BTreeMap<Uuid, InstanceRecord>>,
    host_of: BTreeMap<Uuid, String>,
}

impl Instances {
    /// Puts an instance on a host; returns the hosts for which that makes a difference.
    fn put(&mut self, host: &str, record: InstanceRecord) -> Vec<String> {
        let uuid = record.uuid;
        let before = self.host_of.insert(uuid, host.to_owned());
        let mut changed = Vec::new();
        if let Some(before) = before.as_ref().filter(|before| *before != host) {
            self.of_host.entry(before.clone()).or_default().remove(&uuid);
            changed.push(before.clone());
        }
        let of_host = self.of_host.entry(host.to_owned()).or_default();
        match of_host.get_mut(&uuid) {
            // A database read has no properties: those that a compute service announced stay.
            Some(_) if record.image_properties.is_empty() => {}
            Some(known) => *known = record,
            None => {
                of_host.insert(uuid, record);
                changed.push(host.to_owned());
            }
        }
        changed
    }

    /// Removes an instance; returns the host it was on.
    fn remove(&mut self, uuid: Uuid) -> Option<String> {
        let host = self.host_of.remove(&uuid)?;
        self.of_host.get_mut(&host)?.remove(&uuid)?;
        Some(host)
    }
}

/// The contents of one cell's database.
#[derive(Debug, Default)]
pub(crate) struct CellRead {
    /// All compute services.
    pub(crate) services: Vec<ServiceRow>,
    /// The numbers of all compute nodes.
    pub(crate) ids: BTreeSet<i64>,
    /// The compute nodes that were read: at least those that [`NovaHosts::outdated`] names.
    pub(crate) nodes: Vec<NodeRow>,
}

impl NovaHosts {
    /// No hosts yet. A service is down that has not reported for so many seconds.
    #[must_use]
    pub fn new(down_after_seconds: i64) -> Self {
        Self { down_after: down_after_seconds.saturating_mul(1_000_000), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The compute nodes of a cell that have to be read again, given the number and `updated_at` of
    /// each.
    pub(crate) fn outdated(&self, cell: &str, listed: &[(i64, Option<String>)], now: i64) -> Vec<i64> {
        let state = self.lock();
        let known = state.cells.get(cell).map(|cell| &cell.nodes);
        let is_outdated = |(id, updated_at): &&(i64, Option<String>)| {
            known.and_then(|nodes| nodes.get(id)).is_none_or(|node| {
                node.row.updated_at != *updated_at || now.saturating_sub(node.observed) < SETTLED
            })
        };
        listed.iter().filter(is_outdated).map(|(id, _)| *id).collect()
    }

    /// Applies what a cell's database says, as of a time in microseconds since 1970.
    pub(crate) fn apply(&self, cell: &str, read: CellRead, now: i64) {
        let CellRead { services, ids, nodes } = read;
        let mut guard = self.lock();
        let state = &mut *guard;
        let known = state.cells.entry(cell.to_owned()).or_default();
        known.read_at = Some(now);
        if known.is_down {
            known.is_down = false;
            state.changes.layout = true;
        }
        state.changes.layout |= known.retain(&ids);
        for row in nodes.into_iter().filter(|row| ids.contains(&row.id)) {
            let host = row.record.host.clone();
            let same = |known: &KnownNode| known.row.updated_at == row.updated_at;
            let observed =
                known.nodes.get(&row.id).filter(|node| same(node)).map_or(now, |node| node.observed);
            if known.nodes.get(&row.id).is_none_or(|node| !same(node)) {
                let written = row.updated_at.as_deref().and_then(micros).unwrap_or(now);
                state.pending.settle(&host, written);
            }
            if known.put(KnownNode { row, observed }) {
                state.changes.hosts.insert(host);
            } else {
                state.changes.layout = true;
            }
        }
        let judging = (self.down_after, now);
        state.changes.layout |= known.replace_services(services, judging, &mut state.changes.hosts);
        known.oldest = known.oldest_compute();
    }

    /// A cell's database does not answer: its hosts are left out.
    pub(crate) fn set_down(&self, cell: &str) {
        let mut state = self.lock();
        let known = state.cells.entry(cell.to_owned()).or_default();
        if !known.is_down {
            known.is_down = true;
            state.changes.layout = true;
        }
    }

    /// Only these cells exist and are enabled.
    pub(crate) fn retain_cells(&self, cells: &BTreeSet<String>) {
        let mut state = self.lock();
        let before = state.cells.len();
        state.cells.retain(|uuid, _| cells.contains(uuid));
        state.changes.layout |= state.cells.len() != before;
    }

    /// Time passes: services that have not reported go down, and decisions that no host confirmed
    /// are forgotten.
    pub fn advance(&self, now: i64) {
        let mut guard = self.lock();
        let state = &mut *guard;
        // What was read for this moment was judged then: heartbeats have whole seconds.
        let outdated = state.cells.values_mut().filter(|cell| now.saturating_sub(cell.judged_at) >= SECOND);
        outdated.for_each(|cell| cell.judge(self.down_after, now, &mut state.changes.hosts));
        let expired = state.pending.expire(now);
        state.changes.hosts.extend(expired);
    }

    /// These are all aggregates.
    pub fn set_aggregates(&self, aggregates: Vec<AggregateRecord>) {
        let mut state = self.lock();
        if state.aggregates != aggregates {
            state.aggregates = aggregates;
            state.changes.layout = true;
        }
    }

    /// These aggregates are new or have changed.
    pub fn update_aggregates(&self, aggregates: Vec<AggregateRecord>) {
        let mut state = self.lock();
        for aggregate in aggregates {
            match state.aggregates.binary_search_by_key(&aggregate.id, |known| known.id) {
                // Every scheduler receives each announcement, and may have read the same from the
                // database.
                Ok(at) if state.aggregates[at] == aggregate => continue,
                Ok(at) => state.aggregates[at] = aggregate,
                Err(at) => state.aggregates.insert(at, aggregate),
            }
            state.changes.layout = true;
        }
    }

    /// An aggregate is gone.
    pub fn delete_aggregate(&self, id: u64) {
        let mut state = self.lock();
        let before = state.aggregates.len();
        state.aggregates.retain(|aggregate| aggregate.id != id);
        state.changes.layout |= state.aggregates.len() != before;
    }

    /// All instances of some hosts, as the database of their cell says.
    pub(crate) fn set_instances(&self, cell: &str, instances: Vec<(Uuid, String)>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let given: BTreeSet<Uuid> = instances.iter().map(|(uuid, _)| *uuid).collect();
        let hosts = state.cells.get(cell).into_iter().flat_map(|cell| cell.of_host.keys());
        let known = hosts.filter_map(|host| state.instances.of_host.get(host));
        let known = known.flat_map(|instances| instances.keys()).copied();
        let gone: Vec<Uuid> = known.filter(|uuid| !given.contains(uuid)).collect();
        state.changes.hosts.extend(gone.into_iter().filter_map(|uuid| state.instances.remove(uuid)));
        for (uuid, host) in instances {
            state.changes.hosts.extend(state.instances.put(&host, bare(uuid)));
        }
    }

    /// Sets the hosts of the named instances; those that are not found have none.
    pub(crate) fn locate(&self, asked: &BTreeSet<Uuid>, found: Vec<(Uuid, String)>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let found: BTreeMap<Uuid, String> = found.into_iter().collect();
        for uuid in asked.iter().filter(|uuid| !found.contains_key(*uuid)) {
            state.changes.hosts.extend(state.instances.remove(*uuid));
        }
        for (uuid, host) in found {
            state.changes.hosts.extend(state.instances.put(&host, bare(uuid)));
        }
    }

    /// A compute service announces instances that are new or have changed.
    pub fn update_instances(&self, host: &str, instances: Vec<InstanceRecord>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        for record in instances {
            state.changes.hosts.extend(state.instances.put(host, record));
        }
    }

    /// A compute service announces that an instance is gone.
    pub fn delete_instance(&self, host: &str, uuid: Uuid) {
        let mut state = self.lock();
        if state.instances.host_of.get(&uuid).is_some_and(|known| known == host) {
            let host = state.instances.remove(uuid);
            state.changes.hosts.extend(host);
        }
    }

    /// A compute service names all of its instances; returns those of both that the other side does
    /// not have, whose hosts have to be read.
    #[must_use]
    pub fn differing_instances(&self, host: &str, uuids: &[Uuid]) -> BTreeSet<Uuid> {
        let state = self.lock();
        let given: BTreeSet<Uuid> = uuids.iter().copied().collect();
        let known: BTreeSet<Uuid> =
            state.instances.of_host.get(host).into_iter().flat_map(|map| map.keys()).copied().collect();
        &given ^ &known
    }

    /// Remembers what a decision took from a host, until the host reports or some time has passed.
    pub fn remember(&self, host: &str, decision: Pending) {
        let mut state = self.lock();
        state.pending.add(host, decision);
        state.changes.hosts.insert(host.to_owned());
    }

    /// A number that grows when hosts change, and stays while they are the same.
    #[must_use]
    pub fn revision(&self) -> u64 {
        let state = self.lock();
        state.revision + u64::from(state.changes.layout || !state.changes.hosts.is_empty())
    }

    /// Whether decisions took from a host what its row does not show yet.
    #[must_use]
    pub fn has_pending(&self, host: &str) -> bool {
        self.lock().pending.contains(host)
    }

    /// How many microseconds ago each cell was read, by its UUID. A cell that was never read is
    /// left out.
    #[must_use]
    pub fn ages(&self, now: i64) -> Vec<(String, i64)> {
        let state = self.lock();
        let age =
            |(uuid, cell): (&String, &CellHosts)| Some((uuid.clone(), now.saturating_sub(cell.read_at?)));
        state.cells.iter().filter_map(age).collect()
    }

    /// Cells, and those of them that are down; hosts and instances.
    #[must_use]
    pub fn counts(&self) -> HostCounts {
        let state = self.lock();
        HostCounts {
            cells: state.cells.len(),
            cells_down: state.cells.values().filter(|cell| cell.is_down).count(),
            hosts: state.cells.values().map(|cell| cell.nodes.len()).sum(),
            instances: state.instances.host_of.len(),
            aggregates: state.aggregates.len(),
        }
    }
}

/// How much is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostCounts {
    /// Enabled cells.
    pub cells: usize,
    /// Cells whose database does not answer.
    pub cells_down: usize,
    /// Compute nodes.
    pub hosts: usize,
    /// Instances on them.
    pub instances: usize,
    /// Host aggregates.
    pub aggregates: usize,
}

impl State {
    /// A node as decisions see it; none without a service.
    fn record(&self, cell: &CellHosts, node: &KnownNode) -> Option<HostRecord> {
        let host = &node.row.record.host;
        let service = cell.services.get(host)?;
        let mut record = node.row.record.clone();
        record.service = service.status.record();
        if let Some(instances) = self.instances.of_host.get(host) {
            record.instances = instances.values().cloned().collect();
        }
        self.pending.apply(&mut record);
        Some(record)
    }

    fn cells_up(&self) -> impl Iterator<Item = &CellHosts> {
        self.cells.values().filter(|cell| !cell.is_down)
    }
}

fn bare(uuid: Uuid) -> InstanceRecord {
    InstanceRecord { uuid, image_properties: BTreeMap::new() }
}

impl HostSource for NovaHosts {
    fn changes(&self) -> HostChanges {
        let mut state = self.lock();
        let changes = std::mem::take(&mut state.changes);
        state.revision += u64::from(changes.layout || !changes.hosts.is_empty());
        changes
    }

    fn all(&self) -> (Vec<HostRecord>, Vec<AggregateRecord>) {
        let state = self.lock();
        let nodes = state.cells_up().flat_map(|cell| cell.nodes.values().map(move |node| (cell, node)));
        (nodes.filter_map(|(cell, node)| state.record(cell, node)).collect(), state.aggregates.clone())
    }

    /// The oldest version in the cells that are up. Without any service, no pre-filter that needs a
    /// version may be used, as in Nova.
    fn oldest_compute(&self) -> u32 {
        let oldest = self.lock().cells_up().filter_map(|cell| cell.oldest).min();
        oldest.and_then(|version| u32::try_from(version).ok()).unwrap_or_default()
    }

    fn some(&self, hosts: &BTreeSet<String>) -> Vec<HostRecord> {
        let state = self.lock();
        let mut records = Vec::new();
        for cell in state.cells_up() {
            let ids = hosts.iter().filter_map(|host| cell.of_host.get(host)).flatten();
            let nodes = ids.filter_map(|id| cell.nodes.get(id));
            records.extend(nodes.filter_map(|node| state.record(cell, node)));
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute_node::tests::row;
    use crate::row::TextRow;

    const NOW: i64 = 1_796_000_000_000_000;

    fn service(host: &str, disabled: &str) -> ServiceRow {
        let values =
            [Some(host), Some(disabled), None, Some("0"), None, Some("2026-11-30 00:53:20"), Some("74")];
        ServiceRow::read(&values.map(|value| value.map(str::to_owned)).to_vec()).expect("reads")
    }

    fn node(values: &TextRow) -> NodeRow {
        NodeRow::read(values, "cell1").expect("reads")
    }

    fn read(hosts: &[(&str, i64)]) -> CellRead {
        CellRead {
            services: hosts.iter().map(|(host, _)| service(host, "0")).collect(),
            ids: hosts.iter().map(|(_, id)| *id).collect(),
            nodes: hosts.iter().map(|(host, id)| node(&row(*id, host))).collect(),
        }
    }

    fn hosts() -> NovaHosts {
        let hosts = NovaHosts::new(i64::MAX / 4_000_000);
        hosts.apply("cell1", read(&[("c1", 1), ("c2", 2)]), NOW);
        assert!(hosts.changes().layout);
        hosts
    }

    fn changed(hosts: &NovaHosts) -> (bool, Vec<String>) {
        let HostChanges { layout, hosts } = hosts.changes();
        (layout, hosts.into_iter().collect())
    }

    fn names(hosts: &NovaHosts) -> Vec<String> {
        hosts.all().0.into_iter().map(|record| record.host).collect()
    }

    #[test]
    fn rows_are_read_again_when_they_change_and_until_their_second_is_over() {
        let hosts = hosts();
        let listed =
            |time: &str| vec![(1, Some("2026-11-30 01:35:12".to_owned())), (2, Some(time.to_owned()))];
        let outdated = |time, later| hosts.outdated("cell1", &listed(time), NOW + later);
        assert_eq!(outdated("2026-11-30 01:35:12", SETTLED), [0_i64; 0]);
        assert_eq!(outdated("2026-11-30 01:35:13", SETTLED), [2]);
        assert_eq!(outdated("2026-11-30 01:35:12", SETTLED - 1), [1, 2]);
        assert_eq!(hosts.outdated("other", &listed("x"), NOW), [1, 2]);
    }

    #[test]
    fn changed_rows_and_services_name_their_hosts() {
        let hosts = hosts();
        let mut again = read(&[("c1", 1), ("c2", 2)]);
        again.nodes.truncate(1);
        again.services = vec![service("c1", "0"), service("c2", "1")];
        hosts.apply("cell1", again, NOW);
        assert_eq!(changed(&hosts), (false, vec!["c1".to_owned(), "c2".to_owned()]));
        hosts.apply("cell1", CellRead { nodes: Vec::new(), ..read(&[("c1", 1)]) }, NOW);
        assert!(changed(&hosts).0, "a host is gone");
        assert_eq!(names(&hosts), ["c1"]);
    }

    #[test]
    fn the_age_of_a_cell_is_that_of_its_last_reading() {
        let hosts = hosts();
        hosts.set_down("cell1");
        hosts.set_down("cell2");
        assert_eq!(hosts.ages(NOW + 5), [("cell1".to_owned(), 5)]);
        hosts.apply("cell1", read(&[("c1", 1)]), NOW + 7);
        assert_eq!(hosts.ages(NOW + 7), [("cell1".to_owned(), 0)]);
    }

    #[test]
    fn a_node_without_a_service_is_no_host() {
        let hosts = hosts();
        let read = read(&[("c1", 1), ("c2", 2)]);
        hosts.apply("cell1", CellRead { services: vec![service("c2", "0")], ..read }, NOW);
        assert_eq!((changed(&hosts).0, names(&hosts)), (true, vec!["c2".to_owned()]));
    }

    #[test]
    fn services_of_one_name_in_two_cells_have_a_status_each() {
        let hosts = hosts();
        let disabled = CellRead { services: vec![service("c1", "1")], ..read(&[("c1", 1)]) };
        hosts.apply("cell2", disabled, NOW);
        let is_disabled: Vec<bool> =
            hosts.some(&["c1".to_owned()].into()).iter().map(|record| record.service.disabled).collect();
        assert_eq!(is_disabled, [false, true]);
    }

    #[test]
    fn a_service_goes_down_when_time_passes() {
        let hosts = NovaHosts::new(60);
        let seen = micros("2026-11-30T00:53:20").expect("a time");
        let is_down = || hosts.some(&["c1".to_owned()].into())[0].service.forced_down;
        hosts.apply("cell1", read(&[("c1", 1)]), seen);
        hosts.changes();
        hosts.advance(seen + 60 * SECOND);
        assert_eq!((changed(&hosts).1.len(), is_down()), (0, false));
        hosts.advance(seen + 61 * SECOND);
        assert_eq!((changed(&hosts).1, is_down()), (vec!["c1".to_owned()], true));
    }

    #[test]
    fn the_oldest_compute_service_is_that_of_the_cells_that_are_up() {
        let hosts = hosts();
        assert_eq!((hosts.oldest_compute(), NovaHosts::new(60).oldest_compute()), (74, 0));
        hosts.set_down("cell1");
        assert_eq!(hosts.oldest_compute(), 0);
    }

    #[test]
    fn hosts_of_a_cell_that_is_down_are_left_out() {
        let hosts = hosts();
        hosts.set_down("cell1");
        assert_eq!((changed(&hosts).0, names(&hosts), hosts.counts().cells_down), (true, Vec::new(), 1));
        hosts.set_down("cell1");
        assert!(!changed(&hosts).0);
        hosts.apply("cell1", CellRead { nodes: Vec::new(), ..read(&[("c1", 1), ("c2", 2)]) }, NOW);
        assert_eq!((changed(&hosts).0, names(&hosts).len()), (true, 2));
        hosts.retain_cells(&BTreeSet::new());
        assert_eq!((changed(&hosts).0, names(&hosts).len()), (true, 0));
    }

    #[test]
    fn instances_move_between_hosts() {
        let hosts = hosts();
        let [a, b, z] = [1, 2, 26].map(Uuid::from_u128);
        let pair = |uuid: Uuid, host: &str| (uuid, host.to_owned());
        hosts.set_instances("cell1", vec![pair(a, "c1"), pair(b, "c1")]);
        assert_eq!(changed(&hosts).1, ["c1"]);
        hosts.locate(&[a, b].into(), vec![pair(a, "c2")]);
        assert_eq!(changed(&hosts).1, ["c1", "c2"]);
        assert_eq!(hosts.differing_instances("c2", &[a, z]), [z].into());
        let on = |host: &str| hosts.some(&[host.to_owned()].into())[0].instances.len();
        assert_eq!((on("c1"), on("c2")), (0, 1));
        hosts.delete_instance("c1", a);
        assert_eq!(on("c2"), 1, "it is on another host");
        hosts.delete_instance("c2", a);
        assert_eq!((on("c2"), hosts.counts().instances), (0, 0));
        hosts.set_instances("cell1", vec![pair(a, "c1")]);
        hosts.set_instances("cell1", Vec::new());
        assert_eq!(hosts.counts().instances, 0);
    }

    #[test]
    fn aggregates_that_are_the_same_are_no_change() {
        let hosts = hosts();
        let aggregate = |id, host: &str| AggregateRecord {
            id,
            hosts: vec![host.to_owned()],
            ..AggregateRecord::default()
        };
        hosts.set_aggregates(vec![aggregate(1, "c1")]);
        assert!(changed(&hosts).0);
        hosts.set_aggregates(vec![aggregate(1, "c1")]);
        assert!(!changed(&hosts).0);
        hosts.update_aggregates(vec![aggregate(1, "c1")]);
        hosts.delete_aggregate(9);
        assert!(!changed(&hosts).0, "what is announced is known");
        hosts.update_aggregates(vec![aggregate(1, "c2"), aggregate(3, "c1"), aggregate(2, "c1")]);
        assert!(changed(&hosts).0);
        assert_eq!(hosts.all().1.iter().map(|one| one.id).collect::<Vec<_>>(), [1, 2, 3]);
        hosts.delete_aggregate(1);
        assert_eq!(hosts.counts().aggregates, 2);
    }

    #[test]
    fn a_decision_counts_until_its_host_reports() {
        let hosts = hosts();
        let taken = Pending { vcpus: 2, memory_mb: 512, disk_gb: 10, at: NOW };
        let free = |hosts: &NovaHosts| hosts.some(&["c1".to_owned()].into())[0].free_ram_mb;
        let revision = hosts.revision();
        hosts.remember("c1", taken);
        assert_eq!((hosts.has_pending("c1"), hosts.has_pending("c2")), (true, false));
        assert_eq!(hosts.revision(), revision + 1);
        assert_eq!((changed(&hosts).1, free(&hosts)), (vec!["c1".to_owned()], 8192 - 512));
        assert_eq!(hosts.revision(), revision + 1, "that the change was taken is no change");
        hosts.advance(NOW + 59_000_000);
        assert_eq!(free(&hosts), 8192 - 512);
        hosts.advance(NOW + 61_000_000);
        assert_eq!((changed(&hosts).1, free(&hosts)), (vec!["c1".to_owned()], 8192));
        let written = micros("2026-11-30T01:35:14").expect("a time");
        let again = |hosts: &NovaHosts| {
            let mut values = row(1, "c1");
            values[1] = Some("2026-11-30 01:35:14".to_owned());
            let again = CellRead { nodes: vec![node(&values)], ..read(&[("c1", 1), ("c2", 2)]) };
            hosts.apply("cell1", again, NOW);
        };
        hosts.remember("c1", Pending { at: written + 500_000, ..taken });
        hosts.remember("c1", Pending { at: written + 1_500_000, ..taken });
        again(&hosts);
        assert_eq!(free(&hosts), 8192 - 512, "the row was written before the second decision");
    }
}
