//! Decides by a rule on a private view, and claims on the index.

use std::sync::Arc;

use berth_placement::{ClaimError, ConsumerId, HOST_CLASSES, HostFree, Index, Row, View};
use rustc_hash::FxHashMap;

use crate::amounts::engine::{NoValidHost, PlaceError};
use crate::amounts::exhaustive::Exhaustive;
use crate::amounts::prepare::Prepared;
use crate::amounts::request::Request;
use crate::mask::{lanes, row_at};
use crate::packing::model::LifetimeModel;
use crate::packing::outlook::{Future, Outlook};
use crate::packing::slots::SlotCosts;
use crate::policy::{Policy, Rank};

/// How often a placement looks for another host after losing one to another decider.
const MAX_ATTEMPTS: usize = 16;
/// Requests that are kept prepared.
const MOST_PREPARED: usize = 1024;
/// What an empty host's slots count, in hours of a host, beside lifetimes.
const SLOT_HOURS: f32 = 2.0;

/// What makes a host the best one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PackingRule {
    /// Instances that end together share hosts.
    Lifetimes,
    /// Capacity stays usable for the shapes that are requested.
    Shapes,
}

/// A request for one instance.
#[derive(Debug, Clone, Copy)]
pub struct PackingRequest {
    /// The instance.
    pub instance: ConsumerId,
    /// vCPUs, memory in MiB and disk in GB.
    pub amounts: [u32; 3],
    /// How many seconds the instance is predicted to live from now on; `None` without a prediction.
    pub lifetime_s: Option<f64>,
    /// The time, in seconds since any origin; it never goes back.
    pub now_s: f64,
}

/// A decider that packs by a rule. It follows the index, but it has to be informed of every
/// instance that it placed and that leaves.
pub struct PackingEngine {
    index: Arc<Index>,
    view: View,
    prepared: FxHashMap<[u32; 3], Prepared>,
    /// By row.
    hosts: Vec<HostState>,
    slots: SlotCosts,
    rule: State,
}

#[derive(Debug, Clone, Default)]
struct HostState {
    capacity: HostFree,
    instances: u32,
}

enum State {
    Lifetimes(Box<Lifetimes>),
    Shapes,
}

struct Lifetimes {
    model: LifetimeModel,
    future: Future,
    outlooks: Vec<Outlook>,
}

impl PackingEngine {
    /// A decider for the hosts of the index.
    #[must_use]
    pub fn new(index: Arc<Index>, rule: PackingRule) -> Self {
        let view = View::new(&index);
        let rule = match rule {
            PackingRule::Lifetimes => State::Lifetimes(Box::new(Lifetimes {
                model: LifetimeModel::default(),
                future: Future::new(),
                outlooks: Vec::new(),
            })),
            PackingRule::Shapes => State::Shapes,
        };
        let (prepared, hosts, slots) = (FxHashMap::default(), Vec::new(), SlotCosts::default());
        let mut engine = Self { index, view, prepared, hosts, slots, rule };
        let rows: Vec<Row> = engine.view.iter().map(|(row, _)| row).collect();
        rows.into_iter().for_each(|row| engine.host_changed(row));
        engine
    }

    /// Places an instance on the best host.
    ///
    /// # Errors
    /// No host has the amounts, too many were taken by others first, or the instance has
    /// allocations already.
    pub fn place(&mut self, request: &PackingRequest) -> Result<Row, PlaceError> {
        self.refresh();
        if self.prepared.len() > MOST_PREPARED {
            self.prepared.clear();
        }
        let mut prepared = self.prepared.remove(&request.amounts).unwrap_or_else(|| {
            let [vcpus, memory_mb, disk_gb] = request.amounts;
            Prepared::new(Request::of(vcpus, memory_mb, disk_gb), &self.view)
        });
        let placed = self.claim_best(request, &mut prepared);
        self.prepared.insert(request.amounts, prepared);
        if let Ok(row) = placed {
            self.placed(request, row);
        }
        placed
    }

    fn claim_best(&mut self, request: &PackingRequest, prepared: &mut Prepared) -> Result<Row, PlaceError> {
        for _ in 0..MAX_ATTEMPTS {
            prepared.renew(&self.view);
            let row = self.best(request, prepared).ok_or(NoValidHost)?;
            match self.index.claim(request.instance, &prepared.allocations(row)) {
                Ok(()) => return Ok(row),
                Err(ClaimError::ConsumerExists(instance)) => {
                    return Err(PlaceError::ConsumerExists(instance));
                }
                Err(ClaimError::Refused(_)) => {
                    self.refresh();
                    self.view.touch(&self.index, row, |_, _| ());
                    self.host_changed(row);
                }
            }
        }
        Err(PlaceError::Outrun { attempts: MAX_ATTEMPTS })
    }

