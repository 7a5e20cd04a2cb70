//! The health of a service, for load balancers, service managers and people.
//!
//! `/healthz` says that the process answers; `/readyz` says with its status code whether the
//! service can do all of its work. Both list the checks with their reasons.

use serde::{Deserialize, Serialize};

use crate::request::Access;
use crate::service::Service;

/// One thing that the service needs for its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// The name of the part, such as `store`; it does not change between releases.
    pub name: String,
    /// Whether the part works.
    pub is_ok: bool,
    /// What it does at present, or why it does not work.
    pub reason: String,
}

impl HealthCheck {
    /// A part that works.
    #[must_use]
    pub fn ok(name: &str, state: impl Into<String>) -> Self {
        Self { name: name.to_owned(), is_ok: true, reason: state.into() }
    }

    /// A part that does not work, for this reason.
    #[must_use]
    pub fn failed(name: &str, reason: impl Into<String>) -> Self {
        Self { name: name.to_owned(), is_ok: false, reason: reason.into() }
    }
}

/// What the service reports of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether every check is ok.
    pub is_ready: bool,
    /// The version of the program.
    pub version: String,
    /// The commit that it was built from.
    pub commit: String,
    /// The parts.
    pub checks: Vec<HealthCheck>,
}

impl Service {
    /// Whether the service can do all of its work, and why not.
    #[must_use]
    pub fn health(&self) -> Health {
        let mut checks = vec![store(&self.epoch().access)];
        checks.extend(self.fleet_loop.check(
            "fleet",
            "instances are reconciled",
            "instances are not reconciled and hosts do not expire, because of a fault in the service: restart it",
        ));
        checks.extend(self.grpc_listener.check(
            "grpc",
            "calls are served",
            "no call is served, because the listener has failed: restart the service",
        ));
        checks.extend(self.subsystem().into_iter().flat_map(|subsystem| subsystem.health()));
        let build = self.options.build;
        Health {
            is_ready: checks.iter().all(|check| check.is_ok),
            version: build.version.to_owned(),
            commit: build.commit.to_owned(),
            checks,
        }
    }
}

fn store(access: &Access) -> HealthCheck {
    match access {
        Access::Volatile => HealthCheck::ok("store", "none: the state ends with the process"),
        Access::Durable(_) => HealthCheck::ok("store", "changes are written"),
        Access::ReadOnly(why) => {
            HealthCheck::failed("store", format!("only reading requests are served: {why}"))
        }
        Access::Down(why) => HealthCheck::failed("store", format!("no request is served: {why}")),
    }
}
