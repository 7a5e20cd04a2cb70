//! Decisions on amounts alone: decides on a private view, claims on the shared index, and tries
//! again when others were faster.

use std::num::NonZeroUsize;
use std::sync::Arc;

use berth_placement::kernel::CLASSES;
use berth_placement::{ClaimError, ConsumerId, HostChange, Index, Row, View};
use lru::LruCache;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use crate::amounts::conflicts::Conflicts;
use crate::amounts::exhaustive::Exhaustive;
use crate::amounts::filter::has_others;
use crate::amounts::parts;
use crate::amounts::prepare::{Decided, Prepared};
use crate::amounts::request::Request;
use crate::policy::objective::{Extremes, Goal, Objective};
use crate::policy::{Policy, Rank};
use crate::ranking::cached_extremes::{CachedExtremes, Recheck};
use crate::ranking::forest::{Ask, Forest, Host};
use crate::ranking::kinds::{HostKind, Kinds};
use crate::ranking::order::{Coefficients, Order};
use crate::ranking::tuning::Tuning;

/// How often a placement looks for another host after losing one.
///
/// A claim is refused when the host changed after this decider's last look: another claim took the
/// capacity, or holds it for a moment, or its inventory was rewritten. Each refusal makes the
/// decider look again, so losing 16 times in a row takes 16 changes by others within one
/// placement's few microseconds: the fleet is then changing faster than one decider can follow, and
/// the caller should know.
const MAX_ATTEMPTS: usize = 16;

/// The most request classes a decider remembers ...
const MOST_CLASSES: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");
/// ... and the bytes their host masks may take, beyond which the least recently used are forgotten
/// ...
const CLASS_BYTES: usize = 64 << 20;
/// ... but not below this many.
const FEWEST_CLASSES: usize = 256;

/// Blocks of 64 hosts up to which first-fit searches by row. In order of row, a node's largest
/// amounts are of different hosts and promise what none of them has; in a large fleet that costs
/// more than keeping the hosts in order of free capacity. (Measured on the reference workloads:
/// 10,000 hosts are faster by row, 100,000 six times slower.)
const MOST_BLOCKS_BY_ROW: usize = 256;

/// How the best host is found. The answer is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Search {
    /// By the ranking: looks at a few blocks of hosts.
    #[default]
    Ranked,
    /// By column passes over all hosts.
    Exhaustive,
}

/// No host satisfies the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no valid host was found")]
pub struct NoValidHost;

/// Why a VM was not placed; nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No host satisfies the request.
    #[error(transparent)]
    NoValidHost(#[from] NoValidHost),
    /// Every host chosen was taken by others first.
    #[error("{attempts} hosts in a row were taken by others first")]
    Outrun {
        /// How many hosts were tried.
        attempts: usize,
    },
    /// The VM is placed already.
    #[error("consumer {:032x} has allocations already", .0.0)]
    ConsumerExists(ConsumerId),
}

/// Counts of a decider's work so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Claims lost to other deciders.
    pub conflicts: u64,
    /// Requests whose class was known.
    pub class_hits: u64,
    /// Requests whose class had to be compiled.
    pub class_misses: u64,
    /// Weighted searches.
    pub searches: u64,
    /// Leaves of the ranking they opened.
    pub leaves_opened: u64,
    /// Bytes of summaries and leaves they looked at.
    pub bytes_looked_at: u64,
    /// How often the hosts were ranked again to shorten them.
    pub rankings: u64,
}

/// A decider over an index. Any number of them may work side by side, each on a thread of its own.
pub struct AmountEngine {
    core: Core,
    classes: Classes,
}

type Classes = LruCache<Request, Prepared, FxBuildHasher>;

