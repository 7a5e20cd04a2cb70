//! The order in which a ranking keeps its hosts.

use berth_placement::kernel::{CLASSES, weighed};
use berth_placement::{HostFree, Row, View};

use crate::objective::{Extremes, Goal, Weights};
use crate::policy::{Policy, Rank};

/// An order of hosts that depends on nothing but each host itself.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// A policy's own.
    Policy(Policy),
    /// By free vCPUs, then memory, keeping the lowest row of every node: hosts that fit alike stand together, and the first of
    /// them is found by its row.
    Room,
    /// By falling weighted sum of free amounts: close to the order of Nova's scores, whose ranges vary by request.
    Linear(Coefficients),
}

/// Whole-number coefficients of a linear order. Sums are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coefficients([i64; CLASSES]);

impl Coefficients {
    /// The largest absolute coefficient: three of them times any free amounts stay within `i64`.
    const LARGEST: f64 = (1 << 29) as f64;

    /// Coefficients for which each class's largest free amount in the view counts by its multiplier.
    #[must_use]
    pub fn new(weights: Weights, view: &View) -> Self {
        let mut extremes = Extremes::NONE;
        view.iter().for_each(|(_, free)| extremes.add(free));
        Self::of(&Goal::new(weights, extremes))
    }

    /// Coefficients in proportion to a goal's.
    #[allow(clippy::cast_possible_truncation)] // bounded by LARGEST
    pub(crate) fn of(goal: &Goal) -> Self {
        // Without hosts the range is nothing, or less: then no order is better than another.
        let rates =
            goal.rates().map(|rate| if goal.terms.iter().any(|term| term.range < 0.0) { 0.0 } else { rate });
        let most = rates.iter().fold(f64::MIN_POSITIVE, |most, rate| most.max(rate.abs()));
        Self(rates.map(|rate| (rate / most * Self::LARGEST).round() as i64))
    }

    /// The sum for a host; a class it does not have counts 0.
    #[inline]
    #[must_use]
    pub const fn sum(&self, free: HostFree) -> i64 {
        self.0[0] * weighed(free[0]) as i64
            + self.0[1] * weighed(free[1]) as i64
            + self.0[2] * weighed(free[2]) as i64
    }

    /// The coefficients.
    #[must_use]
    pub const fn of_classes(&self) -> [i64; CLASSES] {
        self.0
    }
}

impl Order {
    /// A host's place in the order.
    #[inline]
    #[must_use]
    pub const fn rank(self, free: HostFree, row: Row) -> Rank {
        match self {
            Self::Policy(policy) => policy.rank(free, row),
            Self::Room => Policy::BestFit.rank(free, row),
            Self::Linear(coefficients) => Rank::falling(coefficients.sum(free), row),
        }
    }
}
