//! A bipartite matching of the remaining variables with providers, repaired after each choice.
//!
//! The matching assumes that each variable requests the smallest amount among them. A matching is
//! therefore necessary for the variables to fit, and sufficient if all of them request the same
//! amount.

use smallvec::{SmallVec, smallvec};

use super::assignment::{Numbers, Stock};
use super::bits::Bits;
use super::plan::{Contention, Plan};
use super::query::WorkExceeded;
use super::work::Work;

/// The provider of a variable that has chosen, is outside the contention, or is not matched yet.
const UNMATCHED: usize = usize::MAX;

/// A matching of one contention's variables with providers.
#[derive(Debug)]
pub(super) struct Matching {
    /// The provider of each variable of the plan.
    at: Numbers,
    /// The variables of each provider.
    with: SmallVec<[Bits; 3]>,
    /// Variables that lost their provider to the latest choice.
    unmatched: Numbers,
}

/// The inputs of a matching.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) plan: &'a Plan,
    pub(super) contention: &'a Contention,
    pub(super) stock: &'a Stock,
}

impl Terms<'_> {
    fn free(&self, pool: usize, place: usize) -> i64 {
        self.stock.free[pool * self.stock.len + place]
    }

    /// Whether the provider has enough free capacity for the variable in these pools. Variables
    /// outside this contention take from other pools only, and so cannot change the result.
    fn fits(&self, variable: usize, place: usize) -> bool {
        let need = |pool: usize| i64::from(self.plan.pools[pool].needs[variable]);
        self.contention.pools.iter().all(|&(pool, _)| need(pool) <= self.free(pool, place))
    }

    /// Whether the provider can serve this many of the contention's variables, each with the
    /// smallest amount.
    fn holds(&self, count: usize, place: usize) -> bool {
        let least =
            |smallest: u32| i64::from(smallest).saturating_mul(i64::try_from(count).unwrap_or(i64::MAX));
        self.contention.pools.iter().all(|&(pool, smallest)| least(smallest) <= self.free(pool, place))
    }
}

impl Matching {
    /// Returns `None` when no matching exists.
    pub(super) fn new(terms: Terms<'_>, work: &mut Work) -> Result<Option<Self>, WorkExceeded> {
        let variables = terms.plan.variables.len();
        let (at, with) = (smallvec![UNMATCHED; variables], smallvec![Bits::none(variables); terms.stock.len]);
        let unmatched = Numbers::from_slice(&terms.contention.variables);
        let mut matching = Self { at, with, unmatched };
        Ok(matching.match_all(terms, work)?.then_some(matching))
    }

    /// Records that a variable has chosen a provider; returns whether all others can still be
    /// matched.
    pub(super) fn assign(
        &mut self,
        terms: Terms<'_>,
        variable: usize,
        place: usize,
        work: &mut Work,
    ) -> Result<bool, WorkExceeded> {
        if self.at[variable] == UNMATCHED {
            return Ok(true);
        }
        self.remove(variable);
        let here = &self.with[place];
        self.unmatched.extend(here.iter().filter(|&other| !terms.fits(other, place)));
        let kept = here.len() - self.unmatched.len();
        let fitting = here.iter().filter(|&other| terms.fits(other, place));
        let too_many = (0..kept).take_while(|gone| !terms.holds(kept - gone, place));
        self.unmatched.extend(fitting.zip(too_many).map(|(other, _)| other));
        for left in 0..self.unmatched.len() {
            self.remove(self.unmatched[left]);
        }
        self.match_all(terms, work)
    }

    /// Reverts a variable's choice, and matches the variables that it had left without a provider.
    pub(super) fn unassign(
        &mut self,
        terms: Terms<'_>,
        variable: usize,
        place: usize,
        work: &mut Work,
    ) -> Result<(), WorkExceeded> {
        if self.at[variable] == UNMATCHED && terms.contention.variables.contains(&variable) {
            self.put(variable, place);
            let matched = self.match_all(terms, work)?;
            debug_assert!(matched, "they were matched before the choice");
        }
        Ok(())
    }

    /// Matches the unmatched variables; returns whether all of them have a provider.
    fn match_all(&mut self, terms: Terms<'_>, work: &mut Work) -> Result<bool, WorkExceeded> {
        while let Some(&variable) = self.unmatched.last() {
            let mut seen = Bits::none(terms.stock.len);
            if !self.augment(terms, variable, &mut seen, work)? {
                return Ok(false);
            }
            self.unmatched.pop();
        }
        Ok(true)
    }

    /// Finds a provider for the variable along an augmenting path, which moves other variables if
    /// necessary.
    fn augment(
        &mut self,
        terms: Terms<'_>,
        variable: usize,
        seen: &mut Bits,
        work: &mut Work,
    ) -> Result<bool, WorkExceeded> {
        work.spend()?;
        let domain = &terms.stock.domains[variable];
        let open = |place: &usize| terms.fits(variable, *place);
        let has_place = |place: &usize| terms.holds(self.with[*place].len() + 1, *place);
        if let Some(place) = domain.iter().filter(open).find(has_place) {
            self.put(variable, place);
            return Ok(true);
        }
        for place in domain.iter().filter(open) {
            if seen.contains(place) {
                continue;
            }
            seen.insert(place);
            for other in self.with[place].clone().iter() {
                if self.augment(terms, other, seen, work)? {
                    self.put(variable, place);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn put(&mut self, variable: usize, place: usize) {
        if self.at[variable] != UNMATCHED {
            self.remove(variable);
        }
        self.at[variable] = place;
        self.with[place].insert(variable);
    }

    fn remove(&mut self, variable: usize) {
        let place = std::mem::replace(&mut self.at[variable], UNMATCHED);
        self.with[place].remove(variable);
    }
}
