//! Why no Placement query can be made of a request.

use crate::python;

/// A request that Nova refuses before it asks Placement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// A pre-filter found no place for the request. To the caller this is a lack of hosts.
    #[error("Scheduling failed: {0}")]
    RequestFilterFailed(String),
    /// The destination, or the forced host or node, is not known.
    #[error("No valid host was found. No such host - host: {} node: {} ", or_none(.host), or_none(.node))]
    NoSuchHost {
        /// The service host asked for.
        host: Option<String>,
        /// The node asked for.
        node: Option<String>,
    },
    /// An option's value is none of those allowed.
    #[error("{0}")]
    Invalid(String),
    /// No such format of encrypted ephemeral disks.
    #[error("ephemeral_encryption_format is plain, luks or luksv2, not {0}")]
    InvalidEncryptionFormat(String),
    /// Flavor and image ask for different things.
    #[error("flavor {flavor} asks for {spec}={flavor_value}, its image for {property}={image_value}")]
    FlavorImageConflict {
        /// The flavor's name.
        flavor: String,
        /// The extra spec.
        spec: String,
        /// The extra spec's value.
        flavor_value: String,
        /// The image property.
        property: String,
        /// The property's value.
        image_value: String,
    },
    /// Memory encryption needs UEFI firmware.
    #[error("memory encryption needs the image property hw_firmware_type=uefi")]
    EncryptionNeedsUefi,
    /// Memory encryption needs another machine type.
    #[error("memory encryption by {model} needs a q35 machine, but the image has hw_machine_type={machine}")]
    InvalidMachineType {
        /// The encryption model.
        model: String,
        /// The image's machine type.
        machine: String,
    },
    /// The encryption model needs stateless firmware.
    #[error("memory encryption by {0} needs the image property hw_firmware_stateless=true")]
    StatelessFirmwareRequired(String),
    /// The encryption model allows no video device.
    #[error("memory encryption by {0} needs the image property hw_video_model=none")]
    InvalidVideoMode(String),
    /// No such CPU policy.
    #[error("{option} is dedicated, shared or mixed, not {value}")]
    InvalidCpuPolicy {
        /// Extra spec or image property.
        option: &'static str,
        /// Its value.
        value: String,
    },
    /// The flavor shares CPUs or mixes, and the image asks for more.
    #[error("the image's hw_cpu_policy may not go beyond the flavor's hw:cpu_policy")]
    ImageCpuPinningForbidden,
    /// No such CPU thread policy.
    #[error("{option} is prefer, isolate or require, not {value}")]
    InvalidCpuThreadPolicy {
        /// Extra spec or image property.
        option: &'static str,
        /// Its value.
        value: String,
    },
    /// Flavor and image have different CPU thread policies.
    #[error("the image's hw_cpu_thread_policy may not differ from the flavor's hw:cpu_thread_policy")]
    ImageCpuThreadPolicyForbidden,
    /// No such policy for emulator threads.
    #[error("hw:emulator_threads_policy is share or isolate, not {0}")]
    InvalidEmulatorThreadsPolicy(String),
    /// The mask of dedicated CPUs leaves none dedicated or none shared, or names CPUs that the
    /// flavor lacks.
    #[error("hw:cpu_dedicated_mask={mask} has to name some, but not all, of the flavor's {vcpus} vCPUs")]
    InvalidDedicatedMask {
        /// The mask.
        mask: String,
        /// The flavor's vCPUs.
        vcpus: u64,
    },
    /// The mask of realtime CPUs is empty, names CPUs that the flavor lacks, or leaves none for
    /// other work.
    #[error("the realtime mask has to leave a vCPU for other work, unless hw:emulator_threads_policy is set")]
    InvalidRealtimeMask,
    /// Flavor and image have different policies for PCI devices and NUMA.
    #[error(
        "the image's hw_pci_numa_affinity_policy may not differ from the flavor's hw:pci_numa_affinity_policy"
    )]
    ImagePciNumaPolicyForbidden,
    /// No such policy for PCI devices and NUMA.
    #[error("pci_numa_affinity_policy is required, legacy, preferred or socket, not {0}")]
    InvalidPciNumaAffinity(String),
    /// Two groups have the same suffix.
    #[error("two request groups have the suffix {0}")]
    SuffixConflict(String),
    /// A group of a port or a device has no requester.
    #[error("requested_resources has a group without requester_id")]
    NoRequester,
    /// A group of a port or a device asks for nothing.
    #[error("the group of {0} in requested_resources asks for nothing")]
    EmptyGroup(String),
    /// A PCI request with several alternatives, or none.
    #[error("the PCI request {0} has {1} specs; tracking in Placement needs exactly one")]
    PciSpecs(String, usize),
    /// The request lacks what Nova always sends.
    #[error("the request has no {0}")]
    Missing(&'static str),
}

fn or_none(name: &Option<String>) -> &str {
    name.as_deref().unwrap_or("None")
}

impl QueryError {
    pub(super) fn not_allowed(what: &str, value: &str, allowed: &[&str]) -> Self {
        Self::Invalid(format!(
            "Invalid {what} {}. Allowed values: {}.",
            python::quoted(value),
            allowed.join(", ")
        ))
    }

    /// The class of Nova's (or Python's) exception for the same request.
    #[must_use]
    pub fn nova_class(&self) -> &'static str {
        match self {
            Self::RequestFilterFailed(_) => "RequestFilterFailed",
            Self::NoSuchHost { .. } => "NoValidHost",
            Self::Invalid(_) | Self::InvalidEncryptionFormat(_) => "Invalid",
            Self::FlavorImageConflict { .. } | Self::EncryptionNeedsUefi => "FlavorImageConflict",
            Self::InvalidMachineType { .. } => "InvalidMachineType",
            Self::StatelessFirmwareRequired(_) => "StatelessFirmwareRequired",
            Self::InvalidVideoMode(_) => "InvalidVideoMode",
            Self::InvalidCpuPolicy { .. } => "InvalidCPUAllocationPolicy",
            Self::ImageCpuPinningForbidden => "ImageCPUPinningForbidden",
            Self::InvalidCpuThreadPolicy { .. } => "InvalidCPUThreadAllocationPolicy",
            Self::ImageCpuThreadPolicyForbidden => "ImageCPUThreadPolicyForbidden",
            Self::InvalidEmulatorThreadsPolicy(_) => "InvalidEmulatorThreadsPolicy",
            Self::InvalidDedicatedMask { .. } => "InvalidMixedInstanceDedicatedMask",
            Self::InvalidRealtimeMask => "RealtimeMaskNotFoundOrInvalid",
            Self::ImagePciNumaPolicyForbidden => "ImagePCINUMAPolicyForbidden",
            Self::InvalidPciNumaAffinity(_) => "InvalidPCINUMAAffinity",
            Self::SuffixConflict(_) => "RequestGroupSuffixConflict",
            Self::NoRequester | Self::EmptyGroup(_) | Self::PciSpecs(..) => "ValueError",
            Self::Missing(_) => "AttributeError",
        }
    }
}
