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

use crate::cell_hosts::{CellHosts, CellRead};
use crate::compute_node::NodeRow;
use crate::instances::{InstanceBucket, Located, bare};
use crate::pending::{Pending, PendingDecisions};

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
    /// Instances that casts named since the last reading: what the databases say of them counts.
    announced: BTreeSet<Uuid>,
    pending: PendingDecisions,
    changes: HostChanges,
    /// How often changes were taken.
    revision: u64,
    /// The revision in which a host changed last.
    changed: BTreeMap<String, u64>,
    /// The revision in which hosts came or went last, or aggregates changed.
    changed_layout: u64,
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

impl NovaHosts {
    /// No hosts yet. A service is down that has not reported for so many seconds.
    #[must_use]
    pub fn new(down_after_seconds: i64) -> Self {
        Self { down_after: down_after_seconds.saturating_mul(1_000_000), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds without a report after which a service is down.
    pub(crate) const fn down_after(&self) -> i64 {
        self.down_after
    }

    /// Looks at what is known of a cell; nothing of one that was never read.
    pub(crate) fn of_cell<T>(&self, cell: &str, look: impl FnOnce(&CellHosts) -> T) -> T {
        match self.lock().cells.get(cell) {
            Some(known) => look(known),
            None => look(&CellHosts::default()),
        }
    }

    /// Applies what a cell's database says, as of a time in microseconds since 1970.
    pub(crate) fn apply(&self, cell: &str, read: CellRead, now: i64) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let known = state.cells.entry(cell.to_owned()).or_default();
        known.read_at = Some(now);
        state.changes.layout |= std::mem::take(&mut known.is_down);
        state.changes.layout |= known.apply_buckets(read.buckets);
        for id in read.unreadable {
            state.changes.layout |= known.forget(id).is_some();
        }
        known.confirm(&read.same, read.began);
        for (values, row) in read.nodes {
            let host = row.record.host.clone();
            if known.is_rewritten(&row) {
                let written = row.updated_at.as_deref().and_then(micros).unwrap_or(now);
                state.pending.settle(&host, written);
            }
            if known.put(values, row, read.began) {
                state.changes.hosts.insert(host);
            } else {
                state.changes.layout = true;
            }
        }
        let judging = (self.down_after, read.began);
        let changed = &mut state.changes.hosts;
        state.changes.layout |= known.apply_services(read.summary, read.services, judging, changed);
        known.oldest = read.oldest;
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

    /// Time passes: decisions that no host confirmed are forgotten.
    pub fn advance(&self, now: i64) {
        let mut guard = self.lock();
        let state = &mut *guard;
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

    /// The instances of some buckets, as the database of their cell says.
    pub(crate) fn apply_instances(&self, cell: &str, buckets: Vec<InstanceBucket>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        for bucket in buckets {
            let known = state.cells.entry(cell.to_owned()).or_default();
            for uuid in known.instances.apply(&bucket) {
                if !state.is_elsewhere(cell, uuid) {
                    state.changes.hosts.extend(state.instances.remove(uuid));
                }
            }
            for (uuid, host) in bucket.instances.into_values() {
                state.changes.hosts.extend(state.instances.put(&host, bare(uuid)));
            }
        }
    }

    /// The instances that casts named since they were taken last.
    pub(crate) fn take_announced(&self) -> BTreeSet<Uuid> {
        std::mem::take(&mut self.lock().announced)
    }

    /// These instances have to be read again.
    pub(crate) fn announce(&self, instances: BTreeSet<Uuid>) {
        self.lock().announced.extend(instances);
    }

    /// Sets the hosts of the named instances; those that are not found have none.
    pub(crate) fn locate(&self, asked: &BTreeSet<Uuid>, found: Vec<Located>) {
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
            state.announced.insert(record.uuid);
            state.changes.hosts.extend(state.instances.put(host, record));
        }
    }

    /// A compute service announces that an instance is gone.
    pub fn delete_instance(&self, host: &str, uuid: Uuid) {
        let mut state = self.lock();
        if state.instances.host_of.get(&uuid).is_some_and(|known| known == host) {
            let host = state.instances.remove(uuid);
            state.announced.insert(uuid);
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

    /// The changes since [`NovaHosts::revision`] was this number.
    #[must_use]
    pub fn changed_since(&self, revision: u64) -> HostChanges {
        let state = self.lock();
        let is_later = |of: u64| of > revision;
        let changed = state.changed.iter().filter(|(_, of)| is_later(**of)).map(|(host, _)| host.clone());
        let mut changes = HostChanges { layout: is_later(state.changed_layout), hosts: changed.collect() };
        if is_later(state.revision + 1) {
            changes.layout |= state.changes.layout;
            changes.hosts.extend(state.changes.hosts.iter().cloned());
        }
        changes
    }

    /// How many decisions took from a host what its row does not show yet.
    #[must_use]
    pub fn pending(&self, host: &str) -> usize {
        self.lock().pending.count(host)
    }

    /// How many microseconds ago the row of a host was written; none if no row has a time.
    #[must_use]
    pub fn row_age(&self, host: &str, now: i64) -> Option<i64> {
        let state = self.lock();
        let ids =
            |cell: &CellHosts| cell.of_host.get(host).into_iter().flatten().copied().collect::<Vec<_>>();
        let nodes =
            state.cells.values().flat_map(|cell| ids(cell).into_iter().filter_map(|id| cell.nodes.get(&id)));
        let written = nodes.filter_map(|node| micros(node.updated_at.as_deref()?)).max();
        written.map(|written| now.saturating_sub(written))
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
    fn record(&self, cell: &CellHosts, node: &NodeRow) -> Option<HostRecord> {
        let host = &node.record.host;
        let service = cell.services.get(host)?;
        let mut record = node.record.clone();
        record.service = service.record();
        if let Some(instances) = self.instances.of_host.get(host) {
            record.instances = instances.values().cloned().collect();
        }
        self.pending.apply(&mut record);
        Some(record)
    }

    /// Whether an instance is known to be on a host of another cell.
    fn is_elsewhere(&self, cell: &str, uuid: Uuid) -> bool {
        let Some(host) = self.instances.host_of.get(&uuid) else { return false };
        self.cells.iter().any(|(other, hosts)| other != cell && hosts.of_host.contains_key(host))
    }

    fn cells_up(&self) -> impl Iterator<Item = &CellHosts> {
        self.cells.values().filter(|cell| !cell.is_down)
    }
}

impl HostSource for NovaHosts {
    fn changes(&self) -> HostChanges {
        let mut state = self.lock();
        let changes = std::mem::take(&mut state.changes);
        state.revision += u64::from(changes.layout || !changes.hosts.is_empty());
        let revision = state.revision;
        state.changed.extend(changes.hosts.iter().map(|host| (host.clone(), revision)));
        if changes.layout {
            state.changed_layout = revision;
            // Hosts that are gone are not kept.
            state.changed.clear();
        }
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
    use crate::cell_hosts::{BucketRead, ServicesRead};
    use crate::compute_node::tests::row;
    use crate::instances::tests::bucket;
    use crate::row::TextRow;
    use crate::service::ServiceRow;

    const NOW: i64 = 1_796_000_000_000_000;

    fn service(host: &str, disabled: &str) -> ServiceRow {
        let values =
            [Some(host), Some(disabled), None, Some("0"), None, Some("2026-11-30 00:53:20"), Some("74")];
        ServiceRow::read(&values.map(|value| value.map(str::to_owned)).to_vec()).expect("reads")
    }

    /// A reading of hosts whose numbers are those of one bucket, with all of their services.
    fn read(hosts: &[(&str, i64)]) -> CellRead {
        let values: Vec<TextRow> = hosts.iter().map(|(host, id)| row(*id, host)).collect();
        let ids = hosts.iter().map(|(_, id)| *id).collect();
        let bucket = BucketRead { first: 0, sums: Some(hosts.len().to_string()), ids };
        CellRead {
            began: NOW,
            summary: vec![Some(hosts.len().to_string())],
            oldest: (!hosts.is_empty()).then_some(74),
            services: ServicesRead::All(hosts.iter().map(|(host, _)| service(host, "0")).collect()),
            buckets: vec![bucket],
            nodes: values.into_iter().map(|values| (format!("{values:?}"), node(&values))).collect(),
            same: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    fn node(values: &TextRow) -> NodeRow {
        NodeRow::read(values, "cell1").expect("reads")
    }

    /// A reading that finds these services disabled or down, and no other change.
    fn unavailable(hosts: &[(&str, i64)], unavailable: Vec<ServiceRow>) -> CellRead {
        let services = ServicesRead::Same(unavailable);
        CellRead { services, nodes: Vec::new(), buckets: Vec::new(), ..read(hosts) }
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
    fn changed_rows_and_services_name_their_hosts() {
        let (hosts, both) = (hosts(), [("c1", 1), ("c2", 2)]);
        let mut again = read(&both);
        again.nodes.truncate(1);
        again.services = ServicesRead::All(vec![service("c1", "0"), service("c2", "1")]);
        hosts.apply("cell1", again, NOW);
        assert_eq!(changed(&hosts), (false, vec!["c1".to_owned(), "c2".to_owned()]));
        hosts.apply("cell1", CellRead { nodes: Vec::new(), ..read(&[("c1", 1)]) }, NOW);
        assert!(changed(&hosts).0, "a host is gone");
        assert_eq!(names(&hosts), ["c1"]);
    }

    #[test]
    fn services_that_are_not_named_are_available() {
        let (hosts, both) = (hosts(), [("c1", 1), ("c2", 2)]);
        let is_disabled = |hosts: &NovaHosts| {
            hosts.all().0.into_iter().map(|record| record.service.disabled).collect::<Vec<_>>()
        };
        hosts.apply("cell1", unavailable(&both, vec![service("c2", "1")]), NOW);
        assert_eq!(
            (changed(&hosts), is_disabled(&hosts)),
            ((false, vec!["c2".to_owned()]), vec![false, true])
        );
        hosts.apply("cell1", unavailable(&both, vec![service("c2", "1")]), NOW);
        assert_eq!(changed(&hosts), (false, Vec::new()));
        hosts.apply("cell1", unavailable(&both, vec![service("c1", "1")]), NOW);
        let all = vec!["c1".to_owned(), "c2".to_owned()];
        assert_eq!((changed(&hosts), is_disabled(&hosts)), ((false, all), vec![true, false]));
    }

    #[test]
    fn a_row_that_makes_no_sense_is_left_out() {
        let hosts = hosts();
        let wrong = CellRead { nodes: Vec::new(), unreadable: vec![2], ..read(&[("c1", 1), ("c2", 2)]) };
        hosts.apply("cell1", wrong, NOW);
        assert_eq!((changed(&hosts).0, names(&hosts)), (true, vec!["c1".to_owned()]));
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
        let services = ServicesRead::All(vec![service("c2", "0")]);
        hosts.apply("cell1", CellRead { services, ..read }, NOW);
        assert_eq!((changed(&hosts).0, names(&hosts)), (true, vec!["c2".to_owned()]));
    }

    #[test]
    fn services_of_one_name_in_two_cells_have_a_status_each() {
        let hosts = hosts();
        let services = ServicesRead::All(vec![service("c1", "1")]);
        let disabled = CellRead { services, ..read(&[("c1", 1)]) };
        hosts.apply("cell2", disabled, NOW);
        let is_disabled: Vec<bool> =
            hosts.some(&["c1".to_owned()].into()).iter().map(|record| record.service.disabled).collect();
        assert_eq!(is_disabled, [false, true]);
    }

    #[test]
    fn a_service_is_down_as_of_the_beginning_of_the_reading() {
        let hosts = NovaHosts::new(60);
        let seen = micros("2026-11-30T00:53:20").expect("a time");
        let is_down = || hosts.some(&["c1".to_owned()].into())[0].service.forced_down;
        let at = |seconds: i64| CellRead { began: seen + seconds * 1_000_000, ..read(&[("c1", 1)]) };
        hosts.apply("cell1", at(60), seen);
        hosts.changes();
        assert!(!is_down());
        hosts.apply("cell1", at(61), seen);
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
        hosts.apply_instances("cell1", vec![bucket(&[(1, 1, "c1"), (2, 2, "c1")])]);
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
        assert_eq!(hosts.take_announced(), [a].into(), "the database has the last word");
        hosts.apply_instances("cell1", vec![bucket(&[(1, 1, "c1")])]);
        assert_eq!((on("c1"), hosts.counts().instances), (1, 1));
        hosts.apply_instances("cell1", vec![bucket(&[])]);
        assert_eq!(hosts.counts().instances, 0);
    }

    /// An instance that was resized to another cell is deleted in the cell that it left.
    #[test]
    fn an_instance_that_moved_to_another_cell_stays_there() {
        let hosts = hosts();
        hosts.apply("cell2", read(&[("c3", 1)]), NOW);
        hosts.apply_instances("cell1", vec![bucket(&[(1, 1, "c1")])]);
        hosts.apply_instances("cell2", vec![bucket(&[(7, 1, "c3")])]);
        hosts.apply_instances("cell1", vec![bucket(&[])]);
        let on = |host: &str| hosts.some(&[host.to_owned()].into())[0].instances.len();
        assert_eq!((on("c1"), on("c3")), (0, 1));
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
        assert_eq!((hosts.pending("c1"), hosts.pending("c2")), (1, 0));
        assert_eq!(hosts.revision(), revision + 1);
        assert_eq!(hosts.changed_since(revision).hosts.len(), 1, "though nobody took the change yet");
        assert_eq!((changed(&hosts).1, free(&hosts)), (vec!["c1".to_owned()], 8192 - 512));
        assert_eq!(hosts.revision(), revision + 1, "that the change was taken is no change");
        let since = |revision| hosts.changed_since(revision);
        assert_eq!((since(revision).hosts, since(revision).layout), (["c1".to_owned()].into(), false));
        assert!(since(revision + 1).hosts.is_empty());
        hosts.advance(NOW + 59_000_000);
        assert_eq!(free(&hosts), 8192 - 512);
        hosts.advance(NOW + 61_000_000);
        assert_eq!((changed(&hosts).1, free(&hosts)), (vec!["c1".to_owned()], 8192));
        let written = micros("2026-11-30T01:35:14").expect("a time");
        let again = |hosts: &NovaHosts| {
            let mut values = row(1, "c1");
            values[1] = Some("2026-11-30 01:35:14".to_owned());
            let nodes = vec![("again".to_owned(), node(&values))];
            let again = CellRead { nodes, ..read(&[("c1", 1), ("c2", 2)]) };
            hosts.apply("cell1", again, NOW);
        };
        hosts.remember("c1", Pending { at: written + 500_000, ..taken });
        hosts.remember("c1", Pending { at: written + 1_500_000, ..taken });
        again(&hosts);
        assert_eq!(hosts.row_age("c1", written + 7), Some(7));
        assert_eq!(free(&hosts), 8192 - 512, "the row was written before the second decision");
    }
}
