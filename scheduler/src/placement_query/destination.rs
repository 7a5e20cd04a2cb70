//! The destination of the request: aggregates and, if one is named, the host.

use super::error::QueryError;
use super::resource_request::ResourceRequest;
use super::{ComputeNode, PrefilterFacts};
use crate::RequestSpec;

/// Takes the destination's aggregates and the tree of the host that is asked for. Of a host with
/// several nodes no tree can be named; then all candidates are wanted, so that none of its nodes is
/// left out.
///
/// # Errors
///
/// The host or node is not known.
pub(super) fn aim(
    request: &mut ResourceRequest,
    spec: &mut RequestSpec,
    known: &PrefilterFacts<'_>,
) -> Result<(), QueryError> {
    take_aggregates(request, spec);
    let target = Target::of(spec);
    if target.host.is_none() && target.node.is_none() {
        return Ok(());
    }
    match target.find(known)[..] {
        [] => return Err(QueryError::NoSuchHost { host: target.host, node: target.node }),
        [node] => {
            request.unsuffixed.in_tree = Some(node.uuid);
            if let Some(destination) = &mut spec.requested_destination {
                destination.host = Some(node.host.clone());
                destination.node = Some(node.node.clone());
            }
        }
        _ => request.limit = None,
    }
    Ok(())
}

fn take_aggregates(request: &mut ResourceRequest, spec: &RequestSpec) {
    let Some(destination) = &spec.requested_destination else { return };
    request.unsuffixed.member_of.clone_from(&destination.aggregates);
    request.unsuffixed.forbidden_aggregates.extend(&destination.forbidden_aggregates);
}

struct Target {
    host: Option<String>,
    node: Option<String>,
    cell: Option<String>,
}

impl Target {
    /// The destination goes before the forced host and node.
    fn of(spec: &RequestSpec) -> Self {
        let wanted = |name: &String| !name.is_empty();
        let destination = spec.requested_destination.as_ref();
        let host = destination.and_then(|d| d.host.clone()).filter(wanted);
        let node = destination.and_then(|d| d.node.clone()).filter(wanted);
        let first = |names: &[String]| names.first().cloned().filter(wanted);
        Self {
            host: host.or_else(|| first(&spec.force_hosts)),
            node: node.or_else(|| first(&spec.force_nodes)),
            cell: destination.and_then(|d| d.cell_uuid.clone()),
        }
    }

    /// The node of that name, or the nodes of the host.
    fn find<'a>(&self, known: &PrefilterFacts<'a>) -> Vec<&'a ComputeNode> {
        let is = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
        let mut found = known.computes.iter().filter(|compute| {
            is(&self.host, &compute.host)
                && is(&self.node, &compute.node)
                && compute.cell_uuid.as_deref().is_none_or(|cell| is(&self.cell, cell))
        });
        if self.node.is_some() { found.next().into_iter().collect() } else { found.collect() }
    }
}
