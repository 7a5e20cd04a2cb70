//! Ranks the hosts of a request, and generates candidates for the best ones only.

use std::cell::{Cell, RefCell};

use berth_placement::Index;
use rustc_hash::FxHashMap;

use super::eligible::{Eligible, Offer};
use super::places::Places;
use crate::filters::{RequestState, Scene, Step, Survivors};
use crate::hosts::{HostRow, HostTable};
use crate::ranked::Among;
use crate::select::{By, Chooser, HostOrder, SelectError, Sorted, by_driver, draw};
use crate::{Options, Preference, RankedHosts, RankedRequest};

/// The factor by which the number of hosts grows when none of those found could be claimed.
const GROWTH: usize = 4;

/// Searches of one decision that may reach their limit of steps. The hosts that are left have no
/// candidate then, so that no request can occupy a decider for long.
const MOST_EXCEEDED: usize = 64;

/// The order of hosts for one request: from the ranking, or else from a scan of all eligible hosts.
pub(super) struct Best<'a> {
    offers: Offers<'a>,
    ranked: &'a mut RankedHosts,
    request: Option<&'a mut RankedRequest>,
    preference: Preference,
    each_alone: bool,
    /// The hosts that were left for the previous instance, after a scan of all hosts.
    left: Option<Vec<HostRow>>,
}

impl<'a> Best<'a> {
    pub(super) fn new(
        (index, places): (&'a Index, &'a Places),
        (ranked, request): (&'a mut RankedHosts, Option<&'a mut RankedRequest>),
        eligible: &'a Eligible,
        preference: Preference,
        each_alone: bool,
    ) -> Self {
        let offers = Offers { index, places, eligible, known: RefCell::default(), exceeded: Cell::new(0) };
        Self { offers, ranked, request, preference, each_alone, left: None }
    }

    /// The `most` best hosts; `None` if only a scan of all hosts can determine them.
    fn best(&mut self, scene: &Scene<'_>, most: usize) -> Option<Vec<HostRow>> {
        let request = self.request.as_deref_mut().filter(|_| self.left.is_none())?;
        let eligible = self.offers.eligible;
        let is_host = |row| self.offers.is_host(row);
        let accepts: Option<&dyn Fn(HostRow) -> bool> =
            if eligible.is_exact() { None } else { Some(&is_host) };
        let among = Among { accepts, ..among(eligible) };
        Some(self.ranked.best_among(among, scene, request, most).ok()?.into_vec())
    }
}

/// The eligible hosts with enough free capacity, judged by one provider each.
const fn among(eligible: &Eligible) -> Among<'_> {
    let (need, version) = (eligible.need(), eligible.changes());
    Among { need, eligible: Some(eligible.mask()), version, accepts: None }
}

