//! What makes a host the best one.

use berth_placement::HostFree;
use berth_placement::kernel::{CLASSES, Term, weighed};

use crate::policy::Policy;

/// How hosts with enough room are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Objective {
    /// An order that does not depend on the other hosts.
    Policy(Policy),
    /// A weighted sum of normalised free amounts, as Nova's filter scheduler has it.
    Weigh(Weights),
}

impl From<Policy> for Objective {
    fn from(policy: Policy) -> Self {
        Self::Policy(policy)
    }
}

impl From<Weights> for Objective {
    fn from(weights: Weights) -> Self {
        Self::Weigh(weights)
    }
}

/// Multipliers of the free amounts of vCPU, memory and disk.
///
/// A host's score is the sum, in this order, of `multiplier * ((free - low) / (high - low))`. `high` is the largest free
/// amount among the hosts that satisfy the request, `low` the smallest or 0, whichever is less; where the two are equal,
/// the class counts 0. The highest score is the best host, equal scores go to the lowest row. (Nova, "Filter
/// Scheduler", weights; its RAM, CPU and disk weighers start their range at 0.)
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// One per host class. Positive spreads, negative packs.
    pub multipliers: [f64; CLASSES],
}

impl Default for Weights {
    /// Nova's: each counts 1, so VMs are spread.
    fn default() -> Self {
        Self { multipliers: [1.0; CLASSES] }
    }
}

/// The smallest and largest free amounts of each class among the hosts that satisfy a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extremes {
    pub(crate) low: HostFree,
    pub(crate) high: HostFree,
}

impl Extremes {
    /// Of no hosts.
    pub(crate) const NONE: Self = Self { low: [0; CLASSES], high: [i32::MIN; CLASSES] };

    /// Takes in one host.
    #[inline]
    pub(crate) fn add(&mut self, free: HostFree) {
        for (class, amount) in free.map(weighed).into_iter().enumerate() {
            self.low[class] = self.low[class].min(amount);
            self.high[class] = self.high[class].max(amount);
        }
    }
}

/// A score as a function of free amounts, for one request at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    pub(crate) terms: [Term; CLASSES],
    /// What a unit of each class adds to the score.
    rates: [f64; CLASSES],
}

impl Goal {
    fn of(terms: [Term; CLASSES]) -> Self {
        let rates = terms.map(|term| if term.range == 0.0 { 0.0 } else { term.multiplier / term.range });
        Self { terms, rates }
    }

    pub(crate) fn new(weights: Weights, extremes: Extremes) -> Self {
        let term = |class: usize| {
            let (low, high) = (f64::from(extremes.low[class]), f64::from(extremes.high[class]));
            Term { multiplier: weights.multipliers[class], low, range: high - low }
        };
        Self::of([term(0), term(1), term(2)])
    }

    /// The free amount of one class itself (`sign` 1), or its negative (−1).
    pub(crate) fn of_one(class: usize, sign: f64) -> Self {
        let term = |c: usize| Term { multiplier: if c == class { sign } else { 0.0 }, low: 0.0, range: 1.0 };
        Self::of([term(0), term(1), term(2)])
    }

    /// What a unit of each class adds to the score.
    pub(crate) const fn rates(&self) -> [f64; CLASSES] {
        self.rates
    }

    /// A score that is cheaper by three divisions, and no further from the exact one than [`Self::error`].
    #[inline]
    pub(crate) fn estimate(&self, free: HostFree) -> f64 {
        self.rates
            .iter()
            .zip(&self.terms)
            .zip(free)
            .fold(0.0, |score, ((rate, term), amount)| score + rate * (f64::from(weighed(amount)) - term.low))
    }

    /// How far off an estimate can be, many times over; rates too small to be normal numbers have an absolute error.
    #[inline]
    pub(crate) fn error(&self) -> f64 {
        1e-9 * self.terms.iter().map(|term| term.multiplier.abs()).sum::<f64>() + 1e-300
    }

    /// The score of a host.
    #[inline]
    pub(crate) fn score(&self, free: HostFree) -> f64 {
        self.terms.iter().zip(free).fold(0.0, |score, (term, amount)| score + term.of(weighed(amount)))
    }
}