    /// Adds an instance that has its allocations on the host already, from before the first
    /// request.
    pub fn adopt(&mut self, request: &PackingRequest, row: Row) {
        self.placed(request, row);
    }

    fn placed(&mut self, request: &PackingRequest, row: Row) {
        self.hosts[row.index()].instances += 1;
        if let State::Lifetimes(lifetimes) = &mut self.rule {
            let Lifetimes { model, future, outlooks } = &mut **lifetimes;
            let lifetime = model.lifetime(request.lifetime_s);
            let of = (request.lifetime_s, lifetime);
            outlooks[row.index()].add(future, request.instance, request.now_s, of);
        }
    }

    /// Records that an instance left its host, after its claim was released. `has_ended` is false
    /// if it only moves: how long it was there says nothing about how long instances live.
    pub fn departed(&mut self, instance: ConsumerId, row: Row, now_s: f64, has_ended: bool) {
        let host = &mut self.hosts[row.index()];
        host.instances = host.instances.saturating_sub(1);
        if let State::Lifetimes(lifetimes) = &mut self.rule {
            let left = lifetimes.outlooks[row.index()].remove(instance, now_s);
            if let Some(left) = left.filter(|_| has_ended) {
                lifetimes.model.observe(left.lived, left.predicted, None);
            }
        }
    }

    fn refresh(&mut self) {
        let mut changed = Vec::new();
        self.view.refresh(&self.index, |_, change| changed.push(change.row));
        changed.into_iter().for_each(|row| self.host_changed(row));
    }

    fn host_changed(&mut self, row: Row) {
        let Self { index, view, hosts, slots, rule, .. } = self;
        let free = view.host(row).unwrap_or_default();
        if hosts.len() <= row.index() {
            hosts.resize(row.index() + 1, HostState::default());
        }
        let host = &mut hosts[row.index()];
        host.capacity = std::array::from_fn(|class| {
            let used = index.used(row, HOST_CLASSES[class]);
            i32::try_from(i64::from(free[class]).saturating_add(used).max(0)).unwrap_or(i32::MAX)
        });
        slots.update(row, host.capacity, free);
        if let State::Lifetimes(lifetimes) = rule {
            lifetimes.outlooks.resize_with(hosts.len(), Outlook::default);
        }
    }

    /// The best host; one without instances only if no other has the amounts. Equal costs go to the
    /// lowest row. While predictions of lifetimes are useless, this is best fit.
    fn best(&mut self, request: &PackingRequest, prepared: &Prepared) -> Option<Row> {
        let search = Exhaustive { index: &self.index, view: &self.view, prepared, split_from: usize::MAX };
        let words = search.survivors(0..self.view.blocks().len()).words;
        let rows = || {
            let blocks = words.iter().enumerate();
            blocks.flat_map(|(block, &word)| lanes(word).map(move |lane| row_at(block, lane)))
        };
        let (view, hosts) = (&self.view, &self.hosts);
        let rank = |row: Row| Policy::BestFit.rank(view.host(row).unwrap_or_default(), row);
        let in_use = |row: &Row| hosts[row.index()].instances > 0;
        let slots = self.slots.of(prepared.need().map(|need| need.max(0)));
        let best = match &mut self.rule {
            State::Shapes => least(rows().filter(in_use).map(|row| (slots[row.index()], row))),
            State::Lifetimes(lifetimes) => {
                let confidence = lifetimes.model.confidence() as f32;
                if confidence == 0.0 {
                    rows().map(rank).min().map(Rank::row)
                } else {
                    let Lifetimes { model, future, outlooks } = &mut **lifetimes;
                    let cost = future.cost(&model.lifetime(request.lifetime_s));
                    least(rows().filter(in_use).map(|row| {
                        let outlook = &mut outlooks[row.index()];
                        outlook.follow(future, request.now_s);
                        (confidence * cost.on(outlook) + SLOT_HOURS * slots[row.index()], row)
                    }))
                }
            }
        };
        best.or_else(|| rows().map(rank).min().map(Rank::row))
    }

    /// Compares the view with the index, and the hosts with the instances on them. For a moment
    /// without changes.
    ///
    /// # Errors
    /// What differs.
    pub fn check(&mut self) -> Result<(), String> {
        self.refresh();
        self.view.check(&self.index)?;
        let State::Lifetimes(lifetimes) = &self.rule else { return Ok(()) };
        for (row, (host, outlook)) in self.hosts.iter().zip(&lifetimes.outlooks).enumerate() {
            if (host.instances == 0) != outlook.is_empty() {
                return Err(format!("row {row}: {} instances differ from the outlook", host.instances));
            }
        }
        Ok(())
    }
}

/// The row with the least cost; the lowest of those with the same.
fn least(costs: impl Iterator<Item = (f32, Row)>) -> Option<Row> {
    costs.reduce(|best, next| if next.0 < best.0 { next } else { best }).map(|(_, row)| row)
}
