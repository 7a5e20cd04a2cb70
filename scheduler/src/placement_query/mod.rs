//! The query with which Nova asks Placement for hosts.
//!
//! [`placement_query`] first runs the pre-filters, which write aggregates and traits into the
//! request spec, then translates flavor, image, ports and devices into a [`ResourceRequest`].
//! [`PlacementQuery::ask`] searches the index with that, and no text is made or read;
//! [`ResourceRequest::to_query_string`] is the text that Nova would send.
//!
//! Facts that Nova looks up elsewhere come in as [`PrefilterFacts`]: this module performs no I/O.

mod build;
mod cpu_mask;
mod destination;
mod error;
mod guest;
mod index_query;
mod on_index;
mod pci_groups;
mod pinning;
mod prefilter;
mod query_string;
mod requirements;
mod resource_request;
mod standard;
mod words;

use std::collections::BTreeSet;

use berth_placement::candidates::RequestGroupPolicy;
use uuid::Uuid;

use crate::{AggregateRecord, Options, RequestSpec};
use build::Pinning;

pub use error::QueryError;
pub use index_query::MalformedQuery;
pub use on_index::{CandidateExtent, HostCandidates, Unanswered};
pub(crate) use on_index::{needs_mappings, taken};
pub use pci_groups::DeviceRequest;
pub use resource_request::{RequestGroup, ResourceRequest};

/// The facts about the cloud that pre-filters need besides the request.
#[derive(Debug, Clone, Copy)]
pub struct PrefilterFacts<'a> {
    /// All host aggregates.
    pub aggregates: &'a [AggregateRecord],
    /// The compute nodes among which a named host is looked up.
    pub computes: &'a [ComputeNode],
    /// The version of the oldest compute service.
    pub oldest_compute: u32,
    /// The networks of the request, in its order; `None` when it does not say.
    pub networks: Option<&'a [RequestedNetwork]>,
}

/// A compute node by all its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComputeNode {
    /// The service host.
    pub host: String,
    /// The hypervisor's name.
    pub node: String,
    /// The root resource provider.
    pub uuid: Uuid,
    /// The cell, when it is known.
    pub cell_uuid: Option<String>,
}

/// The facts of Neutron about a requested network or port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestedNetwork {
    /// The aggregates of hosts that reach its segments; none for a network without segments.
    pub aggregates: BTreeSet<Uuid>,
    /// Whether a SmartNIC has to manage the port.
    pub remote_managed: bool,
}

/// The query to Placement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementQuery {
    /// The request.
    pub request: ResourceRequest,
    /// Asked besides, for hosts that do not report dedicated CPUs as `PCPU`. Its candidates come
    /// after the others.
    pub fallback: Option<ResourceRequest>,
}

/// Builds the query to Placement for one instance of the request. The pre-filters' conclusions,
/// and the node that a named host stands for, stay in `spec` for the filters.
///
/// # Errors
///
/// Whatever makes Nova refuse the request before it asks.
pub fn placement_query(
    spec: &mut RequestSpec,
    options: &Options,
    known: &PrefilterFacts<'_>,
) -> Result<PlacementQuery, QueryError> {
    prefilter::narrow(spec, &options.scheduler, known)?;
    let request = resource_request(spec, options, known, Pinning::Translated)?;
    let has_fallback = request.cpu_pinning_requested && !options.workarounds.disable_fallback_pcpu_query;
    let fallback =
        has_fallback.then(|| resource_request(spec, options, known, Pinning::AsShared)).transpose()?;
    Ok(PlacementQuery { request, fallback })
}

fn resource_request(
    spec: &mut RequestSpec,
    options: &Options,
    known: &PrefilterFacts<'_>,
    pinning: Pinning,
) -> Result<ResourceRequest, QueryError> {
    let build::Built { mut request, flavor_groups } = build::build(spec, pinning)?;
    strip_requested(spec);
    request.limit = Some(options.scheduler.max_placement_results.into());
    destination::aim(&mut request, spec, known)?;
    if ["group", "same_host", "different_host"].iter().any(|hint| spec.scheduler_hints.contains(hint)) {
        request.limit = None;
    }
    if request.suffixed.len() >= 2 && flavor_groups <= 1 {
        request.group_policy.get_or_insert(RequestGroupPolicy::None);
    }
    Ok(request)
}

/// Nova's groups of ports and devices lose their amounts of zero when a request is first made of
/// them.
fn strip_requested(spec: &mut RequestSpec) {
    for group in &mut spec.requested_resources {
        group.resources.retain(|_, amount| *amount > 0);
    }
}
