//! The explanation for tenants: counts, and alternative requests. No hosts, no aggregates, no other
//! projects.

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::constraint::Constraint;
use super::explanation::{Ending, Explanation, Removed};
use super::placement::PlacementConstraint;

/// Why a request found a host, or none, as its owner may know it.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct TenantExplanation {
    /// Hosts of the fleet.
    pub hosts: usize,
    /// How the request ends.
    pub result: TenantResult,
    /// The constraint or weigher that could not judge.
    pub blocked_by: Option<String>,
    /// Hosts removed by each constraint, in order.
    pub removed: Vec<TenantRemoved>,
    /// Changes that would find a host.
    pub relaxations: Vec<TenantRelaxation>,
}

/// How a request ends, without a host's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantResult {
    /// There is a host.
    Found,
    /// There is no host.
    NoHost,
    /// The request could not be judged.
    Blocked,
}

/// The effect of one constraint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct TenantRemoved {
    /// The constraint, without ids of aggregates.
    pub constraint: String,
    /// Hosts it removed.
    pub removed: usize,
}

/// Changes of a request that together find a host.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct TenantRelaxation {
    /// One or two.
    pub changes: Vec<Change>,
    /// How many hosts they open.
    pub opens: usize,
}

impl Explanation {
    /// The tenant's view. Changes that only operators can make are left out.
    #[must_use]
    pub fn for_tenant(&self) -> TenantExplanation {
        let (result, blocked_by) = match &self.ending {
            Ending::Found { .. } => (TenantResult::Found, None),
            Ending::NoHost => (TenantResult::NoHost, None),
            Ending::Blocked(blocked) => (TenantResult::Blocked, Some(blocked.by.clone())),
        };
        let relaxations = self.relaxations.iter().flat_map(|relaxations| &relaxations.found);
        let open = relaxations.filter(|one| one.changes.iter().all(Change::is_for_tenants));
        TenantExplanation {
            hosts: self.hosts,
            result,
            blocked_by,
            removed: self.removed.iter().map(TenantRemoved::of).collect(),
            relaxations: open
                .map(|one| TenantRelaxation { changes: one.changes.clone(), opens: one.opens })
                .collect(),
        }
    }
}

impl TenantRemoved {
    fn of(one: &Removed) -> Self {
        Self { constraint: public_name(&one.constraint), removed: one.removed }
    }
}

/// The constraint without the ids of aggregates and providers.
fn public_name(constraint: &Constraint) -> String {
    match constraint {
        Constraint::Placement(
            PlacementConstraint::Aggregates(_) | PlacementConstraint::ForbiddenAggregates(_),
        ) => "placement: aggregates".to_owned(),
        Constraint::Placement(PlacementConstraint::Provider(_)) => "placement: provider".to_owned(),
        other => other.to_string(),
    }
}
