//! The decision for all instances of a request.

use berth_placement::Row;

use super::alternates::{Chosen, with_alternates};
use super::chance::any_host;
use super::{AllocationCandidate, Chooser, Claims, SelectError, Selection, Sorted, sorted_hosts};
use crate::nova::filters::{RequestState, Scene, Step, Survivors, cell_allocation};
use crate::nova::hosts::{HostTable, Undo};
use crate::nova::numa::{Consumer, InstanceTopology, Limits};
use crate::nova::options::{Driver, Options};
use crate::nova::pci::ProviderMapping;
use crate::nova::request_spec::RequestSpec;

/// A request for destinations.
#[derive(Debug, Clone, Copy)]
pub struct SelectDestinations<'a> {
    /// What the operator configured.
    pub options: &'a Options,
    /// Each instance that wants a host.
    pub instances: &'a [String],
    /// Whether alternates are wanted: `max_attempts` less one for each instance.
    pub return_alternates: bool,
    /// The time in microseconds since 1970.
    pub now: i64,
}

/// What was decided. The table shows the chosen hosts as consumed, until it is told to undo that.
#[derive(Debug)]
pub struct Decision {
    /// For each instance the chosen host and its alternates.
    pub result: Result<Vec<Vec<Selection>>, SelectError>,
    /// Hosts removed by each constraint, for each instance that was tried.
    pub removed: Vec<Vec<(Step, usize)>>,
    /// What the decision changed in the table, in order.
    pub changes: Vec<Undo>,
}

impl Decision {
    /// Makes the table what it was before. Nova's filter scheduler reads its hosts anew for each request; the caching
    /// scheduler lets them be until the next report.
    pub fn undo(&mut self, hosts: &mut HostTable) {
        self.changes.drain(..).rev().for_each(|change| hosts.undo(change));
    }
}

/// The work on one request.
struct Selecting<'a> {
    what: SelectDestinations<'a>,
    hosts: &'a mut HostTable,
    request: &'a mut RequestSpec,
    state: &'a mut RequestState,
    chooser: &'a mut dyn Chooser,
    removed: Vec<Vec<(Step, usize)>>,
    changes: Vec<Undo>,
    chosen: Vec<Chosen>,
}

impl SelectDestinations<'_> {
    /// Chooses a host for each instance, claims it, and lets the next instance see what is left.
    ///
    /// The hosts are tried in order until a claim succeeds, each host once with its first allocation candidate: there
    /// are no more claims for an instance than hosts that are left. An instance sees only hosts that were left for the
    /// instance before it. If one instance finds none, all claims are given back.
    ///
    /// `state` brings the allocation candidates, and with them the hosts to choose from. A rebuild is a question about
    /// all hosts the table has: nothing is claimed and no candidates are needed. `request` changes as it does in Nova: instance, NUMA cells as they were
    /// fitted, hosts of the server group.
    pub fn decide(
        self,
        hosts: &mut HostTable,
        request: &mut RequestSpec,
        state: &mut RequestState,
        claims: &mut dyn Claims,
        chooser: &mut dyn Chooser,
    ) -> Decision {
        let (removed, changes, chosen) = (Vec::new(), Vec::new(), Vec::new());
        let mut selecting =
            Selecting { what: self, hosts, request, state, chooser, removed, changes, chosen };
        let result = selecting.select(claims);
        if result.is_err() {
            let claimed =
                selecting.chosen.iter().zip(self.instances).filter(|((_, candidate), _)| candidate.is_some());
            claimed.for_each(|(_, instance)| claims.release(instance));
        }
        Decision { result, removed: selecting.removed, changes: selecting.changes }
    }
}

