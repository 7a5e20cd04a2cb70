//! Server groups: instances that want to be together or apart.

use serde::Deserialize;

/// A server group.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ServerGroup {
    /// Its id.
    pub uuid: Option<String>,
    /// `affinity`, `anti-affinity`, `soft-affinity` or `soft-anti-affinity`.
    pub policy: Option<String>,
    /// Refinements of the policy.
    pub rules: GroupRules,
    /// Instances of the group.
    pub members: Vec<String>,
    /// Service hosts that its instances are on.
    pub hosts: Vec<String>,
}

/// Refinements of a group's policy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct GroupRules {
    /// How many instances of an anti-affinity group one host may have, as text.
    pub max_server_per_host: Option<String>,
}
