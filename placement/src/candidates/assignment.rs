//! Every way to choose a provider for each variable, found by backtracking.
//!
//! What several variables take from one provider has to fit together. Before a choice is kept, a matching shows that those
//! still to choose have somewhere to go ([`Matching`]), so dead ends are left before they are entered.

use smallvec::SmallVec;

use crate::ids::Row;

use super::bits::Bits;
use super::matching::{Matching, Terms};
use super::plan::Plan;
use super::query::WorkExceeded;
use super::restrictions::Domains;
use super::work::Work;

/// The providers of a tree's search, and which trees they are of.
#[derive(Debug)]
pub(super) struct Providers {
    pub(super) rows: SmallVec<[Row; 4]>,
    /// The root of each, if no candidate may take from two of one tree.
    pub(super) roots: SmallVec<[Row; 4]>,
    /// Those that other trees may see, too.
    pub(super) sharing: Bits,
}

/// Amounts, pool by pool a number for each provider; those of small trees take no heap.
pub(super) type Room = SmallVec<[i64; 6]>;

/// Numbers of variables or of providers.
pub(super) type Numbers = SmallVec<[usize; 3]>;

/// What is being chosen from, and how much is left of it.
#[derive(Debug)]
pub(super) struct Stock {
    pub(super) domains: Domains,
    /// What each provider may give to all variables together, less what has been chosen.
    pub(super) room: Room,
    /// How many providers there are.
    pub(super) len: usize,
}

impl Stock {
    /// Whether the provider has room for the variable.
    pub(super) fn fits(&self, plan: &Plan, variable: usize, place: usize) -> bool {
        let mut pools = plan.pools.iter().zip(self.room.chunks(self.len));
        pools.all(|(pool, room)| pool.needs[variable] == 0 || i64::from(pool.needs[variable]) <= room[place])
    }

    fn take(&mut self, plan: &Plan, variable: usize, place: usize, sign: i64) {
        for (pool, room) in plan.pools.iter().zip(self.room.chunks_mut(self.len)) {
            room[place] -= sign * i64::from(pool.needs[variable]);
        }
    }
}

/// The choices being tried.
#[derive(Debug)]
pub(super) struct Assignment {
    matchings: Vec<Matching>,
    /// Variables in the order in which they choose: those with the fewest providers first.
    order: Numbers,
    /// What has been chosen, in that order.
    chosen: Numbers,
    /// The next provider that the variable at the end may choose.
    next: usize,
}

impl Assignment {
    /// `None` when the variables cannot all have a provider. When all choices are done with, the stock is as it was.
    pub(super) fn new(plan: &Plan, stock: &Stock, work: &mut Work) -> Result<Option<Self>, WorkExceeded> {
        let mut order: Numbers = (0..stock.domains.len()).collect();
        order.sort_by_key(|&variable| stock.domains[variable].len());
        let mut matchings = Vec::with_capacity(plan.contentions.len());
        for contention in &plan.contentions {
            let terms = Terms { plan, contention, stock };
            let Some(matching) = Matching::new(terms, work)? else { return Ok(None) };
            matchings.push(matching);
        }
        let chosen = Numbers::with_capacity(order.len());
        Ok(Some(Self { matchings, order, chosen, next: 0 }))
    }

    /// The next choice for every variable, by variable.
    pub(super) fn next(
        &mut self,
        plan: &Plan,
        providers: &Providers,
        stock: &mut Stock,
        work: &mut Work,
    ) -> Result<bool, WorkExceeded> {
        if self.chosen.len() == self.order.len() && !self.step_back(plan, stock, work)? {
            return Ok(false);
        }
        while self.chosen.len() < self.order.len() {
            let variable = self.order[self.chosen.len()];
            let domain = &stock.domains[variable];
            let Some(place) = domain.next(self.next) else {
                if !self.step_back(plan, stock, work)? {
                    return Ok(false);
                }
                continue;
            };
            self.next = place + 1;
            work.spend()?;
            let keeps_flat = !plan.flat || self.keeps_flat(plan, providers, variable, place);
            if keeps_flat && stock.fits(plan, variable, place) {
                self.choose(plan, stock, (variable, place), work)?;
            }
        }
        Ok(true)
    }

    /// The choices: variable and provider.
    pub(super) fn choices(&self) -> impl Iterator<Item = (usize, usize)> {
        self.order.iter().copied().zip(self.chosen.iter().copied())
    }

    /// Whether the candidate would still take from one provider of each tree only.
    fn keeps_flat(&self, plan: &Plan, providers: &Providers, variable: usize, place: usize) -> bool {
        let takes = |variable: usize| !plan.variables[variable].takes.is_empty();
        let root = providers.roots[place];
        let clash = |(other, chosen)| takes(other) && chosen != place && providers.roots[chosen] == root;
        !takes(variable) || !self.choices().any(clash)
    }

    fn choose(
        &mut self,
        plan: &Plan,
        stock: &mut Stock,
        (variable, place): (usize, usize),
        work: &mut Work,
    ) -> Result<(), WorkExceeded> {
        stock.take(plan, variable, place, 1);
        self.chosen.push(place);
        self.next = 0;
        for (contention, matching) in plan.contentions.iter().zip(&mut self.matchings) {
            let terms = Terms { plan, contention, stock };
            if !matching.settle(terms, variable, place, work)? {
                self.step_back(plan, stock, work)?;
                break;
            }
        }
        Ok(())
    }

    /// Takes the last choice back; whether there was one.
    fn step_back(&mut self, plan: &Plan, stock: &mut Stock, work: &mut Work) -> Result<bool, WorkExceeded> {
        let Some(place) = self.chosen.pop() else { return Ok(false) };
        let variable = self.order[self.chosen.len()];
        stock.take(plan, variable, place, -1);
        for (contention, matching) in plan.contentions.iter().zip(&mut self.matchings) {
            let terms = Terms { plan, contention, stock };
            matching.unsettle(terms, variable, place, work)?;
        }
        self.next = place + 1;
        Ok(true)
    }
}