impl Selecting<'_> {
    fn scene(&self) -> Scene<'_> {
        Scene { hosts: self.hosts, options: self.what.options, request: self.request, now: self.what.now }
    }

    fn select(&mut self, claims: &mut dyn Claims) -> Result<Vec<Vec<Selection>>, SelectError> {
        let with_placement = !self.request.is_rebuild();
        let mut rows: Option<Vec<Row>> = None;
        for (index, instance) in self.what.instances.iter().enumerate() {
            self.request.instance_uuid.clone_from(instance);
            let sorted = self.sorted(rows.take(), index)?;
            let found =
                if with_placement { self.claim(instance, &sorted, claims) } else { Self::first(&sorted) };
            rows = Some(sorted);
            let Some((row, candidate)) = found else { break };
            let mapping = candidate.as_ref().map(|candidate| self.mapping(candidate)).transpose();
            self.chosen.push((row, candidate));
            self.consume(row, instance, mapping?.as_ref());
        }
        let (placed, wanted) = (self.chosen.len(), self.what.instances.len());
        if placed < wanted || wanted == 0 {
            return Err(SelectError::NoValidHost { placed, wanted });
        }
        self.selections(rows.unwrap_or_default(), with_placement)
    }

    fn first(sorted: &[Row]) -> Option<Chosen> {
        sorted.first().map(|&row| (row, None))
    }

    /// The hosts for an instance: of all, or of those that were left for the instance before it.
    fn sorted(&mut self, rows: Option<Vec<Row>>, index: usize) -> Result<Vec<Row>, SelectError> {
        let survivors = rows.map_or_else(|| self.all_hosts(), Survivors::ordered);
        let scene = Scene {
            hosts: self.hosts,
            options: self.what.options,
            request: self.request,
            now: self.what.now,
        };
        let sort = match self.what.options.scheduler.driver {
            Driver::ChanceScheduler => any_host,
            Driver::FilterScheduler | Driver::CachingScheduler => sorted_hosts,
        };
        let Sorted { rows, removed } = sort(&scene, survivors, index, self.state, self.chooser)?;
        self.removed.push(removed);
        Ok(rows)
    }

    fn all_hosts(&self) -> Survivors {
        if self.request.is_rebuild() {
            Survivors::all(self.hosts)
        } else {
            Survivors::ordered(self.state.hosts())
        }
    }

    /// Claims the first host that can be had.
    fn claim(&self, instance: &str, sorted: &[Row], claims: &mut dyn Claims) -> Option<Chosen> {
        sorted.iter().find_map(|&row| {
            let candidate = self.state.first(row)?;
            claims.claim(instance, row, candidate).then(|| (row, Some(candidate.clone())))
        })
    }

    /// The providers that serve the requested groups.
    fn mapping(&self, candidate: &AllocationCandidate) -> Result<ProviderMapping, SelectError> {
        let provider = |id: &String| {
            let providers = candidate.mappings.0.get(id).ok_or_else(|| SelectError::NoMapping(id.clone()))?;
            Ok((id.clone(), providers.clone()))
        };
        let groups = self.request.requested_resources.iter().filter_map(|group| group.requester_id.as_ref());
        groups.map(provider).collect::<Result<_, _>>().map(ProviderMapping)
    }

    /// Takes from the host what the instance needs. Should that fail, its compute service has the last word.
    fn consume(&mut self, row: Row, instance: &str, mapping: Option<&ProviderMapping>) {
        let allocation = cell_allocation(&self.scene());
        let mut topology: Option<InstanceTopology> = self.request.numa_topology.take();
        let limits = self.state.limits(row).map(|limits| Limits {
            cpu_allocation_ratio: limits.cpu_allocation_ratio,
            ram_allocation_ratio: limits.ram_allocation_ratio,
            network_metadata: self.request.network_metadata.as_ref(),
        });
        let devices = self.request.pci_requests.as_deref().unwrap_or_default();
        // Without claimed candidates the groups have no providers yet.
        let unmapped = ProviderMapping(self.unmapped_groups());
        let consumer = Consumer { devices, mapping: Some(mapping.unwrap_or(&unmapped)), limits, allocation };
        let (mut change, _) = self.hosts.consume(row, &self.request.flavor, &mut topology, &consumer);
        self.request.numa_topology = topology;
        if let Some(group) = &mut self.request.instance_group {
            group.hosts.push(self.hosts.host(row).to_owned());
            self.hosts.place_instance(row, instance, &mut change);
        }
        self.changes.push(change);
    }

    fn unmapped_groups(&self) -> std::collections::BTreeMap<String, Vec<String>> {
        let groups = self.request.requested_resources.iter();
        groups.filter_map(|group| group.requester_id.clone()).map(|id| (id, Vec::new())).collect()
    }

    /// With several instances the hosts are sorted once more, since the chosen ones are fuller now.
    fn selections(
        &mut self,
        mut rows: Vec<Row>,
        with_placement: bool,
    ) -> Result<Vec<Vec<Selection>>, SelectError> {
        let wanted = self.what.options.scheduler.max_attempts.saturating_sub(1) as usize;
        let alternates = if self.what.return_alternates { wanted } else { 0 };
        let last = self.chosen.len() - 1;
        if last > 0 && alternates > 0 {
            rows = self.sorted(Some(rows), last)?;
        }
        Ok(with_alternates(&self.scene(), self.state, &self.chosen, &rows, alternates, with_placement))
    }
}
