//! Selection objects: hosts as the answer names them.

use std::collections::BTreeMap;

use berth_scheduler::filters::NumaLimits;
use berth_scheduler::numa::NetworkMetadata;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::object::Sent;
use crate::python_json::dumps;

/// The microversion of Placement that allocation requests are written for.
const ALLOCATION_REQUEST_VERSION: &str = "1.36";

/// A chosen host or an alternate.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    /// The compute node.
    pub compute_node_uuid: String,
    /// Its service host.
    pub host: String,
    /// Its name.
    pub node: String,
    /// The cell it is in.
    pub cell_uuid: String,
    /// The zone of the host.
    pub availability_zone: String,
    /// The allocations claimed there, or to be claimed; none for a rebuild.
    pub allocations: Option<AllocationRequest>,
    /// The limits by which NUMATopologyFilter judged the host.
    pub limits: Option<NumaLimits>,
    /// The networks of the request, which belong to these limits.
    pub network_metadata: Option<NetworkMetadata>,
}

/// An allocation request of Placement.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AllocationRequest {
    /// Amounts by provider and resource class.
    pub allocations: BTreeMap<String, ProviderResources>,
    /// The providers of each request group, by its suffix.
    pub mappings: BTreeMap<String, Vec<String>>,
}

/// Amounts by resource class.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProviderResources {
    /// The amounts.
    pub resources: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct SelectionData<'a> {
    compute_node_uuid: &'a str,
    service_host: &'a str,
    nodename: &'a str,
    cell_uuid: &'a str,
    limits: Sent<Limits<'a>>,
    allocation_request: String,
    allocation_request_version: Option<&'static str>,
    availability_zone: &'a str,
}

#[derive(Serialize)]
struct Dictionary<'a> {
    host: &'a str,
    nodename: &'a str,
    limits: GivenLimits<'a>,
}

#[derive(Serialize)]
struct GivenLimits<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    numa_topology: Option<Sent<NumaData<'a>>>,
}

#[derive(Serialize)]
struct Limits<'a> {
    numa_topology: Option<Sent<NumaData<'a>>>,
    vcpu: Option<()>,
    disk_gb: Option<()>,
    memory_mb: Option<()>,
}

#[derive(Serialize)]
struct NumaData<'a> {
    cpu_allocation_ratio: f64,
    ram_allocation_ratio: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_metadata: Option<Sent<&'a NetworkMetadata>>,
}

impl Selected {
    fn numa(&self) -> Option<Sent<NumaData<'_>>> {
        let limits = self.limits?;
        let network = |metadata| Sent::new("NetworkMetadata", "1.0", metadata, &["physnets", "tunneled"]);
        let data = NumaData {
            cpu_allocation_ratio: limits.cpu_allocation_ratio,
            ram_allocation_ratio: limits.ram_allocation_ratio,
            network_metadata: self.network_metadata.as_ref().map(network),
        };
        let changes: &[&str] = if data.network_metadata.is_some() {
            &["cpu_allocation_ratio", "network_metadata", "ram_allocation_ratio"]
        } else {
            &["cpu_allocation_ratio", "ram_allocation_ratio"]
        };
        Some(Sent::new("NUMATopologyLimits", "1.1", data, changes))
    }

    /// The host as a Selection object.
    fn object(&self) -> Sent<SelectionData<'_>> {
        let limits = Limits { numa_topology: self.numa(), vcpu: None, disk_gb: None, memory_mb: None };
        let version = self.allocations.as_ref().map(|_| ALLOCATION_REQUEST_VERSION);
        let data = SelectionData {
            compute_node_uuid: &self.compute_node_uuid,
            service_host: &self.host,
            nodename: &self.node,
            cell_uuid: &self.cell_uuid,
            limits: Sent::new(
                "SchedulerLimits",
                "1.0",
                limits,
                &["vcpu", "disk_gb", "memory_mb", "numa_topology"],
            ),
            allocation_request: dumps(&self.allocations),
            allocation_request_version: version,
            availability_zone: &self.availability_zone,
        };
        let changes = &[
            "service_host",
            "allocation_request_version",
            "cell_uuid",
            "compute_node_uuid",
            "nodename",
            "allocation_request",
            "limits",
            "availability_zone",
        ];
        Sent::new("Selection", "1.1", data, changes)
    }

    /// The host as the dictionary that callers of before version 4.5 read.
    fn dictionary(&self) -> Dictionary<'_> {
        let limits = GivenLimits { numa_topology: self.numa() };
        Dictionary { host: &self.host, nodename: &self.node, limits }
    }
}

/// The result of `select_destinations` as JSON: for each instance its host and the alternates.
#[must_use]
pub fn result(selections: &[Vec<Selected>], as_objects: bool) -> Box<RawValue> {
    let text = if as_objects {
        let lists = selections.iter().map(|hosts| hosts.iter().map(Selected::object).collect::<Vec<_>>());
        dumps(&lists.collect::<Vec<_>>())
    } else {
        let chosen = selections.iter().filter_map(|hosts| hosts.first());
        dumps(&chosen.map(Selected::dictionary).collect::<Vec<_>>())
    };
    RawValue::from_string(text).expect("it is JSON")
}
