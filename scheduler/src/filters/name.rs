//! The filters by name.

use std::fmt;
use std::str::FromStr;

use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};

use super::affinity::{DifferentHostFilter, SameHostFilter};
use super::aggregate_image_properties::AggregateImagePropertiesIsolation;
use super::aggregate_instance_extra_specs::AggregateInstanceExtraSpecsFilter;
use super::aggregate_multi_tenancy::AggregateMultiTenancyIsolation;
use super::aggregate_type_affinity::AggregateTypeAffinityFilter;
use super::all_hosts::AllHostsFilter;
use super::availability_zone::AvailabilityZoneFilter;
use super::compute::ComputeFilter;
use super::compute_capabilities::ComputeCapabilitiesFilter;
use super::core::CoreFilter;
use super::disk::DiskFilter;
use super::host_limits::{IoOpsFilter, NumInstancesFilter};
use super::image_properties::ImagePropertiesFilter;
use super::isolated_hosts::IsolatedHostsFilter;
use super::json::JsonFilter;
use super::metrics::MetricsFilter;
use super::numa_topology::NumaTopologyFilter;
use super::pci_passthrough::PciPassthroughFilter;
use super::ram::RamFilter;
use super::retry::RetryFilter;
use super::server_group::{ServerGroupAffinityFilter, ServerGroupAntiAffinityFilter};
use super::simple_cidr_affinity::SimpleCidrAffinityFilter;
use super::{Filter, Scene};

/// The name of a filter, as `enabled_filters` lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[expect(missing_docs, reason = "each is documented at the type of that name")]
pub enum FilterName {
    AggregateCoreFilter,
    AggregateDiskFilter,
    AggregateImagePropertiesIsolation,
    AggregateInstanceExtraSpecsFilter,
    AggregateIoOpsFilter,
    AggregateMultiTenancyIsolation,
    AggregateNumInstancesFilter,
    AggregateRamFilter,
    AggregateTypeAffinityFilter,
    AllHostsFilter,
    AvailabilityZoneFilter,
    ComputeCapabilitiesFilter,
    ComputeFilter,
    CoreFilter,
    DifferentHostFilter,
    DiskFilter,
    ImagePropertiesFilter,
    IoOpsFilter,
    IsolatedHostsFilter,
    JsonFilter,
    MetricsFilter,
    NUMATopologyFilter,
    NumInstancesFilter,
    PciPassthroughFilter,
    RamFilter,
    RetryFilter,
    SameHostFilter,
    ServerGroupAffinityFilter,
    ServerGroupAntiAffinityFilter,
    SimpleCIDRAffinityFilter,
}

/// There is no filter of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown filter {0}")]
pub struct UnknownFilter(pub String);

impl FromStr for FilterName {
    type Err = UnknownFilter;

    fn from_str(name: &str) -> Result<Self, UnknownFilter> {
        let deserializer: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
            name.into_deserializer();
        Self::deserialize(deserializer).map_err(|_| UnknownFilter(name.to_owned()))
    }
}

impl fmt::Display for FilterName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

impl FilterName {
    /// The filters that Nova enables by default.
    pub const DEFAULT: [Self; 5] = [
        Self::ComputeFilter,
        Self::ComputeCapabilitiesFilter,
        Self::ImagePropertiesFilter,
        Self::ServerGroupAntiAffinityFilter,
        Self::ServerGroupAffinityFilter,
    ];

    /// Whether it is left out for the second and later instances of a request: nothing it looks at
    /// changes between them.
    #[must_use]
    pub const fn runs_once(self) -> bool {
        match self {
            Self::AggregateCoreFilter
            | Self::AggregateDiskFilter
            | Self::AggregateIoOpsFilter
            | Self::AggregateNumInstancesFilter
            | Self::AggregateRamFilter
            | Self::CoreFilter
            | Self::DiskFilter
            | Self::IoOpsFilter
            | Self::JsonFilter
            | Self::MetricsFilter
            | Self::NUMATopologyFilter
            | Self::NumInstancesFilter
            | Self::PciPassthroughFilter
            | Self::RamFilter
            | Self::ServerGroupAffinityFilter
            | Self::ServerGroupAntiAffinityFilter => false,
            Self::AggregateImagePropertiesIsolation
            | Self::AggregateInstanceExtraSpecsFilter
            | Self::AggregateMultiTenancyIsolation
            | Self::AggregateTypeAffinityFilter
            | Self::AllHostsFilter
            | Self::AvailabilityZoneFilter
            | Self::ComputeCapabilitiesFilter
            | Self::ComputeFilter
            | Self::DifferentHostFilter
            | Self::ImagePropertiesFilter
            | Self::IsolatedHostsFilter
            | Self::RetryFilter
            | Self::SameHostFilter
            | Self::SimpleCIDRAffinityFilter => true,
        }
    }

    /// Whether it judges the rebuild of an instance on its host.
    #[must_use]
    pub(crate) const fn runs_on_rebuild(self) -> bool {
        match self {
            Self::AggregateImagePropertiesIsolation
            | Self::ImagePropertiesFilter
            | Self::IsolatedHostsFilter => true,
            Self::AggregateCoreFilter
            | Self::AggregateDiskFilter
            | Self::AggregateInstanceExtraSpecsFilter
            | Self::AggregateIoOpsFilter
            | Self::AggregateMultiTenancyIsolation
            | Self::AggregateNumInstancesFilter
            | Self::AggregateRamFilter
            | Self::AggregateTypeAffinityFilter
            | Self::AllHostsFilter
            | Self::AvailabilityZoneFilter
            | Self::ComputeCapabilitiesFilter
            | Self::ComputeFilter
            | Self::CoreFilter
            | Self::DifferentHostFilter
            | Self::DiskFilter
            | Self::IoOpsFilter
            | Self::JsonFilter
            | Self::MetricsFilter
            | Self::NUMATopologyFilter
            | Self::NumInstancesFilter
            | Self::PciPassthroughFilter
            | Self::RamFilter
            | Self::RetryFilter
            | Self::SameHostFilter
            | Self::ServerGroupAffinityFilter
            | Self::ServerGroupAntiAffinityFilter
            | Self::SimpleCIDRAffinityFilter => false,
        }
    }

