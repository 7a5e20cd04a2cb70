//! Somewhere to go for every variable that has not chosen yet: a bipartite matching that is repaired after each choice.
//!
//! A provider takes as many of the variables as fit if each asked for as little as the most modest one. So a matching is
//! necessary for the variables to fit, and sufficient when they all ask for the same.

use smallvec::{SmallVec, smallvec};

use super::assignment::{Numbers, Stock};
use super::bits::Bits;
use super::plan::{Contention, Plan};
use super::query::WorkExceeded;
use super::work::Work;

/// The provider of a variable that has chosen, takes no part, or is still to be matched.
const NOWHERE: usize = usize::MAX;

/// A matching of one contention's variables with providers.
#[derive(Debug)]
pub(super) struct Matching {
    /// For each variable of the plan, its provider.
    at: Numbers,
    /// For each provider, its variables.
    with: SmallVec<[Bits; 3]>,
    /// Variables that the latest choice left without provider.
    homeless: Numbers,
}

/// What a matching is judged by.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) plan: &'a Plan,
    pub(super) contention: &'a Contention,
    pub(super) stock: &'a Stock,
}

impl Terms<'_> {
    fn room(&self, pool: usize, place: usize) -> i64 {
        self.stock.room[pool * self.stock.len + place]
    }

    /// Whether the provider has room for the variable in these pools. Other pools are for other matchings: what is taken from
    /// them by variables that are none of these must not change anything here.
    fn fits(&self, variable: usize, place: usize) -> bool {
        let need = |pool: usize| i64::from(self.plan.pools[pool].needs[variable]);
        self.contention.pools.iter().all(|&(pool, _)| need(pool) <= self.room(pool, place))
    }

    /// Whether the provider has room for so many of the contention's variables, if they are modest.
    fn holds(&self, count: usize, place: usize) -> bool {
        let least =
            |smallest: u32| i64::from(smallest).saturating_mul(i64::try_from(count).unwrap_or(i64::MAX));
        self.contention.pools.iter().all(|&(pool, smallest)| least(smallest) <= self.room(pool, place))
    }
}

impl Matching {
    /// `None` when there is none.
    pub(super) fn new(terms: Terms<'_>, work: &mut Work) -> Result<Option<Self>, WorkExceeded> {
        let variables = terms.plan.variables.len();
        let (at, with) = (smallvec![NOWHERE; variables], smallvec![Bits::none(variables); terms.stock.len]);
        let homeless = Numbers::from_slice(&terms.contention.variables);
        let mut matching = Self { at, with, homeless };
        Ok(matching.house(terms, work)?.then_some(matching))
    }

    /// A variable has chosen a provider: whether the others can still be matched.
    pub(super) fn settle(
        &mut self,
        terms: Terms<'_>,
        variable: usize,
        place: usize,
        work: &mut Work,
    ) -> Result<bool, WorkExceeded> {
        if self.at[variable] == NOWHERE {
            return Ok(true);
        }
        self.remove(variable);
        let here = &self.with[place];
        self.homeless.extend(here.iter().filter(|&other| !terms.fits(other, place)));
        let kept = here.len() - self.homeless.len();
        let fitting = here.iter().filter(|&other| terms.fits(other, place));
        let too_many = (0..kept).take_while(|gone| !terms.holds(kept - gone, place));
        self.homeless.extend(fitting.zip(too_many).map(|(other, _)| other));
        for left in 0..self.homeless.len() {
            self.remove(self.homeless[left]);
        }
        self.house(terms, work)
    }

    /// The variable takes its choice back: what could not be matched because of it can be, now.
    pub(super) fn unsettle(
        &mut self,
        terms: Terms<'_>,
        variable: usize,
        place: usize,
        work: &mut Work,
    ) -> Result<(), WorkExceeded> {
        if self.at[variable] == NOWHERE && terms.contention.variables.contains(&variable) {
            self.put(variable, place);
            let housed = self.house(terms, work)?;
            debug_assert!(housed, "they were matched before the choice");
        }
        Ok(())
    }

    /// Matches the homeless; whether that succeeds for all.
    fn house(&mut self, terms: Terms<'_>, work: &mut Work) -> Result<bool, WorkExceeded> {
        while let Some(&variable) = self.homeless.last() {
            let mut seen = Bits::none(terms.stock.len);
            if !self.augment(terms, variable, &mut seen, work)? {
                return Ok(false);
            }
            self.homeless.pop();
        }
        Ok(true)
    }

    /// Finds a provider for the variable, others moving on where they have to: an augmenting path.
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
        if self.at[variable] != NOWHERE {
            self.remove(variable);
        }
        self.at[variable] = place;
        self.with[place].insert(variable);
    }

    fn remove(&mut self, variable: usize) {
        let place = std::mem::replace(&mut self.at[variable], NOWHERE);
        self.with[place].remove(variable);
    }
}
