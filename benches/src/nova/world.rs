//! A fleet on which Berth decides with Nova's filters and weighers, while VMs arrive and leave.

use std::collections::{BTreeMap, VecDeque};

use berth_scheduler::filters::{FilterOutcome, RequestState, Scene, Step, Survivors, run};
use berth_scheduler::hosts::{HostRecord, HostRow, HostTable, Undo};
use berth_scheduler::numa::{CellAllocation, CellLimits, NumaConsumer};
use berth_scheduler::pci::ProviderMapping;
use berth_scheduler::ranked::Among;
use berth_scheduler::select::{AllocationCandidate, CandidateAllocations, ProviderAllocation};
use berth_scheduler::weighers::{Weighed, weigh};
use berth_scheduler::{Options, RankedHosts, RankedRequest, RequestSpec, time};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::NovaVariant;
use super::case::{NOW, filters, weighers};
use super::fleet::Fleet;
use super::request::request;

/// The number of VMs that stay before one leaves.
const STAY: usize = 64;

/// The number of hosts that each filter removed, in order.
pub type RemovedCounts = Vec<(Step, usize)>;

/// Berth's decision is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The two searches chose different hosts.
    #[error("the ranked search names {ranked:?}, the exhaustive one {exhaustive:?}")]
    Host {
        /// The choice of the ranked search.
        ranked: Option<HostRow>,
        /// The choice of the exhaustive search.
        exhaustive: Option<HostRow>,
    },
    /// The cached counts differ from those of a pass over all hosts.
    #[error("the cached counts are {cached:?}, a pass over all hosts gives {expected:?}")]
    Removed {
        /// Cached with the request.
        cached: RemovedCounts,
        /// The result of the pass.
        expected: RemovedCounts,
    },
    /// The ranked search should serve the fleet and does not.
    #[error("the ranked search passes the decision on to the exhaustive one")]
    NotRanked,
    /// A filter or weigher failed.
    #[error("the request failed: {0}")]
    Failed(String),
}

/// A fleet, a request, and the state of the ranked search.
pub struct World {
    options: Options,
    hosts: HostTable,
    request: RequestSpec,
    now: i64,
    /// The allocation candidates, if a filter needs them.
    candidates: RequestState,
    ranked: RankedHosts,
    ranked_request: Option<RankedRequest>,
    staying: VecDeque<(HostRow, Undo)>,
    /// Rows whose changes the rankings have not applied yet.
    changed: Vec<HostRow>,
}

impl World {
    /// The world of a case.
    ///
    /// # Panics
    /// The case is invalid, which would be a bug of this crate.
    #[must_use]
    pub fn new(variant: NovaVariant, hosts: u32, seed: u64) -> Self {
        let fleet = Fleet { variant, hosts, seed };
        let mut options = Options::default();
        options.filter_scheduler.enabled_filters = filters(variant);
        options.filter_scheduler.weight_classes = weighers();
        let now = time::micros(NOW).expect("a time");
        let records: Vec<HostRecord> = fleet.hosts().map(read).collect();
        let aggregates: Vec<_> = read(fleet.aggregates());
        let hosts = HostTable::load(&records, &aggregates, &options.general, now).expect("a valid case");
        let request: RequestSpec = read(request(fleet));
        let ranked = RankedHosts::new(&hosts, &options);
        let ranked_request =
            RankedRequest::new(&Scene { hosts: &hosts, options: &options, request: &request, now });
        let candidates = candidates(&hosts, &request);
        let (staying, changed) = (VecDeque::new(), Vec::new());
        Self { options, hosts, request, now, candidates, ranked, ranked_request, staying, changed }
    }

    /// Whether the ranked search can serve the request.
    #[must_use]
    pub const fn is_ranked(&self) -> bool {
        self.ranked_request.is_some()
    }

    /// Allocation candidates for one decision; filters remove some of them.
    #[must_use]
    pub fn candidates(&self) -> RequestState {
        self.candidates.clone()
    }