impl AmountEngine {
    /// A decider that looks for the best host by `objective`.
    ///
    /// # Panics
    /// When a multiplier of the objective is not finite.
    #[must_use]
    pub fn new(index: Arc<Index>, objective: impl Into<Objective>, search: Search) -> Self {
        let objective = objective.into();
        if let Objective::Weigh(weights) = objective {
            assert!(weights.multipliers.iter().all(|m| m.is_finite()), "multipliers are finite: {weights:?}");
        }
        let view = View::new(&index);
        let (kinds, named) = (Kinds::default(), Kinds::default());
        let forest = forest_of(order_for(objective, &view), &view, &kinds);
        let (conflicts, statistics) = (Conflicts::new(1), Statistics::default());
        let (tuning, epoch) = (Tuning::default(), 0);
        let core = Core {
            index,
            view,
            forest,
            epoch,
            kinds,
            named,
            objective,
            search,
            tuning,
            conflicts,
            statistics,
        };
        Self { core, classes: LruCache::with_hasher(MOST_CLASSES, FxBuildHasher) }
    }

    /// Lets the decider choose among up to `hosts` of the best, 64 at most, while it loses many
    /// claims to others.
    #[must_use]
    pub fn spreading(mut self, hosts: usize) -> Self {
        self.core.conflicts = Conflicts::new(hosts.max(1));
        self
    }

    /// Compiles a request once for many placements.
    #[must_use]
    pub fn prepare(&mut self, request: Request) -> Prepared {
        self.core.refresh();
        self.core.compile(request)
    }

    /// The best host for the request at this moment. Takes nothing.
    ///
    /// # Errors
    /// No host satisfies it.
    #[inline]
    pub fn decide(&mut self, prepared: &mut Prepared) -> Result<Row, NoValidHost> {
        self.core.decide(prepared)
    }

    /// The `most` best hosts for the request at this moment, best first. Takes nothing.
    #[must_use]
    pub fn best(&mut self, prepared: &mut Prepared, most: usize) -> Vec<Row> {
        self.core.refresh();
        prepared.renew(&self.core.view);
        self.core.search(prepared, most).into_vec()
    }

    /// Places a VM: decides, claims, and on a lost race decides again.
    ///
    /// # Errors
    /// No host satisfies the request, too many races were lost, or the consumer has allocations
    /// already.
    #[inline]
    pub fn place(&mut self, consumer: ConsumerId, prepared: &mut Prepared) -> Result<Row, PlaceError> {
        self.core.place(consumer, prepared)
    }

    /// [`Self::place`] for a request that may have come before: what was compiled for it then is
    /// used again.
    ///
    /// # Errors
    /// As [`Self::place`].
    pub fn place_request(&mut self, consumer: ConsumerId, request: &Request) -> Result<Row, PlaceError> {
        let prepared = self.core.class_of(&mut self.classes, request);
        self.core.place(consumer, prepared)
    }

    /// [`Self::decide`] for a request that may have come before.
    ///
    /// # Errors
    /// As [`Self::decide`].
    pub fn decide_request(&mut self, request: &Request) -> Result<Row, NoValidHost> {
        let prepared = self.core.class_of(&mut self.classes, request);
        self.core.decide(prepared)
    }

    /// Releases what an instance holds.
    pub(crate) fn release(&self, instance: ConsumerId) {
        // Another client may have released it since.
        let _ = self.core.index.release(instance);
    }

    /// The decider's view of the fleet, as of its last decision.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.core.view
    }

    /// Counts of the decider's work so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.core.statistics
    }

    /// Compares view and ranking with the index. For a moment without changes.
    ///
    /// # Errors
    /// A description of the difference.
    pub fn check(&mut self) -> Result<(), String> {
        self.core.refresh();
        self.core.view.check(&self.core.index)?;
        let kinds = self.core.kinds.of_all(&self.core.view);
        self.core.forest.check(hosts(&self.core.view, &kinds))
    }
}

/// Everything but the request classes.
struct Core {
    index: Arc<Index>,
    view: View,
    forest: Forest<CLASSES>,
    /// How often the forest was rebuilt.
    epoch: u64,
    /// The properties that distinguish hosts in the forest, and those that will when it is built
    /// again.
    kinds: Kinds,
    named: Kinds,
    objective: Objective,
    search: Search,
    tuning: Tuning,
    conflicts: Conflicts,
    statistics: Statistics,
}

impl Core {
    #[inline]
    fn refresh(&mut self) {
        self.view.refresh(&self.index, |view, change| follow(&mut self.forest, &self.kinds, view, change));
        if self.forest.is_overgrown() {
            self.rerank(order_for(self.objective, &self.view));
        }
    }

