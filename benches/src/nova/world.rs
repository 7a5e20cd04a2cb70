//! A fleet on which Berth decides as Nova would, while VMs come and leave.

use std::collections::{BTreeMap, VecDeque};

use berth_placement::Row;
use berth_scheduler::nova::filters::{Outcome, RequestState, Scene, Step, Survivors, run};
use berth_scheduler::nova::hosts::{HostRecord, HostTable, Undo};
use berth_scheduler::nova::numa::{CellAllocation, Consumer, Limits};
use berth_scheduler::nova::pci::ProviderMapping;
use berth_scheduler::nova::ranked::Among;
use berth_scheduler::nova::select::{AllocationCandidate, ProviderAllocation};
use berth_scheduler::nova::weighers::{Weighed, weigh};
use berth_scheduler::nova::{Options, RankedHosts, RankedRequest, RequestSpec, time};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Variant;
use super::case::{NOW, filters, weighers};
use super::fleet::Fleet;
use super::request::request;

/// VMs that stay before one leaves.
const STAY: usize = 64;

/// Hosts that each filter removed, in order.
pub type Removed = Vec<(Step, usize)>;

/// Berth did not decide as it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The two searches name different hosts.
    #[error("the ranked search names {ranked:?}, the exhaustive one {exhaustive:?}")]
    Host {
        /// By the ranked search.
        ranked: Option<Row>,
        /// By the exhaustive search.
        exhaustive: Option<Row>,
    },
    /// The counts that are kept are not those of a pass over all hosts.
    #[error("kept are the counts {kept:?}, a pass over all hosts gives {expected:?}")]
    Removed {
        /// Kept with the request.
        kept: Removed,
        /// By the pass.
        expected: Removed,
    },
    /// A fleet was to be ranked and is not.
    #[error("the ranked search passes the decision on to the exhaustive one")]
    NotRanked,
    /// A filter or weigher failed.
    #[error("the request failed: {0}")]
    Failed(String),
}

/// A fleet, a request, and what is kept for the ranked search.
pub struct World {
    options: Options,
    hosts: HostTable,
    request: RequestSpec,
    now: i64,
    /// The allocation candidates, where a filter looks at them.
    candidates: RequestState,
    ranked: RankedHosts,
    ranked_request: Option<RankedRequest>,
    staying: VecDeque<(Row, Undo)>,
    /// Rows that the rankings have not taken in yet.
    changed: Vec<Row>,
}

