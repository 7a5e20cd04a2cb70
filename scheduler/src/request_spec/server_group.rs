//! Server groups: instances that want to be together or apart.

use std::fmt;

use berth_placement::GroupPolicy;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::python::{NotANumber, integer_64};

/// A server group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServerGroup {
    /// Its id.
    pub uuid: Option<Uuid>,
    /// The policy; none if it is not one of Nova's, which restricts nothing.
    #[serde(deserialize_with = "policy")]
    pub policy: Option<GroupPolicyKind>,
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
        let (policy, limit) = match policy {
            GroupPolicy::Affinity => (GroupPolicyKind::Affinity, None),
            GroupPolicy::AntiAffinity { max_per_host } => (GroupPolicyKind::AntiAffinity, Some(max_per_host)),
            GroupPolicy::SoftAffinity => (GroupPolicyKind::SoftAffinity, None),
            GroupPolicy::SoftAntiAffinity => (GroupPolicyKind::SoftAntiAffinity, None),
        };
        let rules = GroupRules { max_server_per_host: limit.map(|limit| Ok(limit.get().into())) };
        Self { uuid: Some(uuid), policy: Some(policy), rules, members, hosts }
    }
}

/// What a server group wants of its instances' hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupPolicyKind {
    /// One host for all.
    Affinity,
    /// A limit of instances on each host.
    AntiAffinity,
    /// Few hosts, if possible.
    SoftAffinity,
    /// Many hosts, if possible.
    SoftAntiAffinity,
}

impl GroupPolicyKind {
    /// The policy of this name in Nova's API.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Affinity, Self::AntiAffinity, Self::SoftAffinity, Self::SoftAntiAffinity]
            .into_iter()
            .find(|policy| policy.name() == name)
    }

    /// Its name in Nova's API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Affinity => "affinity",
            Self::AntiAffinity => "anti-affinity",
            Self::SoftAffinity => "soft-affinity",
            Self::SoftAntiAffinity => "soft-anti-affinity",
        }
    }
}

impl fmt::Display for GroupPolicyKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// Refinements of a group's policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GroupRules {
    /// How many instances of an anti-affinity group one host may have. Where it is not a number,
    /// requests fail when a host is judged by it, as in Nova.
    #[serde(deserialize_with = "limit")]
    pub max_server_per_host: Option<Result<i64, NotANumber>>,
}

impl GroupRules {
    /// The rules with this `max_server_per_host`, which Nova keeps as text.
    #[must_use]
    pub fn of_text(max_server_per_host: Option<&str>) -> Self {
        Self { max_server_per_host: max_server_per_host.map(integer_64) }
    }
}

fn policy<'de, D: Deserializer<'de>>(from: D) -> Result<Option<GroupPolicyKind>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.and_then(|name| GroupPolicyKind::of_name(&name)))
}

fn limit<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Result<i64, NotANumber>>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(|text| integer_64(&text)))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn read(text: &str) -> ServerGroup {
        serde_json::from_str(text).expect("reads")
    }

    #[test]
    fn a_group_of_the_index_is_that_of_nova() {
        let max_per_host = NonZeroU32::new(2).unwrap();
        let group =
            ServerGroup::new(Uuid::nil(), GroupPolicy::AntiAffinity { max_per_host }, Vec::new(), Vec::new());
        let text = r#"{"uuid": "00000000-0000-0000-0000-000000000000", "policy": "anti-affinity", "rules": {"max_server_per_host": "2"}}"#;
        assert_eq!(group, read(text));
        let group = ServerGroup::new(Uuid::nil(), GroupPolicy::SoftAffinity, Vec::new(), Vec::new());
        assert_eq!((group.policy, group.rules), (Some(GroupPolicyKind::SoftAffinity), GroupRules::default()));
    }

    #[test]
    fn what_nova_would_refuse_later_can_be_read() {
        let group = read(r#"{"policy": "legacy", "rules": {"max_server_per_host": "x"}}"#);
        assert_eq!(group.policy, None);
        assert_eq!(group.rules.max_server_per_host, Some(Err(NotANumber("x".to_owned()))));
        assert_eq!(
            read(r#"{"policy": null, "rules": {"max_server_per_host": null}}"#),
            ServerGroup::default()
        );
    }
}
