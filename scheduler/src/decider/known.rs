//! The hosts that a decider has loaded, and decisions on them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_placement::{Index, JournalRead, Row};

use super::cache::{self, Cache};
use super::{DecideError, DecisionRequest, HostSource, NoHost};
use crate::explain::{Case, PlacementFacts};
use crate::filter_scheduler::SelectionRequest;
use crate::hosts::{HostLoadError, HostRecord};
use crate::placement_query::{ComputeNode, PrefilterFacts};
use crate::select::{Chooser, Decision, DecisionDetail, Selection};
use crate::{AggregateRecord, FilterScheduler, HostTable, Options, Preference, RequestSpec};

/// The hosts as they were when the decider looked.
pub(super) struct KnownHosts {
    pub(super) scheduler: FilterScheduler,
    aggregates: Vec<AggregateRecord>,
    computes: Vec<ComputeNode>,
    cache: Cache,
    oldest_compute: u32,
    /// Names of hosts, by the row of their root provider.
    names: BTreeMap<Row, String>,
    /// The position up to which the journal was read.
    cursor: u64,
}

impl KnownHosts {
    /// Loads all hosts of the source.
    /// `before` is what was known before.
    pub(super) fn load(
        index: &Arc<Index>,
        (options, preference): (&Options, Preference),
        source: &dyn HostSource,
        now: i64,
        before: Option<&mut Self>,
    ) -> Result<Self, HostLoadError> {
        let cursor = index.journal().end();
        let (records, aggregates) = source.all();
        let table = HostTable::load(&records, &aggregates, &options.general, now)?;
        let computes: Vec<_> = records.iter().map(compute_node).collect();
        let name = |node: &ComputeNode| Some((index.find(node.uuid)?, node.host.clone()));
        let names = computes.iter().filter_map(name).collect();
        let mut scheduler =
            FilterScheduler::preferring(preference, Arc::clone(index), table, options.clone());
        scheduler.track_lifetimes(before.map(|before| &mut before.scheduler), &records, now);
        let oldest_compute = source.oldest_compute();
        Ok(Self { scheduler, aggregates, computes, cache: Cache::default(), oldest_compute, names, cursor })
    }

    /// Adds the hosts whose free amounts have changed since the last call to those that the source
    /// named, and updates all of them from the source. Returns whether that was possible.
    pub(super) fn update(
        &mut self,
        index: &Index,
        source: &dyn HostSource,
        hosts: &mut BTreeSet<String>,
        now: i64,
    ) -> bool {
        for root in self.read_journal(index) {
            match source.usage(root) {
                Some(usage) => self.scheduler.set_usage(root, usage),
                None => hosts.extend(self.name(root).map(str::to_owned)),
            }
        }
        hosts.is_empty() || self.scheduler.update_hosts(&source.some(hosts), now).is_ok()
    }

    /// Forgets the names of resource classes and traits that were removed, and the prepared
    /// requests, which refer to names by number.
    pub(super) fn forget_names(&mut self) {
        self.scheduler.keep_up();
        self.cache = Cache::default();
    }

    /// Compute services are upgraded while nothing else changes; requests that were prepared before
    /// are prepared again then.
    pub(super) fn follow_upgrades(&mut self, source: &dyn HostSource) {
        let oldest_compute = source.oldest_compute();
        if oldest_compute != self.oldest_compute {
            (self.oldest_compute, self.cache) = (oldest_compute, Cache::default());
        }
    }

    /// The name of the host with this root provider.
    pub(super) fn name(&self, provider: Row) -> Option<&str> {
        self.names.get(&provider).map(String::as_str)
    }

    /// Decides on these hosts. `spec` is the request with its server group. A rebuild claims
    /// nothing.
    pub(super) fn select(
        &mut self,
        spec: &RequestSpec,
        request: &DecisionRequest<'_>,
        now: i64,
        chooser: &mut dyn Chooser,
    ) -> Result<Vec<Vec<Selection>>, DecideError> {
        let &DecisionRequest { instances, alternates, claimant, is_dry_run, .. } = request;
        let Self { scheduler, aggregates, computes, cache, oldest_compute, .. } = self;
        let oldest_compute = *oldest_compute;
        let mut prepare = || {
            let known = PrefilterFacts { aggregates, computes, oldest_compute, networks: None };
            scheduler.prepare(spec.clone(), &known, now)
        };
        let mut for_once;
        let prepared = if cache::is_worth_it(spec) {
            cache.request(spec, prepare)?
        } else {
            for_once = prepare()?;
            &mut for_once
        };
        let (alternates, detail) = (alternates > 0, DecisionDetail::HostsOnly);
        let wanted = SelectionRequest { instances, alternates, each_alone: true, detail, now };
        let mut decision = if is_dry_run || spec.is_rebuild() {
            scheduler.select_dry(prepared, wanted, claimant, chooser)
        } else {
            scheduler.select_as_one(prepared, wanted, claimant, chooser).decision
        };
        // Hosts mirror the index and their instances. The journal contains the claim, and applying
        // the decision here as well would count it twice.
        scheduler.undo(&mut decision);
        let hosts = scheduler.hosts().len();
        let Decision { result, mut removed, .. } = decision;
        match result {
            Ok(selections) => Ok(selections),
            Err(error) => {
                let removed = removed.pop().unwrap_or_default();
                Err(DecideError::NoHost(Box::new(NoHost { error, removed, hosts })))
            }
        }
    }

    /// A copy of the request and these hosts.
    pub(super) fn case(&self, index: &Arc<Index>, spec: &RequestSpec, now: i64) -> Case {
        let (hosts, options) = (self.scheduler.hosts().clone(), self.scheduler.options().clone());
        let (aggregates, computes) = (self.aggregates.clone(), self.computes.clone());
        let index = Arc::clone(index);
        let facts = PlacementFacts::of_service(index, &hosts, aggregates, computes, self.oldest_compute);
        Case::new(hosts, options, spec.clone(), facts, now)
    }

    /// The root providers whose trees' free amounts have changed since the last call.
    fn read_journal(&mut self, index: &Index) -> BTreeSet<Row> {
        let (topology, mut changed) = (index.topology(), BTreeSet::new());
        loop {
            match index.journal().read(&mut self.cursor) {
                JournalRead::Changed(entry) => {
                    changed.extend(topology.provider(entry.row).map(|provider| provider.root));
                }
                JournalRead::UpToDate => return changed,
                JournalRead::Overrun => changed.extend(self.names.keys()),
            }
        }
    }
}

fn compute_node(record: &HostRecord) -> ComputeNode {
    let HostRecord { host, node, uuid, cell_uuid, .. } = record;
    ComputeNode { host: host.clone(), node: node.clone(), uuid: *uuid, cell_uuid: Some(cell_uuid.clone()) }
}
