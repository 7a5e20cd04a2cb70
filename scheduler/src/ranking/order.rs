//! The order in which a ranking keeps its hosts.

use berth_placement::Row;
use berth_placement::kernel::{CLASSES, weighed};

use crate::policy::objective::Goal;
use crate::policy::{Policy, Rank};

/// An order of hosts that depends on nothing but each host itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order<const N: usize> {
    /// A policy's own.
    Policy(Policy),
    /// By free vCPUs, then memory, keeping the lowest row of every node: hosts that fit alike stand
    /// together, and the first of them is found by its row.
    Capacity,
    /// By falling weighted sum of amounts: close to the order of Nova's scores, whose ranges vary
    /// by request.
    Linear(Coefficients<N>),
}

/// Coefficients of a linear order, none beyond ±1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Coefficients<const N: usize>([f64; N]);

impl<const N: usize> Coefficients<N> {
    /// In proportion to what a unit of each column counts in a goal.
    pub(crate) fn of(goal: &Goal<N>) -> Self {
        // Without hosts the range is nothing, or less: then no order is better than another.
        if goal.terms.iter().any(|term| term.range < 0.0) {
            return Self([0.0; N]);
        }
        let most = goal.rates().iter().fold(f64::MIN_POSITIVE, |most, rate| most.max(rate.abs()));
        Self(goal.rates().map(|rate| rate / most))
    }

    /// The sum for a host, each step rounded; what a host does not have counts 0.
    #[inline(always)]
    pub(crate) fn sum(&self, free: [i32; N]) -> f64 {
        self.0
            .iter()
            .zip(free)
            .fold(0.0, |sum, (coefficient, amount)| sum + coefficient * f64::from(weighed(amount)))
    }

    /// The coefficients.
    pub(crate) const fn of_columns(&self) -> &[f64; N] {
        &self.0
    }
}

impl<const N: usize> Order<N> {
    /// A host's place in the order.
    #[inline]
    pub(crate) fn rank(&self, free: [i32; N], row: Row) -> Rank {
        const { assert!(N >= CLASSES) };
        let host_free = [free[0], free[1], free[2]];
        match self {
            Self::Policy(policy) => policy.rank(host_free, row),
            Self::Capacity => Policy::BestFit.rank(host_free, row),
            Self::Linear(coefficients) => Rank::falling(coefficients.sum(free), row),
        }
    }

    /// The sum of a linear order; 0 in others.
    #[inline]
    pub(crate) fn sum(&self, free: [i32; N]) -> f64 {
        if let Self::Linear(coefficients) = self { coefficients.sum(free) } else { 0.0 }
    }
}
