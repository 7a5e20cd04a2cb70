//! Hosts as Nova names them.

use berth_nova_rpc::{AllocationRequest, ProviderResources, Selected};
use berth_placement::{Allocations, Topology};
use berth_scheduler::select::{AllocationCandidate, CandidateAllocations, Selection};
use berth_scheduler::{HostTable, RequestSpec};

/// The hosts of each instance, by name. Candidates by row are named by the topology of their index.
pub(crate) fn selected(
    selections: &[Vec<Selection>],
    hosts: &HostTable,
    topology: Option<&Topology>,
    spec: &RequestSpec,
) -> Vec<Vec<Selected>> {
    let name = |selection: &Selection| Selected {
        compute_node_uuid: hosts.uuid(selection.row).map(|uuid| uuid.to_string()).unwrap_or_default(),
        host: hosts.host(selection.row).to_owned(),
        node: hosts.node(selection.row).to_owned(),
        cell_uuid: hosts.class(selection.row).cell_uuid.to_string(),
        availability_zone: selection.availability_zone.clone(),
        allocations: selection.allocation_request.as_ref().map(|candidate| request(candidate, topology)),
        limits: selection.limits,
        network_metadata: spec.network_metadata.clone().filter(|_| selection.limits.is_some()),
    };
    selections.iter().map(|of_one| of_one.iter().map(name).collect()).collect()
}

/// The candidate as an allocation request of Placement.
fn request(candidate: &AllocationCandidate, topology: Option<&Topology>) -> AllocationRequest {
    let mut request = match &candidate.allocations {
        CandidateAllocations::Rows(rows) => {
            topology.map(|topology| named(rows, topology)).unwrap_or_default()
        }
        CandidateAllocations::Named(named) => {
            let amounts = named.iter().map(|(provider, amounts)| {
                (provider.clone(), ProviderResources { resources: amounts.resources.clone() })
            });
            AllocationRequest { allocations: amounts.collect(), mappings: std::collections::BTreeMap::new() }
        }
    };
    request.mappings = candidate.mappings.0.clone();
    if request.mappings.is_empty() {
        // A request of one group: all of its providers serve it.
        request.mappings.insert(String::new(), request.allocations.keys().cloned().collect());
    }
    request
}

fn named(allocations: &Allocations, topology: &Topology) -> AllocationRequest {
    let mut request = AllocationRequest::default();
    for allocation in allocations {
        let provider = topology.provider(allocation.row);
        let class = topology.classes().name(allocation.class.0.into());
        if let (Some(provider), Some(class)) = (provider, class) {
            let of_provider = request.allocations.entry(provider.uuid.to_string()).or_default();
            of_provider.resources.insert(class.to_owned(), allocation.amount.into());
        }
    }
    request
}
