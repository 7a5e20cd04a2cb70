//! One thing to ask for, or to have, differently.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::shape::HostModel;
use crate::aggregates::AVAILABILITY_ZONE;
use crate::filters::{FilterName, Restriction, Scene, Step, steps};
use crate::hosts::Outage;
use crate::options::Options;
use crate::request_spec::{GroupPolicyKind, ImageProperties, RequestSpec};

/// One thing to ask for, or to have, differently.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the message says what each field is")]
pub enum Change {
    /// Less memory, MiB.
    Memory { asked: i64, enough: i64 },
    /// Fewer vCPUs.
    Vcpus { asked: i64, enough: i64 },
    /// Less root and ephemeral disk, GiB; the ephemeral goes first.
    Disk { asked: i64, enough: i64 },
    /// Another availability zone.
    Zone { asked: String, other: String },
    /// Without an extra spec of the flavor.
    ExtraSpec { key: String },
    /// Without a scheduler hint.
    Hint { name: String },
    /// Without an image property.
    ImageProperty { name: String },
    /// Without a trait that the image requires.
    ImageTrait { name: String },
    /// Without the server group.
    ServerGroup { policy: GroupPolicyKind },
    /// Without virtual NUMA cells.
    NumaTopology,
    /// Without passthrough devices.
    Devices,
    /// Without naming hosts or nodes.
    Restriction {
        #[serde(serialize_with = "as_text")]
        restriction: Restriction,
    },
    /// A higher `max_instances_per_host`.
    InstancesPerHost { configured: i64, enough: i64 },
    /// A higher `max_io_ops_per_host`.
    IoOpsPerHost { configured: i64, enough: i64 },
    /// Services that are disabled or down take instances again. `reasons` counts the hosts this
    /// opens by what operators wrote when they disabled them.
    Outage { outage: Outage, reasons: BTreeMap<String, usize> },
    /// One more, empty host.
    MoreHosts { shape: HostModel },
}

fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl Change {
    /// Everything that could be different for this request, in a fixed order; amounts are as far
    /// from what was asked as they can be.
    pub(super) fn all(scene: &Scene<'_>) -> Vec<Self> {
        let mut all = amounts(scene.request);
        all.extend(zones(scene));
        all.extend(omissions(scene.request));
        all.extend(limits(scene));
        all.extend(Outage::ALL.map(|outage| Self::Outage { outage, reasons: BTreeMap::new() }));
        all
    }

    /// Makes the change to a request and a configuration. Changes of the fleet change neither.
    pub fn apply(&self, request: &mut RequestSpec, options: &mut Options) {
        match self {
            Self::Memory { enough, .. } => request.flavor.memory_mb = *enough,
            Self::Vcpus { enough, .. } => request.flavor.vcpus = *enough,
            Self::Disk { enough, .. } => set_disk(request, *enough),
            Self::Zone { other, .. } => request.availability_zone = Some(other.clone()),
            Self::ExtraSpec { key } => request.flavor.extra_specs.remove(key),
            Self::Hint { name } => request.scheduler_hints.remove(name),
            Self::ImageProperty { name } => {
                request.image.iter_mut().for_each(|image| image.properties.remove(name));
            }
            Self::ImageTrait { name } => {
                request.image.iter_mut().for_each(|image| image.properties.remove_trait(name));
            }
            Self::ServerGroup { .. } => request.instance_group = None,
            Self::NumaTopology => request.numa_topology = None,
            Self::Devices => request.pci_requests = None,
            Self::Restriction { restriction } => lift(*restriction, request),
            Self::InstancesPerHost { enough, .. } => {
                options.filter_scheduler.max_instances_per_host = *enough;
            }
            Self::IoOpsPerHost { enough, .. } => options.filter_scheduler.max_io_ops_per_host = *enough,
            Self::Outage { .. } | Self::MoreHosts { .. } => {}
        }
    }

    /// The amount that was asked for, or is configured, and the one that does instead.
    #[must_use]
    pub const fn amounts(&self) -> Option<(i64, i64)> {
        match self {
            Self::Memory { asked, enough } | Self::Vcpus { asked, enough } | Self::Disk { asked, enough } => {
                Some((*asked, *enough))
            }
            Self::InstancesPerHost { configured, enough } | Self::IoOpsPerHost { configured, enough } => {
                Some((*configured, *enough))
            }
            _ => None,
        }
    }

    /// The same change with another amount.
    pub(super) fn with_amount(&self, amount: i64) -> Self {
        let mut changed = self.clone();
        match &mut changed {
            Self::Memory { enough, .. }
            | Self::Vcpus { enough, .. }
            | Self::Disk { enough, .. }
            | Self::InstancesPerHost { enough, .. }
            | Self::IoOpsPerHost { enough, .. } => *enough = amount,
            _ => {}
        }
        changed
    }

    /// Whether the owner of the request can make the change: it concerns the request, not what
    /// operators do.
    #[must_use]
    pub(crate) const fn is_for_tenants(&self) -> bool {
        !matches!(
            self,
            Self::Restriction { .. }
                | Self::InstancesPerHost { .. }
                | Self::IoOpsPerHost { .. }
                | Self::Outage { .. }
                | Self::MoreHosts { .. }
        )
    }
}

