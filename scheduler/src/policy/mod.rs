//! The criteria for the best host: placement policies, which order hosts by their free amounts, and
//! other objectives.

pub(crate) mod objective;
pub(crate) mod preference;

use std::fmt;
use std::str::FromStr;

use berth_placement::{HostFree, Row};

/// How good a host is: the lowest rank is the best host. Equal scores go to the lowest row.
///
/// ```text
/// bits 95..32  the policy's score; lower is better
/// bits 31..0   row
/// ```
/// One number, so that comparing two takes no branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(u128);

impl Rank {
    /// Not above any rank.
    pub(crate) const LOWEST: Self = Self(0);

    const SCORE_SHIFT: u32 = 32;

    /// A rank that falls as `sum`, which is a number, grows.
    pub(crate) const fn falling(sum: f64, row: Row) -> Self {
        // The bits of a double are in its order once those of negative ones are turned over.
        let bits = (sum + 0.0).to_bits(); // -0 becomes 0
        let rising = if bits >> 63 == 0 { bits ^ 1 << 63 } else { !bits };
        Self::new(!rising, row)
    }

    const fn new(score: u64, row: Row) -> Self {
        Self((score as u128) << Self::SCORE_SHIFT | row.0 as u128)
    }

    /// The host.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // the low bits are the row
    pub const fn row(self) -> Row {
        Row(self.0 as u32)
    }
}

/// Which of the hosts with enough free capacity gets the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    /// Least free vCPUs, then least free memory.
    #[default]
    BestFit,
    /// Least free vCPUs.
    BestFitCpu,
    /// The lowest row.
    FirstFit,
    /// Most free vCPUs, then most free memory.
    WorstFit,
}

impl Policy {
    /// All policies.
    pub const ALL: [Self; 4] = [Self::BestFit, Self::BestFitCpu, Self::FirstFit, Self::WorstFit];

    /// The policy's name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BestFit => "bestfit",
            Self::BestFitCpu => "bestfit-cpu",
            Self::FirstFit => "firstfit",
            Self::WorstFit => "worstfit",
        }
    }

    /// The rank of a host with the amounts `free`, as before the VM is placed there.
    #[inline]
    #[must_use]
    pub const fn rank(self, free: HostFree, row: Row) -> Rank {
        let (vcpus, memory) = (ordered(free[0]), ordered(free[1]));
        let score = match self {
            Self::BestFit => vcpus << 32 | memory,
            Self::BestFitCpu => vcpus,
            Self::FirstFit => 0,
            Self::WorstFit => !(vcpus << 32 | memory),
        };
        Rank::new(score, row)
    }
}

/// Maps `i32` to unsigned numbers in the same order.
const fn ordered(value: i32) -> u64 {
    (value.cast_unsigned() ^ 1 << 31) as u64
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A policy name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no policy {0}; it is one of bestfit, bestfit-cpu, firstfit, worstfit")]
pub struct UnknownPolicy(String);

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.name() == name)
            .ok_or_else(|| UnknownPolicy(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_rank_is_a_better_host() {
        let best = |policy: Policy, frees: [HostFree; 3]| {
            (0..).map(Row).zip(frees).map(|(row, free)| policy.rank(free, row)).min().unwrap().row().0
        };
        let frees = [[4, 100, 0], [2, 90, 0], [2, 80, 0]];
        assert_eq!(Policy::ALL.map(|policy| best(policy, frees)), [2, 1, 0, 0]);
        let over_committed = [[1, 0, 0], [-3, 5, 0], [-3, -7, 0]];
        assert_eq!(Policy::ALL.map(|policy| best(policy, over_committed)), [2, 1, 0, 0]);
    }

    #[test]
    fn names_parse_back() {
        for policy in Policy::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        let error = "best".parse::<Policy>().unwrap_err().to_string();
        assert_eq!(error, "there is no policy best; it is one of bestfit, bestfit-cpu, firstfit, worstfit");
    }
}
