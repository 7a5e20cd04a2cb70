//! The explanation for operators.

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::constraint::Constraint;
use super::standing::Standing;
use crate::filters::{FilterError, Reason};
use crate::placement_query::QueryError;
use crate::weighers::WeighFailure;

/// Why a request found its host, or none. This is the operator's view; `for_tenant` gives the
/// tenant's.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Explanation {
    /// Hosts of the fleet.
    pub hosts: usize,
    /// How the request ends.
    pub ending: Ending,
    /// The hosts that each constraint removed, in order. The counts add up to the fleet.
    /// Constraints after one that could not judge are missing.
    pub removed: Vec<Removed>,
    /// Other conditions of the query to Placement, of which nothing is known: resource classes that
    /// no inventory names, and groups of ports and devices.
    pub not_judged: Vec<String>,
    /// The verdicts on the hosts that the caller names.
    pub verdicts: Vec<HostVerdict>,
    /// The best hosts, best first.
    pub standings: Vec<Standing>,
    /// Changes that would find a host; none if one was found.
    pub relaxations: Option<Relaxations>,
}

/// How a request ends.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Ending {
    /// There is a host for it; the best, unless options draw lots among the best.
    Found {
        /// The host.
        host: String,
    },
    /// No valid host.
    NoHost,
    /// Something could not be judged, which fails the whole request whatever other hosts offer.
    Blocked(Blocked),
}

/// A constraint or weigher that could not judge.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Blocked {
    /// The constraint or weigher.
    pub by: String,
    /// Why it could not.
    pub error: String,
}

impl Blocked {
    pub(super) fn query(error: &QueryError) -> Self {
        Self { by: Constraint::Query.to_string(), error: error.to_string() }
    }

    pub(super) fn filter(constraint: &Constraint, error: &FilterError) -> Self {
        Self { by: constraint.to_string(), error: error.to_string() }
    }

    pub(super) fn weigher(failure: &WeighFailure) -> Self {
        Self { by: failure.weigher.to_string(), error: failure.error.to_string() }
    }
}

/// The effect of one constraint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Removed {
    /// The constraint.
    pub constraint: Constraint,
    /// Hosts that came to it.
    pub entered: usize,
    /// Hosts it removed.
    pub removed: usize,
}

/// The verdict on one host.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct HostVerdict {
    /// Host, and node where it has another name.
    pub host: String,
    /// The first constraint that removes it; none if it passes all.
    pub constraint: Option<Constraint>,
    /// By how much; none if it passes, or cannot be judged, or where the explanation was read from
    /// JSON.
    #[serde(skip_deserializing)]
    pub reason: Option<Reason>,
    /// The same in words.
    pub text: String,
    /// Its place by weight, from 1; none if it was not weighed.
    pub rank: Option<usize>,
}

/// Changes that would find a host.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Relaxations {
    /// Each by itself would do. Pairs are looked for only if no single change helps.
    pub found: Vec<Relaxation>,
    /// Whether there was more to try than the work is bounded to.
    pub cut_short: bool,
}

/// Changes that together find a host; none of them can be left out.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Relaxation {
    /// One or two.
    pub changes: Vec<Change>,
    /// How many hosts they open.
    pub opens: usize,
    /// The best of these hosts.
    pub example: String,
}