/// The least that makes sense of each amount.
fn amounts(request: &RequestSpec) -> Vec<Change> {
    let flavor = &request.flavor;
    let (memory, vcpus) = (flavor.memory_mb, flavor.vcpus);
    let disk = flavor.root_gb.saturating_add(flavor.ephemeral_gb);
    let all = [
        (memory > 1).then_some(Change::Memory { asked: memory, enough: 1 }),
        (vcpus > 1).then_some(Change::Vcpus { asked: vcpus, enough: 1 }),
        (disk > 0).then_some(Change::Disk { asked: disk, enough: 0 }),
    ];
    all.into_iter().flatten().collect()
}

fn set_disk(request: &mut RequestSpec, enough: i64) {
    let flavor = &mut request.flavor;
    flavor.root_gb = flavor.root_gb.min(enough);
    flavor.ephemeral_gb = enough.saturating_sub(flavor.root_gb);
}

/// Each other zone of the fleet, if one was asked for.
fn zones(scene: &Scene<'_>) -> Vec<Change> {
    let Some(asked) = scene.request.availability_zone.as_ref().filter(|zone| !zone.is_empty()) else {
        return Vec::new();
    };
    let default = &scene.options.general.default_availability_zone;
    let mut others: BTreeSet<&str> = BTreeSet::new();
    for aggregates in scene.hosts.classes().map(|class| &class.aggregates) {
        match aggregates.parts(AVAILABILITY_ZONE) {
            Some(zones) => others.extend(zones.iter().map(String::as_str)),
            None => others.extend([default.as_str()]),
        }
    }
    others.remove(asked.as_str());
    let zone = |other: &str| Change::Zone { asked: asked.clone(), other: other.to_owned() };
    others.into_iter().map(zone).collect()
}

/// The requirements that the request could drop.
fn omissions(request: &RequestSpec) -> Vec<Change> {
    let mut all: Vec<Change> = Vec::new();
    all.extend(request.flavor.extra_specs.iter().map(|(key, _)| Change::ExtraSpec { key: key.to_owned() }));
    all.extend(request.scheduler_hints.names().map(|name| Change::Hint { name: name.to_owned() }));
    if let Some(image) = request.image_properties() {
        let properties = image.iter().map(|(name, _)| name).filter(|name| *name != ImageProperties::TRAITS);
        all.extend(properties.map(|name| Change::ImageProperty { name: name.to_owned() }));
        all.extend(image.required_traits().iter().map(|name| Change::ImageTrait { name: name.clone() }));
    }
    all.extend(request.group_policy().map(|policy| Change::ServerGroup { policy }));
    all.extend(request.numa_topology.as_ref().map(|_| Change::NumaTopology));
    all.extend(request.pci_requests.as_ref().filter(|list| !list.is_empty()).map(|_| Change::Devices));
    let restrictions = Restriction::of(request).chain(aggregates(request));
    all.extend(restrictions.map(|restriction| Change::Restriction { restriction }));
    all
}

