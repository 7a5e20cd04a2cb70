//! The request: one or several instances of a flavor, and everything that restricts their hosts.
//!
//! [`RequestSpec`] reads the JSON of Nova's own test vectors, but for what only Nova's services may
//! say in it. Read it through `serde_path_to_error`, and an error names the field it is about.

mod canonical;
mod check_type;
mod cpu_spec;
mod destination;
mod flavor;
mod hints;
mod image;
mod image_properties;
mod image_property;
mod request_group;
mod retry;
mod server_group;

use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::numa::{InstanceTopology, NetworkMetadata};
use super::pci::PciRequest;

pub(crate) use canonical::vm_mode;
pub use canonical::{architecture, hypervisor_type};
pub use check_type::CheckType;
pub use cpu_spec::InvalidCpuSpec;
pub use destination::{Destination, NotAnAggregate};
pub use flavor::{ExtraSpecs, RequestedFlavor};
pub(crate) use hints::instance as instance_of_hint;
pub use hints::{Hint, SchedulerHints};
pub use image::RequestedImage;
pub use image_properties::{ImageProperties, InvalidProperty};
pub use image_property::PropertyValue;
pub use request_group::{RequestLevelParams, RequesterGroup};
pub use retry::Retry;
pub use server_group::{GroupPolicyKind, GroupRules, ServerGroup};

/// A request to the scheduler.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct RequestSpec {
    /// The instance that is placed now.
    pub instance_uuid: Uuid,
    /// The project it belongs to.
    pub project_id: String,
    /// The user of the request, for claims.
    pub user_id: String,
    /// How many instances the request was for when it was made first.
    pub num_instances: u32,
    /// The zone asked for. No filter reads it: it narrows the query for allocation candidates.
    pub availability_zone: Option<String>,
    /// Amounts and extra specs.
    pub flavor: RequestedFlavor,
    /// The image; none if the API did not send one.
    pub image: Option<RequestedImage>,
    /// Whether the root disk is a volume.
    pub is_bfv: bool,
    /// Hints of the user.
    #[serde(deserialize_with = "or_default")]
    pub scheduler_hints: SchedulerHints,
    /// The server group of the instance.
    pub instance_group: Option<ServerGroup>,
    /// Service hosts that are out of the question.
    #[serde(deserialize_with = "or_default")]
    pub ignore_hosts: Vec<String>,
    /// Service hosts an operator insists on.
    #[serde(deserialize_with = "or_default")]
    pub force_hosts: Vec<String>,
    /// Nodes an operator insists on.
    #[serde(deserialize_with = "or_default")]
    pub force_nodes: Vec<String>,
    /// The destination of a move.
    pub requested_destination: Option<Destination>,
    /// Hosts that were tried before.
    pub retry: Option<Retry>,
    /// Virtual NUMA cells.
    pub numa_topology: Option<InstanceTopology>,
    /// Passthrough devices.
    pub pci_requests: Option<Vec<PciRequest>>,
    /// Resources of network ports and devices, each from one provider.
    #[serde(deserialize_with = "or_default")]
    pub requested_resources: Vec<RequesterGroup>,
    /// Conditions on all resources together.
    #[serde(deserialize_with = "or_default")]
    pub request_level_params: RequestLevelParams,
    /// Networks whose NUMA affinity counts.
    pub network_metadata: Option<NetworkMetadata>,
    /// The check that a service of the control plane asks for. It is never read from a request.
    #[serde(skip)]
    pub check_type: Option<CheckType>,
}

impl Default for RequestSpec {
    fn default() -> Self {
        Self {
            instance_uuid: Uuid::from_u128(0x4000_8000_0000_0000_0000),
            project_id: "project".to_owned(),
            user_id: "user".to_owned(),
            num_instances: 1,
            availability_zone: None,
            flavor: RequestedFlavor::default(),
            image: None,
            is_bfv: false,
            scheduler_hints: SchedulerHints::default(),
            instance_group: None,
            ignore_hosts: Vec::new(),
            force_hosts: Vec::new(),
            force_nodes: Vec::new(),
            requested_destination: None,
            retry: None,
            numa_topology: None,
            pci_requests: None,
            requested_resources: Vec::new(),
            request_level_params: RequestLevelParams::default(),
            network_metadata: None,
            check_type: None,
        }
    }
}

