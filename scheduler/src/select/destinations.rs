//! Decides on the hosts for all instances of a request.

use berth_placement::ConsumerId;

use super::alternates::{Chosen, Pool};
use super::order::{HostOrder, LookAtAll};
use super::{AllocationCandidate, Chooser, Claims, SelectError, Selection, Sorted};
use crate::filters::{RequestState, Scene, Step, cell_allocation};
use crate::hosts::{HostRow, HostTable, Undo};
use crate::numa::{CellLimits, InstanceTopology, NumaConsumer};
use crate::options::Options;
use crate::pci::ProviderMapping;
use crate::request_spec::RequestSpec;

/// A request for destinations.
#[derive(Debug, Clone, Copy)]
pub struct SelectDestinations<'a> {
    /// The operator's settings.
    pub options: &'a Options,
    /// The instances to place.
    pub instances: &'a [ConsumerId],
    /// Whether to return alternates: up to `max_attempts` less one for each instance.
    pub return_alternates: bool,
    /// The time in microseconds since 1970.
    pub now: i64,
}

/// Which results of a decision its caller needs beside the hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionDetail {
    /// All.
    Full,
    /// Changes of the host table are undone at once, and only a refusal is explained: the host of
    /// the last instance is not changed, and the hosts that constraints remove are counted for the
    /// instance that finds none.
    HostsOnly,
}

/// A decision. The host table shows the chosen hosts as consumed until the decision is undone.
#[derive(Debug)]
pub struct Decision {
    /// For each instance, the chosen host and its alternates.
    pub result: Result<Vec<Vec<Selection>>, SelectError>,
    /// The number of hosts removed by each constraint, for each instance that was tried. Empty
    /// where a ranked search decided among hosts whose candidates take from several providers,
    /// because it skips hosts that cannot win. With [`DecisionDetail::HostsOnly`], for the
    /// instance that found no host.
    pub removed: Vec<Vec<(Step, usize)>>,
    /// The changes to the host table, in order.
    pub changes: Vec<Undo>,
}

impl Decision {
    /// Reverts the changes to the host table. Nova's filter scheduler reads its hosts again for
    /// each request; the caching scheduler keeps the changes until the next report.
    pub fn undo(&mut self, hosts: &mut HostTable) {
        self.changes.drain(..).rev().for_each(|change| hosts.undo(change));
    }
}

/// The state of one decision.
struct Selecting<'a> {
    what: SelectDestinations<'a>,
    hosts: &'a mut HostTable,
    request: &'a mut RequestSpec,
    state: &'a mut RequestState,
    order: &'a mut dyn HostOrder,
    chooser: &'a mut dyn Chooser,
    detail: DecisionDetail,
    removed: Vec<Vec<(Step, usize)>>,
    changes: Vec<Undo>,
    chosen: Vec<Chosen>,
}