    fn rerank(&mut self, order: Order<CLASSES>) {
        self.kinds.clone_from(&self.named);
        self.forest = forest_of(order, &self.view, &self.kinds);
        self.epoch += 1;
    }

    fn look_again(&mut self, row: Row) {
        self.view.touch(&self.index, row, |view, change| follow(&mut self.forest, &self.kinds, view, change));
    }

    fn compile(&mut self, request: Request) -> Prepared {
        self.named.name(&request, self.view.topology());
        Prepared::new(request, &self.view)
    }

    fn class_of<'a>(&mut self, classes: &'a mut Classes, request: &Request) -> &'a mut Prepared {
        let known = classes.contains(request);
        self.statistics.class_hits += u64::from(known);
        self.statistics.class_misses += u64::from(!known);
        let mask_bytes = self.view.hosts().len() * 8;
        while !known && classes.len() > FEWEST_CLASSES && classes.len() * mask_bytes > CLASS_BYTES {
            classes.pop_lru();
        }
        classes.get_or_insert_mut_ref(request, || {
            self.refresh();
            self.compile(request.clone())
        })
    }

    #[inline]
    fn decide(&mut self, prepared: &mut Prepared) -> Result<Row, NoValidHost> {
        self.refresh();
        prepared.renew(&self.view);
        let (changes, gains) = (self.view.changes(), self.view.gains());
        // Requests for other classes are not remembered: the view does not follow those.
        match prepared.decided {
            Decided::Host { row, changes: at } if at == changes => return Ok(row),
            Decided::NoHost { gains: at } if at == gains => return Err(NoValidHost),
            _ => {}
        }
        let best = self.search_best(prepared);
        if prepared.others().is_empty() {
            prepared.decided = match best {
                Some(row) => Decided::Host { row, changes },
                None => Decided::NoHost { gains },
            };
        }
        best.ok_or(NoValidHost)
    }

    #[inline]
    fn place(&mut self, consumer: ConsumerId, prepared: &mut Prepared) -> Result<Row, PlaceError> {
        for _ in 0..MAX_ATTEMPTS {
            let row = self.choose(consumer, prepared)?;
            let claimed = self.index.claim(consumer, &prepared.allocations(row));
            match claimed {
                Ok(()) => {
                    self.conflicts.count(false);
                    return Ok(row);
                }
                Err(ClaimError::ConsumerExists(consumer)) => {
                    return Err(PlaceError::ConsumerExists(consumer));
                }
                Err(ClaimError::Refused(_)) => {
                    self.conflicts.count(true);
                    self.statistics.conflicts += 1;
                    prepared.decided = Decided::Nothing;
                    self.look_again(row);
                }
            }
        }
        Err(PlaceError::Outrun { attempts: MAX_ATTEMPTS })
    }

    /// The best host, or one of the best while many claims are lost.
    #[inline]
    fn choose(&mut self, consumer: ConsumerId, prepared: &mut Prepared) -> Result<Row, NoValidHost> {
        let width = self.conflicts.width();
        if width == 1 {
            return self.decide(prepared);
        }
        self.refresh();
        prepared.renew(&self.view);
        let hosts = self.search(prepared, width);
        let chosen = (!hosts.is_empty()).then(|| hosts[Conflicts::choose(consumer, hosts.len())]);
        chosen.ok_or(NoValidHost)
    }

    #[inline]
    fn search_best(&mut self, prepared: &mut Prepared) -> Option<Row> {
        if prepared.has_no_host() {
            return None;
        }
        if let (Search::Ranked, Objective::Policy(_)) = (self.search, self.objective)
            && !self.forest.finds_by_row()
        {
            prepared.open_in(&self.forest, self.epoch, &self.kinds, &self.view);
            if prepared.eligible().is_none() && prepared.others().is_empty() {
                let ask = Ask { need: prepared.need(), open: prepared.open(), acceptable: |_| true };
                return self.forest.best(ask).map(Rank::row);
            }
            return self.forest.best(ask(&self.index, prepared)).map(Rank::row);
        }
        self.search(prepared, 1).first().copied()
    }

    fn search(&mut self, prepared: &mut Prepared, most: usize) -> SmallVec<[Row; 4]> {
        if prepared.has_no_host() {
            return SmallVec::new();
        }
        prepared.open_in(&self.forest, self.epoch, &self.kinds, &self.view);
        let mut cached = prepared.cached;
        let found = self.search_in_open(prepared, &mut cached, most);
        prepared.cached = cached;
        found
    }

    fn search_in_open(
        &mut self,
        prepared: &Prepared,
        cached: &mut CachedExtremes<CLASSES>,
        most: usize,
    ) -> SmallVec<[Row; 4]> {
        match (self.search, self.objective) {
            (Search::Ranked, Objective::Policy(_)) if self.forest.finds_by_row() => {
                self.forest.lowest_rows(ask(&self.index, prepared), most).into_rows()
            }
            (Search::Ranked, Objective::Policy(_)) => {
                self.forest.first(ask(&self.index, prepared), most).into_iter().map(Rank::row).collect()
            }
            (Search::Ranked, Objective::Weigh(weights)) => {
                let recheck = Recheck { cached, amounts: |row| self.view.host(row) };
                let ask = ask(&self.index, prepared);
                let found = self.forest.highest(ask, &weights.into(), recheck, most);
                self.statistics.searches += 1;
                self.statistics.leaves_opened += found.effort as u64;
                self.statistics.bytes_looked_at += found.bytes as u64;
                if let Some(order) = found.ideal
                    && self.tuning.is_due(found.effort, self.view.blocks().len())
                {
                    self.rerank(order);
                    self.statistics.rankings += 1;
                }
                found.best.into_rows()
            }
            (Search::Exhaustive, Objective::Policy(policy)) => {
                self.exhaustive(prepared).lowest(policy, most).into()
            }
            (Search::Exhaustive, Objective::Weigh(weights)) => {
                self.exhaustive(prepared).highest(weights, most).into_rows()
            }
        }
    }

    fn exhaustive<'a>(&'a self, prepared: &'a Prepared) -> Exhaustive<'a> {
        let split_from = parts::SPLIT_FROM;
        Exhaustive { index: &self.index, view: &self.view, prepared, split_from }
    }
}