    /// The best host by the ranked search, which first applies the changes since its last decision.
    ///
    /// # Errors
    /// [`Wrong::NotRanked`].
    pub fn decide_ranked(&mut self) -> Result<Option<HostRow>, Wrong> {
        self.follow();
        let Self { options, hosts, request, now, ranked, ranked_request, .. } = self;
        let ranked_request = ranked_request.as_mut().ok_or(Wrong::NotRanked)?;
        let scene = Scene { hosts, options, request, now: *now };
        let best = ranked.best(&scene, ranked_request, 1).map_err(|_| Wrong::NotRanked)?;
        Ok(best.first().copied())
    }

    /// The number of hosts that each filter removes, cached with the ranked request.
    ///
    /// # Errors
    /// [`Wrong::NotRanked`].
    pub fn count_removed(&mut self) -> Result<RemovedCounts, Wrong> {
        let Self { options, hosts, request, now, ranked, ranked_request, .. } = self;
        let ranked_request = ranked_request.as_mut().ok_or(Wrong::NotRanked)?;
        let scene = Scene { hosts, options, request, now: *now };
        ranked.removed_among(&Among::default(), &scene, ranked_request).map_err(|_| Wrong::NotRanked)
    }

    /// Compares counts with a pass over all hosts.
    ///
    /// # Errors
    /// [`Wrong`] if the pass gives other counts.
    pub fn check_removed(&self, counted: &RemovedCounts) -> Result<(), Wrong> {
        let expected = self.filter(&mut self.candidates())?.removed;
        if *counted == expected { Ok(()) } else { Err(Wrong::Removed { cached: counted.clone(), expected }) }
    }

    /// The hosts that pass all filters, best first, from a pass over all hosts, with the number
    /// that each filter removed.
    ///
    /// # Errors
    /// [`Wrong::Failed`].
    pub fn decide_exhaustively(
        &self,
        candidates: &mut RequestState,
    ) -> Result<(Vec<Weighed>, FilterOutcome), Wrong> {
        let outcome = self.filter(candidates)?;
        let rows = outcome.survivors.rows();
        let weighed = weigh(&self.scene(), &rows).map_err(|failure| Wrong::Failed(failure.to_string()))?;
        Ok((weighed, outcome))
    }

    /// The hosts that pass all filters, and the number that each filter removed.
    ///
    /// # Errors
    /// [`Wrong::Failed`].
    pub fn filter(&self, candidates: &mut RequestState) -> Result<FilterOutcome, Wrong> {
        run(&self.scene(), Survivors::all(&self.hosts), 0, candidates)
            .map_err(|failure| Wrong::Failed(failure.to_string()))
    }

    /// Compares a chosen host with the exhaustive search.
    ///
    /// # Errors
    /// [`Wrong`] if it chooses another host.
    pub fn check(&self, chosen: Option<HostRow>) -> Result<(), Wrong> {
        let (weighed, _) = self.decide_exhaustively(&mut self.candidates())?;
        let exhaustive = weighed.first().map(|host| host.row);
        if chosen == exhaustive { Ok(()) } else { Err(Wrong::Host { ranked: chosen, exhaustive }) }
    }

    /// Places a VM of the request on the row, and removes an earlier one from its host.
    pub fn change(&mut self, row: HostRow) {
        self.arrive(row);
        if self.staying.len() > STAY {
            self.leave();
        }
    }

    /// Removes all VMs that arrived.
    pub fn clear(&mut self) {
        while let Some((row, undo)) = self.staying.pop_back() {
            self.hosts.undo(undo);
            self.changed.push(row);
        }
    }

    /// Applies the changes to the rankings.
    pub fn follow(&mut self) {
        let Self { options, hosts, ranked, changed, .. } = self;
        changed.drain(..).for_each(|row| ranked.follow(hosts, options, row));
    }

    /// Berth's answer to the case.
    ///
    /// # Errors
    /// [`Wrong`] if the two searches disagree.
    pub fn answer(&mut self) -> Result<Value, Wrong> {
        let (weighed, outcome) = self.decide_exhaustively(&mut self.candidates())?;
        if self.is_ranked() {
            let ranked = self.decide_ranked()?;
            self.check(ranked)?;
        }
        let removed: BTreeMap<_, _> =
            outcome.removed.iter().map(|(step, count)| (step.to_string(), count)).collect();
        let order: Vec<_> = weighed.iter().map(|host| (host.row.0, host.weight)).collect();
        Ok(json!({"left": outcome.survivors.len(), "removed": removed, "order": order}))
    }