impl World {
    /// The world of a case.
    ///
    /// # Panics
    /// If a case cannot be read, which would be a mistake in this crate.
    #[must_use]
    pub fn new(variant: Variant, hosts: u32, seed: u64) -> Self {
        let fleet = Fleet { variant, hosts, seed };
        let mut options = Options::default();
        options.filter_scheduler.enabled_filters = filters(variant);
        options.filter_scheduler.weight_classes = weighers();
        let now = time::micros(NOW).expect("a time");
        let records: Vec<HostRecord> = fleet.hosts().map(read).collect();
        let aggregates: Vec<_> = read(fleet.aggregates());
        let hosts = HostTable::load(&records, &aggregates, &options.general, now).expect("a case of ours");
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

    /// Allocation candidates for one decision: filters drop some.
    #[must_use]
    pub fn candidates(&self) -> RequestState {
        self.candidates.clone()
    }

    /// The best host by the ranked search, which first takes in what has changed since its last decision.
    ///
    /// # Errors
    /// [`Wrong::NotRanked`].
    pub fn decide_ranked(&mut self) -> Result<Option<Row>, Wrong> {
        self.follow();
        let Self { options, hosts, request, now, ranked, ranked_request, .. } = self;
        let ranked_request = ranked_request.as_mut().ok_or(Wrong::NotRanked)?;
        let scene = Scene { hosts, options, request, now: *now };
        let best = ranked.best(&scene, ranked_request, 1).map_err(|_| Wrong::NotRanked)?;
        Ok(best.first().copied())
    }

    /// How many hosts each filter removes, as it is kept with the ranked request.
    ///
    /// # Errors
    /// [`Wrong::NotRanked`].
    pub fn count_removed(&mut self) -> Result<Removed, Wrong> {
        let Self { options, hosts, request, now, ranked, ranked_request, .. } = self;
        let ranked_request = ranked_request.as_mut().ok_or(Wrong::NotRanked)?;
        let scene = Scene { hosts, options, request, now: *now };
        ranked.removed_among(&Among::default(), &scene, ranked_request).map_err(|_| Wrong::NotRanked)
    }

    /// Holds counts against a pass over all hosts.
    ///
    /// # Errors
    /// [`Wrong`] if that counts otherwise.
    pub fn check_removed(&self, counted: &Removed) -> Result<(), Wrong> {
        let expected = self.filter(&mut self.candidates())?.removed;
        if *counted == expected { Ok(()) } else { Err(Wrong::Removed { kept: counted.clone(), expected }) }
    }

    /// The hosts that pass all filters, best first, by looking at every host; how many each filter removed comes with it.
    ///
    /// # Errors
    /// [`Wrong::Failed`].
    pub fn decide_exhaustively(
        &self,
        candidates: &mut RequestState,
    ) -> Result<(Vec<Weighed>, Outcome), Wrong> {
        let outcome = self.filter(candidates)?;
        let rows = outcome.survivors.rows();
        let weighed = weigh(&self.scene(), &rows).map_err(|failure| Wrong::Failed(failure.to_string()))?;
        Ok((weighed, outcome))
    }

    /// The hosts that pass all filters, and how many each filter removed.
    ///
    /// # Errors
    /// [`Wrong::Failed`].
    pub fn filter(&self, candidates: &mut RequestState) -> Result<Outcome, Wrong> {
        run(&self.scene(), Survivors::all(&self.hosts), 0, candidates)
            .map_err(|failure| Wrong::Failed(failure.to_string()))
    }

    /// Holds a host that was chosen against the exhaustive search.
    ///
    /// # Errors
    /// [`Wrong`] if that names another one.
    pub fn check(&self, chosen: Option<Row>) -> Result<(), Wrong> {
        let (weighed, _) = self.decide_exhaustively(&mut self.candidates())?;
        let exhaustive = weighed.first().map(|host| host.row);
        if chosen == exhaustive { Ok(()) } else { Err(Wrong::Host { ranked: chosen, exhaustive }) }
    }

    /// A VM of the request comes to the row, and an earlier one leaves another.
    pub fn change(&mut self, row: Row) {
        self.arrive(row);
        if self.staying.len() > STAY {
            self.leave();
        }
    }

    /// All VMs that came leave again.
    pub fn clear(&mut self) {
        while let Some((row, undo)) = self.staying.pop_back() {
            self.hosts.undo(undo);
            self.changed.push(row);
        }
    }

    /// Lets the rankings take in what has changed.
    pub fn follow(&mut self) {
        let Self { options, hosts, ranked, changed, .. } = self;
        changed.drain(..).for_each(|row| ranked.follow(hosts, options, row));
    }

    /// What Berth makes of the case.
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

    fn arrive(&mut self, row: Row) {
        let ratios = self.hosts.report(row).map(|report| report.ratios);
        let limits = ratios.map(|ratios| Limits {
            cpu_allocation_ratio: ratios.cpu.get(),
            ram_allocation_ratio: ratios.ram.get(),
            network_metadata: None,
        });
        let devices = self.request.pci_requests.as_deref().unwrap_or_default();
        let consumer = Consumer { devices, mapping: None, limits, allocation: CellAllocation::Spread };
        let mut topology = self.request.numa_topology.clone();
        let (undo, _) = self.hosts.consume(row, &self.request.flavor, &mut topology, &consumer);
        self.staying.push_back((row, undo));
        self.changed.push(row);
    }

    /// The oldest leaves that came to its host last: a host is undone from the latest VM on.
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

/// One candidate for each host, if cells or devices are asked for: no other filter looks at them.
fn candidates(hosts: &HostTable, request: &RequestSpec) -> RequestState {
    let mut state = RequestState::default();
    if request.numa_topology.is_some() || request.pci_requests.is_some() {
        hosts.rows().for_each(|row| {
            state.give(row, hosts.uuid(row).map(|uuid| candidate(uuid, request)).into_iter().collect());
        });
    }
    state
}

fn candidate(uuid: &str, request: &RequestSpec) -> AllocationCandidate {
    let amounts = [("VCPU", request.flavor.vcpus), ("MEMORY_MB", request.flavor.memory_mb)];
    let resources = amounts.map(|(class, amount)| (class.to_owned(), amount.unsigned_abs()));
    let allocation = ProviderAllocation { resources: resources.into() };
    AllocationCandidate {
        allocations: [(uuid.to_owned(), allocation)].into(),
        mappings: ProviderMapping([(String::new(), vec![uuid.to_owned()])].into()),
    }
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a case of ours reads")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_searches_agree_while_vms_come_and_leave() {
        for variant in [Variant::Plain, Variant::Group] {
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
    fn cells_are_decided_by_looking_at_every_host() {
        let mut world = World::new(Variant::Numa, 100, 1);
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
