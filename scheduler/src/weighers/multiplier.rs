//! How much a weigher counts.

use crate::aggregates::AggregateMetadata;
use crate::python::float;

/// A multiplier: an option, which the aggregates of a host override by a key of their own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Multiplier {
    /// The key of aggregate metadata.
    pub key: &'static str,
    /// The value without it, and if only one of the aggregates' values is not a number.
    pub configured: f64,
    /// Whether it counts the other way round.
    pub negated: bool,
}

impl Multiplier {
    /// The multiplier of this key.
    #[must_use]
    pub const fn new(key: &'static str, configured: f64) -> Self {
        Self { key, configured, negated: false }
    }

    /// The multiplier for a host in these aggregates: the least of their values.
    #[must_use]
    pub fn of(&self, aggregates: &AggregateMetadata) -> f64 {
        let multiplier = aggregates.least(self.key, float).unwrap_or(self.configured);
        if self.negated { -multiplier } else { multiplier }
    }
}
