//! What is asked of the scheduler, as the request spec it decides on.

use std::collections::BTreeMap;

use berth_scheduler::nova::RequestSpec;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::entry::{Flavor, Hints, Image, Policy};
use super::error::FleetError;

/// Instances of one kind that want hosts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    /// At least one.
    pub(crate) instances: Vec<Uuid>,
    pub(crate) flavor: Flavor,
    pub(crate) image: Option<Image>,
    pub(crate) project: String,
    pub(crate) user: String,
    /// `zone`, `zone:host`, `zone:host:node`, or empty.
    pub(crate) availability_zone: String,
    pub(crate) hints: BTreeMap<String, Hints>,
    pub(crate) ignore_hosts: Vec<String>,
    /// How many other hosts to name for each instance.
    pub(crate) alternates: usize,
}

/// The server group of a request, as filters see it.
pub(super) struct GroupView {
    pub(super) uuid: Uuid,
    pub(super) policy: Policy,
    pub(super) max_server_per_host: u32,
    pub(super) members: Vec<String>,
    pub(super) hosts: Vec<String>,
}

impl Ask {
    /// The server group that is named by a hint.
    pub(super) fn group(&self) -> Result<Option<Uuid>, FleetError> {
        let Some(hint) = self.hints.get("group") else { return Ok(None) };
        match hint.values.as_slice() {
            [uuid] => Uuid::try_parse(uuid).map(Some).map_err(|_| {
                FleetError::field("hints.group", format!("{uuid:?} is no UUID of a server group"))
            }),
            _ => Err(FleetError::field("hints.group", "needs exactly one value")),
        }
    }

    /// The zone that is asked for; empty for any.
    pub(super) fn zone(&self) -> &str {
        self.availability_zone.split(':').next().unwrap_or_default()
    }

    /// The host that an operator insists on.
    pub(crate) fn forced_host(&self) -> Option<&str> {
        self.availability_zone.split(':').nth(1).filter(|host| !host.is_empty())
    }

    fn forced_node(&self) -> Option<&str> {
        self.availability_zone.split(':').nth(2).filter(|node| !node.is_empty())
    }

    /// The request as Nova would have it.
    pub(super) fn spec(&self, group: Option<&GroupView>) -> Result<RequestSpec, FleetError> {
        let flavor = &self.flavor;
        let zone = self.zone();
        let mut spec = json!({
            "instance_uuid": self.instances.first().map(Uuid::to_string),
            "num_instances": self.instances.len(),
            "project_id": self.project,
            "user_id": self.user,
            "availability_zone": (!zone.is_empty()).then_some(zone),
            "flavor": {
                "name": flavor.name, "vcpus": flavor.vcpus, "memory_mb": flavor.memory_mb, "root_gb": flavor.root_gb,
                "ephemeral_gb": flavor.ephemeral_gb, "swap": flavor.swap_mb, "extra_specs": flavor.extra_specs,
            },
            "scheduler_hints": hints(&self.hints),
            "ignore_hosts": self.ignore_hosts,
            "force_hosts": self.forced_host().into_iter().collect::<Vec<_>>(),
            "force_nodes": self.forced_node().into_iter().collect::<Vec<_>>(),
        });
        if let Some(image) = &self.image {
            spec["image"] = json!({"id": image.name, "properties": image.properties});
        }
        if let Some(group) = group {
            spec["instance_group"] = group_record(group);
        }
        read(spec)
    }
}

fn hints(hints: &BTreeMap<String, Hints>) -> Map<String, Value> {
    hints.iter().map(|(name, hint)| (name.clone(), json!(hint.values))).collect()
}

fn group_record(group: &GroupView) -> Value {
    let most = group.max_server_per_host;
    let rules = if most > 1 { json!({"max_server_per_host": most.to_string()}) } else { json!({}) };
    json!({
        "uuid": group.uuid.to_string(), "policy": policy_name(group.policy), "rules": rules,
        "members": group.members, "hosts": group.hosts,
    })
}

/// Nova's word for it.
const fn policy_name(policy: Policy) -> &'static str {
    match policy {
        Policy::Affinity => "affinity",
        Policy::AntiAffinity => "anti-affinity",
        Policy::SoftAffinity => "soft-affinity",
        Policy::SoftAntiAffinity => "soft-anti-affinity",
    }
}

fn read(spec: Value) -> Result<RequestSpec, FleetError> {
    serde_path_to_error::deserialize::<_, Wrapped>(spec)
        .map(|Wrapped(spec)| spec)
        .map_err(|error| FleetError::field(error.path().to_string(), error.inner().to_string()))
}

#[derive(Deserialize)]
struct Wrapped(RequestSpec);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_arrives() {
        let hint = |value: &str| Hints { values: vec![value.to_owned()] };
        let uuid = Uuid::from_u128(5);
        let ask = Ask {
            instances: vec![Uuid::from_u128(1), Uuid::from_u128(2)],
            flavor: Flavor {
                name: "small".to_owned(),
                vcpus: 2,
                memory_mb: 512,
                root_gb: 3,
                swap_mb: 64,
                extra_specs: [("trait:CUSTOM_GOLD".to_owned(), "required".to_owned())].into(),
                ..Flavor::default()
            },
            image: Some(Image {
                name: "i".to_owned(),
                properties: [("hw_cpu_cores".to_owned(), "2".to_owned())].into(),
            }),
            project: "p".to_owned(),
            availability_zone: "east:h7".to_owned(),
            hints: [("group".to_owned(), hint(&uuid.to_string())), ("same_host".to_owned(), hint("x"))]
                .into(),
            ignore_hosts: vec!["h9".to_owned()],
            ..Ask::default()
        };
        assert_eq!(ask.group().unwrap(), Some(uuid));
        let group = GroupView {
            uuid,
            policy: Policy::AntiAffinity,
            max_server_per_host: 2,
            members: vec!["m".to_owned()],
            hosts: vec!["h1".to_owned()],
        };
        let spec = ask.spec(Some(&group)).unwrap();
        assert_eq!((spec.num_instances, spec.flavor.vcpus, spec.flavor.swap), (2, 2, 64));
        assert_eq!(spec.flavor.extra_specs.get("trait:CUSTOM_GOLD"), Some("required"));
        assert_eq!(
            (spec.availability_zone.as_deref(), &*spec.force_hosts),
            (Some("east"), &["h7".to_owned()][..])
        );
        assert_eq!(spec.group_policy(), Some("anti-affinity"));
        assert_eq!(spec.instance_group.unwrap().rules.max_server_per_host.as_deref(), Some("2"));
        assert!(spec.scheduler_hints.contains("same_host") && spec.image.is_some());
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let properties = [("hw_cpu_cores".to_owned(), "many".to_owned())].into();
        let image = Some(Image { name: "i".to_owned(), properties });
        let error = Ask { image, ..Ask::default() }.spec(None).unwrap_err().to_string();
        assert!(error.starts_with("image") && error.contains("hw_cpu_cores"), "{error}");
        let hints = [("group".to_owned(), Hints { values: vec!["x".to_owned()] })].into();
        let error = Ask { hints, ..Ask::default() }.group().unwrap_err().to_string();
        assert!(error.starts_with("hints.group"), "{error}");
    }
}
