//! The requested amounts.

use berth_placement::ClassId;
use uuid::Uuid;

/// A request for one host: amounts of resources, and constraints on the host itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Request {
    /// Amounts of resource classes. An amount of 0 asks for nothing; amounts of a class named twice
    /// add up.
    pub resources: Vec<(ClassId, u32)>,
    /// Traits the host has, by name.
    pub required_traits: Vec<String>,
    /// Traits the host has not.
    pub forbidden_traits: Vec<String>,
    /// The host is in at least one aggregate of every list.
    pub member_of: Vec<Vec<Uuid>>,
    /// The host is in none of these aggregates.
    pub forbidden_aggregates: Vec<Uuid>,
}

impl Request {
    /// A request for the classes every VM asks for, without constraints.
    #[must_use]
    pub fn of(vcpus: u32, memory_mb: u32, disk_gb: u32) -> Self {
        let resources =
            vec![(ClassId::VCPU, vcpus), (ClassId::MEMORY_MB, memory_mb), (ClassId::DISK_GB, disk_gb)];
        Self { resources, ..Self::default() }
    }
}
