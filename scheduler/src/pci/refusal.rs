//! Why the devices of a host cannot serve a request.

/// The rule that left too few devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Vendor, product and tags.
    Spec,
    /// Closeness to the instance's NUMA cells.
    Affinity,
    /// Physical functions, vDPA and remotely managed devices go to requests that name them.
    Kind,
    /// The providers that placement chose.
    Placement,
    /// Live migratable or not.
    LiveMigration,
    /// A provider's devices have to be in one pool.
    SplitProvider,
}

/// A request that the pools cannot serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("PCI request {request} wants {wanted} devices, {left} are left {}", self.stage.rule())]
pub struct PciMisfit {
    /// Position of the request in the list.
    pub request: usize,
    /// Devices wanted.
    pub wanted: u32,
    /// Devices left after the rule.
    pub left: u64,
    /// The rule.
    pub stage: Stage,
}

impl Stage {
    const fn rule(self) -> &'static str {
        match self {
            Self::Spec => "that match its spec",
            Self::Affinity => "with the NUMA affinity it needs",
            Self::Kind => "without physical functions, vDPA and remotely managed devices it did not ask for",
            Self::Placement => "on the providers that placement chose",
            Self::LiveMigration => "that are live migratable as asked",
            Self::SplitProvider => "but a provider's devices are in several pools",
        }
    }
}

/// A request that cannot be judged. Nova fails the whole scheduling request then, not only the
/// host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PciFault {
    /// A flavor's request has to say what it wants.
    #[error("pci_requests[{0}].spec: empty")]
    NoSpec(usize),
    /// Without it the request's groups cannot be distinguished from others.
    #[error("pci_requests[{0}].request_id: missing though the allocation candidate has mappings")]
    NoRequestId(usize),
    /// A request group is served by one provider.
    #[error("pci_requests[{0}]: its request group is mapped to no provider")]
    NoProvider(usize),
    /// Sockets are known from the host's NUMA cells.
    #[error("pci_requests[{0}].numa_policy: socket, but the host reports no NUMA topology")]
    NoHostTopology(usize),
}

/// Why a request was not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PciRefusal {
    /// This host cannot.
    #[error(transparent)]
    Misfit(#[from] PciMisfit),
    /// The request cannot be judged.
    #[error(transparent)]
    Fault(#[from] PciFault),
}