    /// Whether it drops allocation candidates of hosts.
    #[must_use]
    pub const fn filters_candidates(self) -> bool {
        match self {
            Self::NUMATopologyFilter | Self::PciPassthroughFilter => true,
            Self::AggregateCoreFilter
            | Self::AggregateDiskFilter
            | Self::AggregateImagePropertiesIsolation
            | Self::AggregateInstanceExtraSpecsFilter
            | Self::AggregateIoOpsFilter
            | Self::AggregateMultiTenancyIsolation
            | Self::AggregateNumInstancesFilter
            | Self::AggregateRamFilter
            | Self::AggregateTypeAffinityFilter
            | Self::AllHostsFilter
            | Self::AvailabilityZoneFilter
            | Self::ComputeCapabilitiesFilter
            | Self::ComputeFilter
            | Self::CoreFilter
            | Self::DifferentHostFilter
            | Self::DiskFilter
            | Self::ImagePropertiesFilter
            | Self::IoOpsFilter
            | Self::IsolatedHostsFilter
            | Self::JsonFilter
            | Self::MetricsFilter
            | Self::NumInstancesFilter
            | Self::RamFilter
            | Self::RetryFilter
            | Self::SameHostFilter
            | Self::ServerGroupAffinityFilter
            | Self::ServerGroupAntiAffinityFilter
            | Self::SimpleCIDRAffinityFilter => false,
        }
    }

    /// The filter for a request. A rebuild passes all filters that do not judge it.
    #[must_use]
    pub fn prepare<'a>(self, scene: &'a Scene<'a>) -> Box<dyn Filter + 'a> {
        if scene.request.is_rebuild() && !self.runs_on_rebuild() {
            return Box::new(AllHostsFilter);
        }
        match self {
            Self::AggregateCoreFilter => Box::new(CoreFilter::by_aggregate(scene)),
            Self::AggregateDiskFilter => Box::new(DiskFilter::by_aggregate(scene)),
            Self::AggregateImagePropertiesIsolation => {
                Box::new(AggregateImagePropertiesIsolation::new(scene))
            }
            Self::AggregateInstanceExtraSpecsFilter => {
                Box::new(AggregateInstanceExtraSpecsFilter::new(scene))
            }
            Self::AggregateIoOpsFilter => Box::new(IoOpsFilter::by_aggregate(scene)),
            Self::AggregateMultiTenancyIsolation => Box::new(AggregateMultiTenancyIsolation::new(scene)),
            Self::AggregateNumInstancesFilter => Box::new(NumInstancesFilter::by_aggregate(scene)),
            Self::AggregateRamFilter => Box::new(RamFilter::by_aggregate(scene)),
            Self::AggregateTypeAffinityFilter => Box::new(AggregateTypeAffinityFilter::new(scene)),
            Self::AllHostsFilter => Box::new(AllHostsFilter),
            Self::AvailabilityZoneFilter => Box::new(AvailabilityZoneFilter::new(scene)),
            Self::ComputeCapabilitiesFilter => Box::new(ComputeCapabilitiesFilter::new(scene)),
            Self::ComputeFilter => Box::new(ComputeFilter::new(scene)),
            Self::CoreFilter => Box::new(CoreFilter::new(scene)),
            Self::DifferentHostFilter => Box::new(DifferentHostFilter::new(scene)),
            Self::DiskFilter => Box::new(DiskFilter::new(scene)),
            Self::ImagePropertiesFilter => Box::new(ImagePropertiesFilter::new(scene)),
            Self::IoOpsFilter => Box::new(IoOpsFilter::new(scene)),
            Self::IsolatedHostsFilter => Box::new(IsolatedHostsFilter::new(scene)),
            Self::JsonFilter => Box::new(JsonFilter::new(scene)),
            Self::MetricsFilter => Box::new(MetricsFilter::new(scene)),
            Self::NUMATopologyFilter => Box::new(NumaTopologyFilter::new(scene)),
            Self::NumInstancesFilter => Box::new(NumInstancesFilter::new(scene)),
            Self::PciPassthroughFilter => Box::new(PciPassthroughFilter::new(scene)),
            Self::RamFilter => Box::new(RamFilter::new(scene)),
            Self::RetryFilter => Box::new(RetryFilter::new(scene)),
            Self::SameHostFilter => Box::new(SameHostFilter::new(scene)),
            Self::ServerGroupAffinityFilter => Box::new(ServerGroupAffinityFilter::new(scene)),
            Self::ServerGroupAntiAffinityFilter => Box::new(ServerGroupAntiAffinityFilter::new(scene)),
            Self::SimpleCIDRAffinityFilter => Box::new(SimpleCidrAffinityFilter::new(scene)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_novas() {
        assert_eq!("NUMATopologyFilter".parse(), Ok(FilterName::NUMATopologyFilter));
        assert_eq!(FilterName::SimpleCIDRAffinityFilter.to_string(), "SimpleCIDRAffinityFilter");
        assert!("CoreFiltre".parse::<FilterName>().is_err());
    }
}
