//! Enumerates every way to choose a provider for each variable, by backtracking.
//!
//! The amounts that several variables take from one provider have to fit together. Before the
//! search keeps a choice, a matching ([`Matching`]) shows that every remaining variable still has a
//! provider. The search therefore never enters a dead end.

use smallvec::SmallVec;

use crate::ids::Row;

use super::bits::Bits;
use super::matching::{Matching, Terms};
use super::plan::Plan;
use super::query::WorkExceeded;
use super::restrictions::Domains;
use super::work::Work;

/// The providers that one tree's search considers, and the trees they belong to.
#[derive(Debug)]
pub(super) struct Providers {
    pub(super) rows: SmallVec<[Row; 4]>,
    /// The root of each provider, if a candidate may take from only one provider per tree.
    pub(super) roots: SmallVec<[Row; 4]>,
    /// Providers that are visible from other trees as well.
    pub(super) sharing: Bits,
}

/// Free amounts: for each pool, one number per provider. Small trees need no heap allocation.
pub(super) type FreeAmounts = SmallVec<[i64; 6]>;

/// Numbers of variables or of providers.
pub(super) type Numbers = SmallVec<[usize; 3]>;

/// The providers that variables may choose, and their remaining amounts.
#[derive(Debug)]
pub(super) struct Stock {
    pub(super) domains: Domains,
    /// The amount that each provider can serve all variables together, less the chosen amounts.
    pub(super) free: FreeAmounts,
    /// The number of providers.
    pub(super) len: usize,
}

impl Stock {
    /// Whether the provider has enough free capacity for the variable.
    pub(super) fn fits(&self, plan: &Plan, variable: usize, place: usize) -> bool {
        let mut pools = plan.pools.iter().zip(self.free.chunks(self.len));
        pools.all(|(pool, free)| pool.needs[variable] == 0 || i64::from(pool.needs[variable]) <= free[place])
    }

    fn take(&mut self, plan: &Plan, variable: usize, place: usize, sign: i64) {
        for (pool, free) in plan.pools.iter().zip(self.free.chunks_mut(self.len)) {
            free[place] -= sign * i64::from(pool.needs[variable]);
        }
    }
}

/// The state of the backtracking search.
#[derive(Debug)]
pub(super) struct Assignment {
    matchings: Vec<Matching>,
    /// Variables in the order in which they choose: those with the fewest providers choose first.
    order: Numbers,
    /// The chosen providers, in that order.
    chosen: Numbers,
    /// The next provider for the last variable to try.
    next: usize,
}

impl Assignment {
    /// Returns `None` if no matching exists. After the last choice, the stock has its initial
    /// amounts.
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

    /// Returns the next choice, as a provider for each variable.
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

    /// Whether the candidate still takes from only one provider of each tree.
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
            if !matching.assign(terms, variable, place, work)? {
                self.step_back(plan, stock, work)?;
                break;
            }
        }
        Ok(())
    }

    /// Reverts the last choice; returns whether there was one.
    fn step_back(&mut self, plan: &Plan, stock: &mut Stock, work: &mut Work) -> Result<bool, WorkExceeded> {
        let Some(place) = self.chosen.pop() else { return Ok(false) };
        let variable = self.order[self.chosen.len()];
        stock.take(plan, variable, place, -1);
        for (contention, matching) in plan.contentions.iter().zip(&mut self.matchings) {
            let terms = Terms { plan, contention, stock };
            matching.unassign(terms, variable, place, work)?;
        }
        self.next = place + 1;
        Ok(true)
    }
}