impl HostOrder for Best<'_> {
    fn sort(
        &mut self,
        scene: &Scene<'_>,
        index: usize,
        most: usize,
        state: &mut RequestState,
        chooser: &mut dyn Chooser,
    ) -> Result<Sorted, SelectError> {
        if let Some(mut rows) = self.best(scene, most) {
            let complete = rows.len() < most;
            if !rows.is_empty() {
                draw(&mut rows, scene.options.filter_scheduler.host_subset_size, chooser);
            }
            rows.iter().for_each(|&row| self.offers.give(row, state));
            return Ok(Sorted { rows, removed: None, complete });
        }
        // Filters that evaluate a request once depend on the hosts that they left.
        let (index, left) = if self.each_alone { (0, None) } else { (index, self.left.take()) };
        let rows = left.unwrap_or_else(|| self.offers.hosts(scene.hosts, self.ranked));
        let free = |row| self.ranked.free(row);
        let by = match self.preference {
            Preference::Weighers => By::Weighers,
            Preference::Policy(policy) => By::Policy(policy, &free),
        };
        let mut sorted = by_driver(by, scene, Survivors::ordered(rows), index, state, chooser)?;
        self.left = Some(sorted.rows.clone());
        let offered = (most + index).min(sorted.rows.len()); // each earlier instance may have filled a host
        sorted.complete = offered == sorted.rows.len();
        sorted.rows.truncate(offered);
        sorted.rows.iter().for_each(|&row| self.offers.give(row, state));
        Ok(sorted)
    }

    /// Counts eligible hosts with enough free capacity; empty where only the index knows these
    /// hosts.
    fn removed(&mut self, scene: &Scene<'_>) -> Vec<(Step, usize)> {
        let eligible = self.offers.eligible;
        let request = self.request.as_deref_mut().filter(|_| eligible.is_exact());
        let removed = request.map(|request| self.ranked.removed_among(&among(eligible), scene, request));
        removed.and_then(Result::ok).unwrap_or_default()
    }

    fn extend(&mut self, scene: &Scene<'_>, state: &mut RequestState, sorted: &mut Sorted) {
        let (known, most) = (sorted.rows.len(), sorted.rows.len() * GROWTH);
        let rows = match &self.left {
            Some(left) => left.iter().copied().take(most).collect(),
            None => self.best(scene, most).unwrap_or_default(),
        };
        sorted.complete = rows.len() < most;
        let new: Vec<HostRow> = rows.into_iter().filter(|row| !sorted.rows.contains(row)).collect();
        new.iter().for_each(|&row| self.offers.give(row, state));
        sorted.complete |= new.is_empty();
        sorted.rows.extend(new);
        debug_assert!(sorted.complete || sorted.rows.len() > known);
    }

    fn follow(&mut self, hosts: &HostTable, options: &Options, row: HostRow) {
        self.ranked.follow(hosts, options, row);
        // A policy ranks by free amounts, even if they are not exact.
        let is_by_free = self.preference != Preference::Weighers;
        if is_by_free || (self.each_alone && self.offers.eligible.is_exact()) {
            let need = self.offers.eligible.need();
            self.ranked.take(row, need); // before the next instance is ranked
        }
    }
}

/// The index's offers for hosts; each host is queried once.
struct Offers<'a> {
    index: &'a Index,
    places: &'a Places,
    eligible: &'a Eligible,
    known: RefCell<FxHashMap<HostRow, Offer>>,
    /// Searches that reached their limit.
    exceeded: Cell<usize>,
}

impl Offers<'_> {
    /// All eligible hosts, in row order.
    fn hosts(&self, hosts: &HostTable, ranked: &RankedHosts) -> Vec<HostRow> {
        let has_capacity = |row: &HostRow| {
            let free = ranked.free(*row);
            self.places.of(*row).is_some()
                && free.iter().zip(self.eligible.need()).all(|(free, need)| *free >= need)
        };
        let may = |row: &HostRow| self.eligible.mask().contains(row.slot()) && has_capacity(row);
        let is_host = |row: &HostRow| self.eligible.is_exact() || self.is_host(*row);
        hosts.rows().filter(may).filter(is_host).collect()
    }

    /// Whether the request's candidates take from the host's tree.
    fn is_host(&self, row: HostRow) -> bool {
        self.known.borrow_mut().entry(row).or_insert_with(|| self.ask(row)).is_host
    }

    /// Adds the host's candidate to the state, unless it has it already.
    fn give(&self, row: HostRow, state: &mut RequestState) {
        if !state.has(row) {
            let known = self.known.borrow().get(&row).cloned();
            let offer = known.unwrap_or_else(|| self.ask(row));
            state.give(row, offer.candidate.into_iter().collect());
        }
    }

    fn ask(&self, row: HostRow) -> Offer {
        let place = self.places.of(row).filter(|_| self.exceeded.get() < MOST_EXCEEDED);
        let Some(place) = place else { return Offer::default() };
        self.eligible.offer(self.index, place).unwrap_or_else(|incomplete| {
            self.exceeded.set(self.exceeded.get() + 1);
            incomplete
        })
    }
}