    const fn scene(&self) -> Scene<'_> {
        Scene { hosts: &self.hosts, options: &self.options, request: &self.request, now: self.now }
    }

    fn arrive(&mut self, row: HostRow) {
        let ratios = self.hosts.report(row).map(|report| report.ratios);
        let limits = ratios.map(|ratios| CellLimits {
            cpu_allocation_ratio: ratios.cpu.get(),
            ram_allocation_ratio: ratios.ram.get(),
            network_metadata: None,
        });
        let devices = self.request.pci_requests.as_deref().unwrap_or_default();
        let consumer = NumaConsumer { devices, mapping: None, limits, allocation: CellAllocation::Spread };
        let mut topology = self.request.numa_topology.clone();
        let (undo, _) = self.hosts.consume(row, &self.request.flavor, &mut topology, &consumer);
        self.staying.push_back((row, undo));
        self.changed.push(row);
    }

    /// Removes the latest VM of the host of the oldest one, because a host's state is undone from
    /// its latest VM on.
    fn leave(&mut self) {
        let is_last = |at: &usize| {
            let row = self.staying[*at].0;
            self.staying.iter().skip(at + 1).all(|(other, _)| *other != row)
        };
        let oldest = (0..self.staying.len()).find(is_last);
        if let Some((row, undo)) = oldest.and_then(|at| self.staying.remove(at)) {
            self.hosts.undo(undo);
            self.changed.push(row);
        }
    }
}

/// One candidate per host, if cells or devices are requested: no other filter needs candidates.
fn candidates(hosts: &HostTable, request: &RequestSpec) -> RequestState {
    let mut state = RequestState::default();
    if request.numa_topology.is_some() || request.pci_requests.is_some() {
        hosts.rows().for_each(|row| {
            state.give(row, hosts.uuid(row).map(|uuid| candidate(uuid, request)).into_iter().collect());
        });
    }
    state
}

fn candidate(provider: Uuid, request: &RequestSpec) -> AllocationCandidate {
    let amounts = [("VCPU", request.flavor.vcpus), ("MEMORY_MB", request.flavor.memory_mb)];
    let resources = amounts.map(|(class, amount)| (class.to_owned(), amount.unsigned_abs()));
    let allocation = ProviderAllocation { resources: resources.into() };
    AllocationCandidate {
        allocations: CandidateAllocations::Named([(provider.to_string(), allocation)].into()),
        mappings: ProviderMapping([(String::new(), vec![provider.to_string()])].into()),
    }
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a valid case")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_searches_agree_while_vms_arrive_and_leave() {
        for variant in [NovaVariant::Plain, NovaVariant::Group] {
            let mut world = World::new(variant, 300, 1);
            let before = world.answer().unwrap();
            for _ in 0..3 * STAY {
                let chosen = world.decide_ranked().unwrap();
                world.check(chosen).unwrap();
                world.change(chosen.unwrap());
            }
            assert_eq!(world.staying.len(), STAY);
            world.clear();
            assert_eq!(world.answer().unwrap(), before, "{variant}");
        }
    }

    #[test]
    fn cells_are_decided_by_a_pass_over_all_hosts() {
        let mut world = World::new(NovaVariant::Numa, 100, 1);
        assert!(!world.is_ranked());
        assert_eq!(world.decide_ranked(), Err(Wrong::NotRanked));
        let (weighed, outcome) = world.decide_exhaustively(&mut world.candidates()).unwrap();
        assert_eq!(weighed.len(), outcome.survivors.len());
        let refused = |filter: &str| {
            outcome.removed.iter().any(|(step, count)| step.to_string() == filter && *count > 0)
        };
        assert!(
            refused("NUMATopologyFilter") && refused("ServerGroupAntiAffinityFilter"),
            "{:?}",
            outcome.removed
        );
        assert!((20..50).contains(&weighed.len()), "{}", weighed.len());
    }
}