/// The order in which hosts are best kept for an objective.
fn order_for(objective: Objective, view: &View) -> Order<CLASSES> {
    match objective {
        Objective::Policy(Policy::FirstFit) if view.blocks().len() > MOST_BLOCKS_BY_ROW => Order::Capacity,
        Objective::Policy(policy) => Order::Policy(policy),
        Objective::Weigh(weights) => {
            let mut extremes = Extremes::NONE;
            view.iter().for_each(|(_, free)| extremes.add(free));
            Order::Linear(Coefficients::of(&Goal::new(&weights.into(), &extremes)))
        }
    }
}

fn forest_of(order: Order<CLASSES>, view: &View, kinds: &Kinds) -> Forest<CLASSES> {
    Forest::new(order, hosts(view, &kinds.of_all(view)))
}

/// The view's hosts, in order of row.
fn hosts<'a>(view: &'a View, kinds: &'a [HostKind]) -> impl Iterator<Item = Host<CLASSES>> + Clone + 'a {
    view.iter().map(|(row, free)| (row, kinds[row.index()], free))
}

/// Moves a host that changed.
#[inline]
fn follow(forest: &mut Forest<CLASSES>, kinds: &Kinds, view: &View, change: HostChange) {
    let HostChange { row, before, after, layout } = change;
    let same_kind = before.is_some() && after.is_some() && !layout;
    forest.update(row, before, after, (!same_kind).then(|| kinds.of(view, row)));
}

/// The requirements of a request, as those of a search.
#[inline]
fn ask<'a>(index: &'a Index, prepared: &'a Prepared) -> Ask<'a, impl Fn(Row) -> bool + 'a> {
    let (eligible, others) = (prepared.eligible(), prepared.others());
    let acceptable = move |row| {
        eligible.is_none_or(|mask| mask.contains(row))
            && (others.is_empty() || has_others(index, prepared, row))
    };
    Ask { need: prepared.need(), open: prepared.open(), acceptable }
}
