//! Requests of the fleet for hosts, and their request specs.

use std::collections::BTreeMap;

use berth_fleet::{Flavor, FleetError, Image, Instance, Migration, RequestedZone};
use berth_scheduler::RequestSpec;
use berth_scheduler::python::Value;
use berth_scheduler::request_spec::{
    CheckType, ImageProperties, RequestedFlavor as SpecFlavor, RequestedImage as SpecImage,
};
use uuid::Uuid;

/// Instances of one kind that want hosts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    /// At least one.
    pub(crate) instances: Vec<Uuid>,
    pub(crate) flavor: Flavor,
    pub(crate) image: Option<Image>,
    pub(crate) project: String,
    pub(crate) user: String,
    pub(crate) availability_zone: RequestedZone,
    /// The server group.
    pub(crate) group: Option<Uuid>,
    pub(crate) hints: BTreeMap<String, Vec<String>>,
    pub(crate) ignore_hosts: Vec<String>,
    /// How many other hosts to name for each instance.
    pub(crate) alternates: usize,
    /// The migration of the one instance, which gets what the instance holds.
    pub(crate) migration: Option<Uuid>,
    /// Whether it is a rebuild on the host that the instance is on: only filters that depend on the
    /// image judge it.
    pub(crate) rebuilds: bool,
}

impl Ask {
    /// The request for a host of an instance, without the hosts on which its build failed.
    pub(super) fn of(instance: &Instance) -> Self {
        let spec = &instance.spec;
        Self {
            instances: vec![instance.uuid],
            flavor: spec.flavor.clone(),
            image: spec.image.clone(),
            project: spec.project.clone(),
            user: spec.user.clone(),
            availability_zone: spec.availability_zone.clone(),
            group: spec.group,
            hints: spec.hints.clone(),
            ignore_hosts: instance.location.failures.keys().cloned().collect(),
            alternates: 0,
            migration: None,
            rebuilds: false,
        }
    }

    /// The request for a target of a move. Of the zone that the user asked for, it keeps the zone,
    /// not the host. `may_stay`: its host is a target as well.
    pub(super) fn of_move(instance: &Instance, migration: &Migration, may_stay: bool) -> Self {
        let source = (!may_stay).then(|| migration.source.clone());
        let ask = Self::of(instance);
        Self {
            flavor: migration.new_flavor.clone(),
            availability_zone: ask.availability_zone.without_host(),
            // A host that still has remains of an earlier move cannot build or receive the guest.
            ignore_hosts: migration
                .failures
                .keys()
                .chain(&instance.location.leftovers)
                .cloned()
                .chain(source)
                .collect(),
            migration: Some(migration.uuid),
            ..ask
        }
    }

    /// The question whether the host of an instance fits another image.
    pub(super) fn of_rebuild(instance: &Instance, image: Image) -> Self {
        let ask = Self::of(instance);
        Self {
            image: Some(image),
            availability_zone: ask.availability_zone.without_host(),
            ignore_hosts: Vec::new(),
            rebuilds: true,
            ..ask
        }
    }

    /// The request for the decider, which adds the server group.
    pub(super) fn spec(&self) -> Result<RequestSpec, FleetError> {
        let RequestedZone { zone, host, node } = &self.availability_zone;
        let mut spec = RequestSpec {
            project_id: self.project.clone(),
            user_id: self.user.clone(),
            num_instances: u32::try_from(self.instances.len()).unwrap_or(u32::MAX),
            availability_zone: (!zone.is_empty()).then(|| zone.clone()),
            flavor: flavor(&self.flavor),
            image: self.image.as_ref().map(image).transpose()?,
            scheduler_hints: self.hints.iter().map(|(name, hint)| (name.clone(), hint.clone())).collect(),
            ignore_hosts: self.ignore_hosts.clone(),
            force_hosts: host.iter().cloned().collect(),
            check_type: self.rebuilds.then_some(CheckType::Rebuild),
            force_nodes: node.iter().cloned().collect(),
            ..RequestSpec::default()
        };
        if let Some(first) = self.instances.first() {
            spec.instance_uuid = *first;
        }
        Ok(spec)
    }
}

/// The server group that the hint `group` names.
pub(crate) fn group_hint(hints: &BTreeMap<String, Vec<String>>) -> Result<Option<Uuid>, FleetError> {
    let Some(hint) = hints.get("group") else { return Ok(None) };
    match hint.as_slice() {
        [uuid] => Uuid::try_parse(uuid)
            .map(Some)
            .map_err(|_| FleetError::field("hints.group", format!("{uuid:?} is no UUID of a server group"))),
        _ => Err(FleetError::field("hints.group", "needs exactly one value")),
    }
}

fn flavor(flavor: &Flavor) -> SpecFlavor {
    SpecFlavor {
        name: flavor.name.clone(),
        vcpus: flavor.vcpus.into(),
        memory_mb: flavor.memory_mb.into(),
        root_gb: flavor.root_gb.into(),
        ephemeral_gb: flavor.ephemeral_gb.into(),
        swap: flavor.swap_mb.into(),
        extra_specs: flavor.extra_specs.clone().into_iter().collect(),
    }
}

fn image(image: &Image) -> Result<SpecImage, FleetError> {
    let raw: Vec<(String, Value)> =
        image.properties.iter().map(|(name, value)| (name.clone(), Value::Text(value.clone()))).collect();
    let properties = ImageProperties::from_values(&raw)
        .map_err(|error| FleetError::field("image.properties", error.to_string()))?;
    Ok(SpecImage { id: Some(image.name.clone()), properties, ..SpecImage::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_arrives() {
        let hint = |value: &str| vec![value.to_owned()];
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
            availability_zone: RequestedZone::parse("east:h7"),
            group: Some(uuid),
            hints: [("same_host".to_owned(), hint("x"))].into(),
            ignore_hosts: vec!["h9".to_owned()],
            ..Ask::default()
        };
        let spec = ask.spec().unwrap();
        assert_eq!((spec.num_instances, spec.flavor.vcpus, spec.flavor.swap), (2, 2, 64));
        assert_eq!(spec.flavor.extra_specs.get("trait:CUSTOM_GOLD"), Some("required"));
        assert_eq!(
            (spec.availability_zone.as_deref(), &*spec.force_hosts),
            (Some("east"), &["h7".to_owned()][..])
        );
        assert!(spec.scheduler_hints.contains("same_host") && spec.image.is_some());
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let properties = [("hw_cpu_cores".to_owned(), "many".to_owned())].into();
        let image = Some(Image { name: "i".to_owned(), properties });
        let error = Ask { image, ..Ask::default() }.spec().unwrap_err().to_string();
        assert!(error.starts_with("image") && error.contains("hw_cpu_cores"), "{error}");
        let hints = [("group".to_owned(), vec!["x".to_owned()])].into();
        let error = group_hint(&hints).unwrap_err().to_string();
        assert!(error.starts_with("hints.group"), "{error}");
    }
}
