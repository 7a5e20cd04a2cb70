//! The criteria for the best host.

use berth_placement::kernel::{CLASSES, Term, weighed};

use crate::policy::Policy;

/// How hosts with enough free capacity are compared.
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
/// A host's score is the sum, in this order, of `multiplier * ((free - low) / (high - low))`.
/// `high` is the largest free amount among the hosts that satisfy the request, `low` the smallest
/// or 0, whichever is less; where the two are equal, the class counts 0. The highest score is the
/// best host, equal scores go to the lowest row. (Nova, "Filter Scheduler", weights; its RAM, CPU
/// and disk weighers start their range at 0.)
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

/// The start of a column's range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Low {
    /// At 0, or at the smallest amount if that is less.
    AtMostZero,
    /// At 0; no amount is less.
    Zero,
    /// At the smallest amount.
    Smallest,
}

/// How columns make a score: a multiplier and the low end of the range for each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weighing<const N: usize> {
    pub(crate) multipliers: [f64; N],
    pub(crate) lows: [Low; N],
}

impl From<Weights> for Weighing<CLASSES> {
    fn from(Weights { multipliers }: Weights) -> Self {
        Self { multipliers, lows: [Low::AtMostZero; CLASSES] }
    }
}

/// The smallest and largest amounts of each column among the hosts that satisfy a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extremes<const N: usize> {
    pub(crate) low: [i32; N],
    pub(crate) high: [i32; N],
}

impl<const N: usize> Extremes<N> {
    /// Of no hosts.
    pub(crate) const NONE: Self = Self { low: [0; N], high: [i32::MIN; N] };

    /// Adds one host.
    #[inline]
    pub(crate) fn add(&mut self, free: [i32; N]) {
        for (column, amount) in free.map(weighed).into_iter().enumerate() {
            self.low[column] = self.low[column].min(amount);
            self.high[column] = self.high[column].max(amount);
        }
    }

    /// Adds some hosts, whose amounts of one column have this range.
    #[inline]
    pub(crate) fn widen(&mut self, column: usize, (low, high): (i32, i32)) {
        self.low[column] = self.low[column].min(low);
        self.high[column] = self.high[column].max(high);
    }

    /// Of the hosts of both.
    pub(crate) fn join(mut self, other: Self) -> Self {
        (0..N).for_each(|column| self.widen(column, (other.low[column], other.high[column])));
        self
    }
}

/// A score as a function of a host's amounts, for one request at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal<const N: usize> {
    pub(crate) terms: [Term; N],
    /// The columns that make a difference, in order, and their terms; the first `count` are meant.
    counting: [(usize, Term); N],
    count: usize,
    /// The addition of one unit of each column to the score.
    rates: [f64; N],
    error: f64,
}

impl<const N: usize> Goal<N> {
    /// Every host scores the same.
    pub(crate) fn indifferent() -> Self {
        Self::of([Term::NOTHING; N])
    }

    fn of(terms: [Term; N]) -> Self {
        let rates = terms.map(|term| if term.range == 0.0 { 0.0 } else { term.multiplier / term.range });
        let (mut counting, mut count, mut multipliers) = ([(0, Term::NOTHING); N], 0, 0.0);
        for (column, term) in terms.iter().enumerate() {
            if term.range != 0.0 && term.multiplier != 0.0 {
                counting[count] = (column, *term);
                count += 1;
                multipliers += term.multiplier.abs();
            }
        }
        Self { terms, counting, count, rates, error: 1e-12 * multipliers + 1e-300 }
    }

    pub(crate) fn new(weighing: &Weighing<N>, extremes: &Extremes<N>) -> Self {
        Self::of(std::array::from_fn(|column| {
            let (low, high) = (f64::from(extremes.low[column]), f64::from(extremes.high[column]));
            Term { multiplier: weighing.multipliers[column], low, range: high - low }
        }))
    }

    /// The addition of one unit of each column to the score.
    pub(crate) const fn rates(&self) -> &[f64; N] {
        &self.rates
    }

    /// How far a sum of [`Self::rates`] times amounts above their low can be off the score, many
    /// times over; rates too small to be normal numbers have an absolute error.
    #[inline]
    pub(crate) const fn error(&self) -> f64 {
        self.error
    }

    /// The score of a host, whose amount in a column `amount` returns. Columns that make no
    /// difference are left out: adding a zero changes no bit of a sum that began at 0.
    #[inline]
    pub(crate) fn score(&self, amount: impl Fn(usize) -> i32) -> f64 {
        let counting = self.counting[..self.count].iter();
        counting.fold(0.0, |score, (column, term)| score + term.of(weighed(amount(*column))))
    }
}
