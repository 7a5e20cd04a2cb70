//! Server groups: instances that want to be together or apart.

use berth_placement::GroupPolicy;
use serde::Deserialize;
use uuid::Uuid;

/// A server group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServerGroup {
    /// Its id.
    pub uuid: Option<String>,
    /// `affinity`, `anti-affinity`, `soft-affinity` or `soft-anti-affinity`.
    pub policy: Option<String>,
    /// Refinements of the policy.
    pub rules: GroupRules,
    /// Instances of the group.
    pub members: Vec<Uuid>,
    /// Service hosts that its instances are on.
    pub hosts: Vec<String>,
}

impl ServerGroup {
    /// A group with a policy of the index, whose members are on these hosts.
    #[must_use]
    pub fn new(uuid: Uuid, policy: GroupPolicy, members: Vec<Uuid>, hosts: Vec<String>) -> Self {
        let (name, most) = match policy {
            GroupPolicy::Affinity => ("affinity", 1),
            GroupPolicy::AntiAffinity { max_per_host } => ("anti-affinity", max_per_host.get()),
            GroupPolicy::SoftAffinity => ("soft-affinity", 1),
            GroupPolicy::SoftAntiAffinity => ("soft-anti-affinity", 1),
        };
        let rules = GroupRules { max_server_per_host: (most > 1).then(|| most.to_string()) };
        Self { uuid: Some(uuid.to_string()), policy: Some(name.to_owned()), rules, members, hosts }
    }
}

/// Refinements of a group's policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GroupRules {
    /// How many instances of an anti-affinity group one host may have, as text.
    pub max_server_per_host: Option<String>,
}