impl SelectDestinations<'_> {
    /// Chooses and claims a host for each instance. The next instance sees what remains.
    ///
    /// Claims are attempted on the hosts in order until one succeeds, on each host once with its
    /// first allocation candidate, so there are at most as many claims for an instance as hosts. An
    /// instance considers only the hosts that remained for the previous instance. If an instance
    /// finds no host, all claims are released.
    ///
    /// `state` provides the allocation candidates, and with them the hosts to choose from. A
    /// rebuild considers all hosts of the table, claims nothing and needs no candidates. `request`
    /// changes as it does in Nova: instance, fitted NUMA cells, hosts of the server group.
    pub fn decide(
        self,
        hosts: &mut HostTable,
        request: &mut RequestSpec,
        state: &mut RequestState,
        claims: &mut dyn Claims,
        chooser: &mut dyn Chooser,
    ) -> Decision {
        let order = &mut LookAtAll::default();
        self.decide_by((order, DecisionDetail::Full), hosts, request, state, claims, chooser)
    }

    /// [`Self::decide`] among the hosts of `order`.
    pub(crate) fn decide_by(
        self,
        (order, detail): (&mut dyn HostOrder, DecisionDetail),
        hosts: &mut HostTable,
        request: &mut RequestSpec,
        state: &mut RequestState,
        claims: &mut dyn Claims,
        chooser: &mut dyn Chooser,
    ) -> Decision {
        let (removed, changes, chosen) = (Vec::new(), Vec::new(), Vec::new());
        let mut selecting =
            Selecting { what: self, hosts, request, state, order, chooser, detail, removed, changes, chosen };
        let result = selecting.select(claims);
        if result.is_err() {
            let claimed =
                selecting.chosen.iter().zip(self.instances).filter(|((_, candidate), _)| candidate.is_some());
            claimed.for_each(|(_, instance)| claims.release(*instance));
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
        let mut last = None;
        for (index, &instance) in self.what.instances.iter().enumerate() {
            self.request.instance_uuid = instance.into();
            let mut sorted = self.sorted(index)?;
            let found = if with_placement {
                self.claim(instance, &mut sorted, claims)
            } else {
                sorted.rows.first().map(|&row| (row, None))
            };
            let Some((row, candidate)) = found else {
                if self.detail == DecisionDetail::HostsOnly {
                    self.count_removed(&mut sorted);
                }
                break;
            };
            let mapping = candidate.as_ref().map(|candidate| self.mapping(candidate)).transpose();
            self.chosen.push((row, candidate));
            if self.what.instances.len() == 1 {
                self.look_for_alternates(&mut sorted); // in the order before the claims
            }
            last = Some(sorted);
            let mapping = mapping?;
            let is_observed = self.detail == DecisionDetail::Full || index + 1 < self.what.instances.len();
            if is_observed || self.sorts_again() {
                self.consume(row, mapping.as_ref());
            }
        }
        let (placed, wanted) = (self.chosen.len(), self.what.instances.len());
        match last {
            Some(sorted) if placed == wanted => self.selections(sorted),
            _ => Err(SelectError::NoValidHost { placed, wanted }),
        }
    }

    /// The sorted hosts for an instance, among those that remained for the previous instance.
    fn sorted(&mut self, index: usize) -> Result<Sorted, SelectError> {
        let subset = self.what.options.filter_scheduler.host_subset_size;
        let most = subset.max(1 + self.alternates());
        let Self { what, hosts, request, state, order, chooser, .. } = self;
        let scene = Scene { hosts, options: what.options, request, now: what.now };
        let mut sorted = order.sort(&scene, index, most, state, *chooser)?;
        if self.detail == DecisionDetail::Full {
            self.count_removed(&mut sorted);
        }
        Ok(sorted)
    }

    /// Adds the number of hosts that each constraint removed.
    fn count_removed(&mut self, sorted: &mut Sorted) {
        let counted = sorted.removed.take();
        let Self { what, hosts, request, order, .. } = self;
        let scene = Scene { hosts, options: what.options, request, now: what.now };
        let removed = counted.unwrap_or_else(|| order.removed(&scene));
        self.removed.push(removed);
    }

    /// Appends the next best hosts, if there are any.
    fn extend(&mut self, sorted: &mut Sorted) {
        let Self { what, hosts, request, state, order, .. } = self;
        let scene = Scene { hosts, options: what.options, request, now: what.now };
        order.extend(&scene, state, sorted);
    }

    /// Claims the first host that grants the claim.
    fn claim(
        &mut self,
        instance: ConsumerId,
        sorted: &mut Sorted,
        claims: &mut dyn Claims,
    ) -> Option<Chosen> {
        let mut tried = 0;
        loop {
            let found = sorted.rows[tried..].iter().find_map(|&row| {
                let candidate = self.state.first(row)?;
                claims.claim(instance, row, candidate).then(|| (row, Some(candidate.clone())))
            });
            tried = sorted.rows.len();
            if found.is_some() || sorted.complete {
                return found;
            }
            self.extend(sorted);
        }
    }

    /// The providers that serve the request groups.
    fn mapping(&self, candidate: &AllocationCandidate) -> Result<ProviderMapping, SelectError> {
        let provider = |id: &String| {
            let providers = candidate.mappings.0.get(id).ok_or_else(|| SelectError::NoMapping(id.clone()))?;
            Ok((id.clone(), providers.clone()))
        };
        let groups = self.request.requested_resources.iter().filter_map(|group| group.requester_id.as_ref());
        groups.map(provider).collect::<Result<_, _>>().map(ProviderMapping)
    }

    /// Subtracts the instance's needs from the host. If this fails, the compute service of the host
    /// decides.
    fn consume(&mut self, row: HostRow, mapping: Option<&ProviderMapping>) {
        let allocation = cell_allocation(&self.scene());
        let mut topology: Option<InstanceTopology> = self.request.numa_topology.take();
        let limits = self.state.limits(row).map(|limits| CellLimits {
            cpu_allocation_ratio: limits.cpu_allocation_ratio,
            ram_allocation_ratio: limits.ram_allocation_ratio,
            network_metadata: self.request.network_metadata.as_ref(),
        });
        let devices = self.request.pci_requests.as_deref().unwrap_or_default();
        // Without claimed candidates, the groups have no providers yet.
        let unmapped = ProviderMapping(self.unmapped_groups());
        let consumer =
            NumaConsumer { devices, mapping: Some(mapping.unwrap_or(&unmapped)), limits, allocation };
        let (mut change, _) = self.hosts.consume(row, &self.request.flavor, &mut topology, &consumer);
        self.request.numa_topology = topology;
        if let Some(group) = &mut self.request.instance_group {
            group.hosts.push(self.hosts.host(row).to_owned());
            self.hosts.place_instance(row, self.request.instance_uuid, &mut change);
        }
        self.changes.push(change);
        self.order.follow(self.hosts, self.what.options, row);
    }

    fn unmapped_groups(&self) -> std::collections::BTreeMap<String, Vec<String>> {
        let groups = self.request.requested_resources.iter();
        groups.filter_map(|group| group.requester_id.clone()).map(|id| (id, Vec::new())).collect()
    }

    /// Whether hosts are sorted again, for alternates, after all instances have a host.
    fn sorts_again(&self) -> bool {
        self.what.instances.len() > 1 && self.alternates() > 0
    }

    /// The number of alternates for each instance.
    fn alternates(&self) -> usize {
        let wanted = self.what.options.scheduler.max_attempts.saturating_sub(1) as usize;
        if self.what.return_alternates { wanted } else { 0 }
    }

    /// Selects alternates. With several instances it sorts the hosts again, because the chosen ones
    /// have less free capacity now.
    fn selections(&mut self, mut sorted: Sorted) -> Result<Vec<Vec<Selection>>, SelectError> {
        if self.sorts_again() {
            sorted = self.sorted(self.chosen.len() - 1)?;
            self.look_for_alternates(&mut sorted);
        }
        Ok(self.pool(&sorted).selections(self.alternates()))
    }

    /// Appends hosts until each instance has its alternates, or no host is left.
    fn look_for_alternates(&mut self, sorted: &mut Sorted) {
        while !sorted.complete && !self.pool(sorted).has(self.alternates()) {
            self.extend(sorted);
        }
    }

    fn pool<'a>(&'a self, sorted: &'a Sorted) -> Pool<'a> {
        Pool {
            scene: self.scene(),
            state: self.state,
            chosen: &self.chosen,
            sorted: &sorted.rows,
            with_placement: !self.request.is_rebuild(),
        }
    }
}
