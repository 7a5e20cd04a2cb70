//! From a request spec to a resource request: flavor, image and the groups of ports and devices.

use berth_placement::candidates::RequestGroupPolicy;

use super::error::QueryError;
use super::requirements::Requirements;
use super::resource_request::{RequestGroup, ResourceRequest};
use super::words::amount;
use super::{guest, pinning};
use crate::RequestSpec;
use crate::request_spec::RequestedFlavor;

/// Whether dedicated CPUs are asked for as `PCPU`, or as `VCPU` from hosts that do not report
/// `PCPU` yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pinning {
    Translated,
    AsShared,
}

/// A request and what it was made of.
pub(super) struct Built {
    pub(super) request: ResourceRequest,
    /// Suffixed groups that the flavor itself names.
    pub(super) flavor_groups: usize,
}

/// Makes the request of everything but the destination.
///
/// # Errors
///
/// Flavor and image contradict each other or themselves, or a group of a port or device is
/// malformed.
pub(super) fn build(spec: &RequestSpec, pinning: Pinning) -> Result<Built, QueryError> {
    let requirements = Requirements::of(spec);
    let mut request = ResourceRequest {
        root_required: spec.request_level_params.root_required.clone(),
        root_forbidden: spec.request_level_params.root_forbidden.clone(),
        same_subtree: spec.request_level_params.same_subtree.clone(),
        ..ResourceRequest::default()
    };
    take_extra_specs(&mut request, &spec.flavor);
    let flavor_groups = request.suffixed.len();
    for name in requirements.required_traits() {
        request.unsuffixed.require(name);
    }
    if pinning == Pinning::Translated {
        pinning::translate(&mut request, &requirements)?;
    }
    take_requested_groups(&mut request, spec)?;
    take_flavor(&mut request, spec);
    guest::translate(&mut request, &requirements)?;
    request.strip_zeros();
    Ok(Built { request, flavor_groups })
}

/// The subject of an extra spec about resources or traits: `resources1:VGPU`, `trait_x:CUSTOM_A`.
enum Key<'a> {
    Resource { suffix: &'a str, class: &'a str },
    Trait { suffix: &'a str, name: &'a str },
}

impl<'a> Key<'a> {
    fn parse(key: &'a str) -> Option<Self> {
        let (scope, name) = key.split_once(':')?;
        if let Some(suffix) = scope.strip_prefix("resources").filter(|suffix| is_suffix(suffix)) {
            return Some(Self::Resource { suffix, class: name });
        }
        let suffix = scope.strip_prefix("trait").filter(|suffix| is_suffix(suffix))?;
        Some(Self::Trait { suffix, name })
    }
}

/// Whether the text may stand behind the name of a parameter. The unsuffixed group has the empty
/// one.
pub(super) fn is_suffix(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn take_extra_specs(request: &mut ResourceRequest, flavor: &RequestedFlavor) {
    for (key, value) in flavor.extra_specs.iter() {
        match Key::parse(key) {
            Some(Key::Resource { suffix, class }) => request.group(suffix).set_resource(class, value),
            Some(Key::Trait { suffix, name }) => request.group(suffix).set_trait(name, value),
            None if key == "group_policy" => {
                request.group_policy = RequestGroupPolicy::parse(value).or(request.group_policy);
            }
            None => {}
        }
    }
}

/// The groups of ports and devices, each under its requester's name.
fn take_requested_groups(request: &mut ResourceRequest, spec: &RequestSpec) -> Result<(), QueryError> {
    for asked in &spec.requested_resources {
        let suffix =
            asked.requester_id.as_deref().filter(|id| !id.is_empty()).ok_or(QueryError::NoRequester)?;
        let group = RequestGroup::of(asked);
        if group.is_empty() {
            return Err(QueryError::EmptyGroup(suffix.to_owned()));
        }
        if request.suffixed.insert(suffix.to_owned(), group).is_some() {
            return Err(QueryError::SuffixConflict(suffix.to_owned()));
        }
    }
    Ok(())
}

/// The flavor's own amounts, for classes that nothing else asked for.
fn take_flavor(request: &mut ResourceRequest, spec: &RequestSpec) {
    if request.total("VCPU").is_none() && request.total("PCPU").is_none() {
        request.unsuffixed.ask("VCPU", amount(spec.flavor.vcpus));
    }
    if request.total("MEMORY_MB").is_none() {
        request.unsuffixed.ask("MEMORY_MB", amount(spec.flavor.memory_mb));
    }
    if request.total("DISK_GB").is_none() {
        let root = if spec.is_bfv { 0 } else { amount(spec.flavor.root_gb) };
        let disk = [amount(spec.flavor.ephemeral_gb), amount(spec.flavor.swap).div_ceil(1024), root];
        request.unsuffixed.ask("DISK_GB", disk.into_iter().fold(0, u64::saturating_add));
    }
}
