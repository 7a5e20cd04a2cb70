//! The criterion for the best of the hosts that pass the filters.

use crate::Policy;

/// The objective of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preference {
    /// Nova's weighers, as the options have them.
    #[default]
    Weighers,
    /// A placement policy: an order of hosts by their free vCPUs and memory in the index.
    Policy(Policy),
}

impl Preference {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weighers => "nova",
            Self::Policy(policy) => policy.name(),
        }
    }
}