impl RequestSpec {
    /// Whether the request asks if an instance may be rebuilt where it is.
    #[must_use]
    pub fn is_rebuild(&self) -> bool {
        self.check_type == Some(CheckType::Rebuild)
    }

    /// Whether forced hosts have to pass the filters, too.
    #[must_use]
    pub(crate) const fn has_check_type(&self) -> bool {
        self.check_type.is_some()
    }

    /// Whether both ask the same of hosts: they may differ in the instance, which each decision
    /// sets, and in the user, which no filter reads.
    #[must_use]
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        let Self {
            instance_uuid: _,
            user_id: _,
            project_id,
            num_instances,
            availability_zone,
            flavor,
            image,
            is_bfv,
            scheduler_hints,
            instance_group,
            ignore_hosts,
            force_hosts,
            force_nodes,
            requested_destination,
            retry,
            numa_topology,
            pci_requests,
            requested_resources,
            request_level_params,
            network_metadata,
            check_type,
        } = self;
        *flavor == other.flavor
            && *image == other.image
            && *project_id == other.project_id
            && *num_instances == other.num_instances
            && *availability_zone == other.availability_zone
            && *is_bfv == other.is_bfv
            && *scheduler_hints == other.scheduler_hints
            && *instance_group == other.instance_group
            && *ignore_hosts == other.ignore_hosts
            && (force_hosts, force_nodes) == (&other.force_hosts, &other.force_nodes)
            && *requested_destination == other.requested_destination
            && *retry == other.retry
            && *numa_topology == other.numa_topology
            && *pci_requests == other.pci_requests
            && *requested_resources == other.requested_resources
            && *request_level_params == other.request_level_params
            && *network_metadata == other.network_metadata
            && *check_type == other.check_type
    }

    /// The properties of the image, if there is an image.
    #[must_use]
    pub fn image_properties(&self) -> Option<&ImageProperties> {
        self.image.as_ref().map(|image| &image.properties)
    }

    /// The policy of the server group, if any.
    #[must_use]
    pub fn group_policy(&self) -> Option<GroupPolicyKind> {
        self.instance_group.as_ref()?.policy
    }
}

/// `null` means the default, as an absent field does.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RequestSpec, String> {
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn an_empty_request_has_defaults() {
        let spec = read("{}").expect("reads");
        assert_eq!((spec.flavor.vcpus, spec.flavor.memory_mb, spec.num_instances), (1, 512, 1));
        assert!(spec.image.is_none() && !spec.is_rebuild());
    }

    #[test]
    fn extra_specs_keep_their_order() {
        let spec = read(r#"{"flavor": {"extra_specs": {"b": "1", "a": "2", "b": "3"}}}"#).expect("reads");
        assert_eq!(spec.flavor.extra_specs.iter().collect::<Vec<_>>(), [("b", "3"), ("a", "2")]);
    }

    #[test]
    fn errors_name_the_field() {
        let error = read(r#"{"flavor": {"vcpus": "two"}}"#).expect_err("not a number");
        assert!(error.starts_with("flavor.vcpus: "), "{error}");
        let error = read(r#"{"image": {"properties": {"hw_cpu_cores": "many"}}}"#).expect_err("not a number");
        assert!(error.contains("hw_cpu_cores"), "{error}");
    }

    #[test]
    fn no_request_can_set_a_check() {
        let spec = read(
            r#"{"scheduler_hints": {"_nova_check_type": ["rebuild"], "x": ["1"]}, "check_type": "Rebuild",
                "force_hosts": ["h"]}"#,
        )
        .expect("reads");
        assert!(!spec.is_rebuild() && !spec.has_check_type());
        assert_eq!(spec.scheduler_hints.names().collect::<Vec<_>>(), ["x"]);
    }
}