/// A destination that names no host may name aggregates.
fn aggregates(request: &RequestSpec) -> Option<Restriction> {
    let destination = request.requested_destination.as_ref()?;
    let names_some = !destination.aggregates.is_empty() || !destination.forbidden_aggregates.is_empty();
    (destination.host.is_none() && names_some).then_some(Restriction::RequestedDestination)
}

fn lift(restriction: Restriction, request: &mut RequestSpec) {
    match restriction {
        Restriction::RequestedDestination => request.requested_destination = None,
        Restriction::IgnoreHosts => request.ignore_hosts.clear(),
        Restriction::ForceHosts => request.force_hosts.clear(),
        Restriction::ForceNodes => request.force_nodes.clear(),
    }
}

/// Limits of hosts, as far as filters look at them.
fn limits(scene: &Scene<'_>) -> Vec<Change> {
    let steps = steps(scene, 0);
    let looks = |names: [FilterName; 2]| names.iter().any(|name| steps.contains(&Step::Filter(*name)));
    let options = &scene.options.filter_scheduler;
    let (instances, io_ops) = (options.max_instances_per_host, options.max_io_ops_per_host);
    let of_instances = [FilterName::NumInstancesFilter, FilterName::AggregateNumInstancesFilter];
    let of_io_ops = [FilterName::IoOpsFilter, FilterName::AggregateIoOpsFilter];
    let all = [
        looks(of_instances).then_some(Change::InstancesPerHost { configured: instances, enough: i64::MAX }),
        looks(of_io_ops).then_some(Change::IoOpsPerHost { configured: io_ops, enough: i64::MAX }),
    ];
    all.into_iter().flatten().collect()
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let less = |asked: &i64, enough: &i64| asked.saturating_sub(*enough);
        match self {
            Self::Memory { asked, enough } => {
                write!(out, "{} MiB less memory: {enough} instead of {asked}", less(asked, enough))
            }
            Self::Vcpus { asked, enough } => {
                write!(out, "{} vCPUs less: {enough} instead of {asked}", less(asked, enough))
            }
            Self::Disk { asked, enough } => {
                write!(out, "{} GiB less disk: {enough} instead of {asked}", less(asked, enough))
            }
            Self::Zone { asked, other } => write!(out, "zone {other} instead of {asked}"),
            Self::ExtraSpec { key } => match key.strip_prefix("trait:") {
                Some(name) => write!(out, "without trait {name} of the flavor"),
                None => write!(out, "without extra spec {key}"),
            },
            Self::Hint { name } => write!(out, "without hint {name}"),
            Self::ImageProperty { name } => write!(out, "without image property {name}"),
            Self::ImageTrait { name } => write!(out, "without trait {name} of the image"),
            Self::ServerGroup { policy } => write!(out, "without the server group, policy {policy}"),
            Self::NumaTopology => out.write_str("without NUMA cells"),
            Self::Devices => out.write_str("without passthrough devices"),
            Self::Restriction { restriction } => write!(out, "without {restriction}"),
            Self::InstancesPerHost { configured, enough } => {
                write!(out, "max_instances_per_host {enough} instead of {configured}")
            }
            Self::IoOpsPerHost { configured, enough } => {
                write!(out, "max_io_ops_per_host {enough} instead of {configured}")
            }
            Self::Outage { outage, reasons } => write_outage(out, *outage, reasons),
            Self::MoreHosts { shape } => shape.fmt(out),
        }
    }
}

fn write_outage(
    out: &mut fmt::Formatter<'_>,
    outage: Outage,
    reasons: &BTreeMap<String, usize>,
) -> fmt::Result {
    out.write_str(match outage {
        Outage::Disabled => "disabled services enabled",
        Outage::ForcedDown => "services no longer forced down",
        Outage::Silent => "services that report again",
    })?;
    let mut separator = ": ";
    for (reason, hosts) in reasons {
        write!(out, "{separator}{hosts} × {reason}")?;
        separator = ", ";
    }
    Ok(())
}
