//! The pre-filters: additions to a request before the query to Placement, in Nova's order.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::build::{self, Pinning};
use super::error::QueryError;
use super::requirements::Requirements;
use super::{PrefilterFacts, guest, standard};
use crate::options::SchedulerOptions;
use crate::request_spec::Destination;
use crate::{AggregateRecord, RequestSpec};

/// The oldest compute service that says of its providers that they are Nova's.
const OWNER_TRAIT_SINCE: u32 = 73;
const OWNER_NOVA: &str = "OWNER_NOVA";

/// Narrows the request: aggregates go to its destination, traits to what it asks of root providers.
///
/// # Errors
///
/// The tenant has no aggregate but needs one, an option of the flavor is unknown, or flavor and
/// image disagree.
pub(super) fn narrow(
    spec: &mut RequestSpec,
    options: &SchedulerOptions,
    known: &PrefilterFacts<'_>,
) -> Result<(), QueryError> {
    tenant(spec, options, known)?;
    availability_zone(spec, known);
    image_type(spec, options)?;
    spec.request_level_params.root_forbidden.insert("COMPUTE_STATUS_DISABLED".to_owned());
    isolated_aggregates(spec, options, known)?;
    image_metadata(spec, options)?;
    accelerators(spec);
    packed_virtqueue(spec)?;
    routed_networks(spec, options, known);
    remote_managed_ports(spec, known);
    ephemeral_encryption(spec)?;
    sound(spec)?;
    tpm_secret(spec)?;
    owner(spec, known);
    Ok(())
}

fn require(spec: &mut RequestSpec, name: impl Into<String>) {
    spec.request_level_params.root_required.insert(name.into());
}

fn destination(spec: &mut RequestSpec) -> &mut Destination {
    spec.requested_destination.get_or_insert_default()
}

/// One more set of aggregates, of which a host has to be in at least one.
fn require_aggregates(spec: &mut RequestSpec, set: BTreeSet<Uuid>) {
    if !set.is_empty() {
        destination(spec).aggregates.push(set);
    }
}

fn uuids(known: &PrefilterFacts<'_>, wanted: impl Fn(&AggregateRecord) -> bool) -> BTreeSet<Uuid> {
    let wanted = known.aggregates.iter().filter(|aggregate| wanted(aggregate));
    wanted.filter_map(|aggregate| aggregate.uuid).collect()
}

/// The aggregates set aside for the tenant.
fn tenant(
    spec: &mut RequestSpec,
    options: &SchedulerOptions,
    known: &PrefilterFacts<'_>,
) -> Result<(), QueryError> {
    if !options.limit_tenants_to_placement_aggregate {
        return Ok(());
    }
    let project = spec.project_id.clone();
    let own = uuids(known, |aggregate| {
        aggregate.metadata.iter().any(|(key, value)| key.starts_with("filter_tenant_id") && *value == project)
    });
    if own.is_empty() && options.placement_aggregate_required_for_tenants {
        return Err(QueryError::RequestFilterFailed("No hosts available for tenant".to_owned()));
    }
    require_aggregates(spec, own);
    Ok(())
}

/// A zone is the aggregates that name it. One that no aggregate names restricts nothing.
fn availability_zone(spec: &mut RequestSpec, known: &PrefilterFacts<'_>) {
    let Some(zone) = spec.availability_zone.clone().filter(|zone| !zone.is_empty()) else { return };
    let of_zone = uuids(known, |aggregate| aggregate.metadata.get("availability_zone") == Some(&zone));
    require_aggregates(spec, of_zone);
}

/// Hosts that can read the image's format. With a root volume the format does not matter.
fn image_type(spec: &mut RequestSpec, options: &SchedulerOptions) -> Result<(), QueryError> {
    if !options.query_placement_for_image_type_support || spec.is_bfv {
        return Ok(());
    }
    let image = spec.image.as_ref().ok_or(QueryError::Missing("image"))?;
    let format = image.disk_format.as_deref().ok_or(QueryError::Missing("image.disk_format"))?;
    let name = format!("COMPUTE_IMAGE_TYPE_{}", format.to_uppercase());
    if standard::is_trait(&name) {
        require(spec, name);
    }
    Ok(())
}

/// Keeps out of aggregates that are for certain traits unless the request has them all.
fn isolated_aggregates(
    spec: &mut RequestSpec,
    options: &SchedulerOptions,
    known: &PrefilterFacts<'_>,
) -> Result<(), QueryError> {
    if !options.enable_isolated_aggregate_filtering {
        return Ok(());
    }
    let request = build::build(spec, Pinning::Translated)?.request;
    let required: BTreeSet<&str> = request.required_traits().collect();
    let closed = uuids(known, |aggregate| {
        aggregate.metadata.iter().any(|(key, value)| {
            value == "required"
                && isolates(key)
                && !key.strip_prefix(TRAIT).is_some_and(|name| required.contains(name))
        })
    });
    super::strip_requested(spec);
    if !closed.is_empty() {
        destination(spec).forbidden_aggregates.extend(closed);
    }
    Ok(())
}

const TRAIT: &str = "trait:";

/// Whether a metadata key is about a trait. The database does not regard the prefix's case,
/// although no request can ask for a key in another case.
fn isolates(key: &str) -> bool {
    key.get(..TRAIT.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(TRAIT))
}

/// Image properties that have a trait for each of their values.
const TRAITS_OF_PROPERTIES: [(&str, &str); 7] = [
    ("hw_cdrom_bus", "COMPUTE_STORAGE_BUS"),
    ("hw_disk_bus", "COMPUTE_STORAGE_BUS"),
    ("hw_video_model", "COMPUTE_GRAPHICS_MODEL"),
    ("hw_vif_model", "COMPUTE_NET_VIF_MODEL"),
    ("hw_architecture", "HW_ARCH"),
    ("hw_emulation_architecture", "COMPUTE_ARCH"),
    ("hw_viommu_model", "COMPUTE_VIOMMU"),
];

/// Hosts that can give the guest the devices of its image. One value without a trait, and none is
/// asked for.
fn image_metadata(spec: &mut RequestSpec, options: &SchedulerOptions) -> Result<(), QueryError> {
    if !options.image_metadata_prefilter {
        return Ok(());
    }
    let requirements = Requirements::of(spec);
    let name = |(property, prefix): (&str, &str)| {
        let value = requirements.property(property)?.replace('-', "_").to_uppercase();
        Some(format!("{prefix}_{value}"))
    };
    let names: Vec<_> = TRAITS_OF_PROPERTIES.into_iter().filter_map(name).collect();
    if names.iter().all(|name| standard::is_trait(name)) {
        spec.request_level_params.root_required.extend(names);
    }
    Ok(())
}

fn accelerators(spec: &mut RequestSpec) {
    if Requirements::of(spec).spec("accel:device_profile").is_some_and(|profile| !profile.is_empty()) {
        require(spec, "COMPUTE_ACCELERATORS");
    }
}

fn packed_virtqueue(spec: &mut RequestSpec) -> Result<(), QueryError> {
    if Requirements::of(spec).agreed_flag("virtio_packed_ring")? {
        require(spec, "COMPUTE_NET_VIRTIO_PACKED");
    }
    Ok(())
}

/// Hosts that reach a segment of each network.
fn routed_networks(spec: &mut RequestSpec, options: &SchedulerOptions, known: &PrefilterFacts<'_>) {
    let Some(networks) = known.networks.filter(|_| options.query_placement_for_routed_network_aggregates)
    else {
        return;
    };
    destination(spec);
    for network in networks {
        require_aggregates(spec, network.aggregates.clone());
    }
}

fn remote_managed_ports(spec: &mut RequestSpec, known: &PrefilterFacts<'_>) {
    if known.networks.is_some_and(|networks| networks.iter().any(|network| network.remote_managed)) {
        require(spec, "COMPUTE_REMOTE_MANAGED_PORTS");
    }
}

fn ephemeral_encryption(spec: &mut RequestSpec) -> Result<(), QueryError> {
    let requirements = Requirements::of(spec);
    if !requirements.agreed_flag("ephemeral_encryption")? {
        return Ok(());
    }
    let format = requirements.agreed("hw", "ephemeral_encryption_format")?;
    require(spec, "COMPUTE_EPHEMERAL_ENCRYPTION");
    match format {
        Some(format) if !["plain", "luks", "luksv2"].contains(&format.as_str()) => {
            return Err(QueryError::InvalidEncryptionFormat(format));
        }
        Some(format) => require(spec, format!("COMPUTE_EPHEMERAL_ENCRYPTION_{}", format.to_uppercase())),
        None => {}
    }
    Ok(())
}

const SOUND_MODELS: [&str; 8] = ["sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb", "virtio"];

fn sound(spec: &mut RequestSpec) -> Result<(), QueryError> {
    let model = Requirements::of(spec).one_of("hw", "sound_model", "sound device model", &SOUND_MODELS)?;
    if model.as_deref() == Some("virtio") {
        require(spec, "COMPUTE_SOUND_MODEL_VIRTIO");
    }
    Ok(())
}

/// Hosts that can keep the secret of a TPM where the flavor wants it.
fn tpm_secret(spec: &mut RequestSpec) -> Result<(), QueryError> {
    let requirements = Requirements::of(spec);
    if guest::tpm(&requirements)?.is_none() {
        return Ok(());
    }
    let keeper =
        requirements.spec("hw:tpm_secret_security").filter(|keeper| !keeper.is_empty()).unwrap_or("user");
    if !["user", "host", "deployment"].contains(&keeper) {
        return Err(QueryError::RequestFilterFailed(format!(
            "TPM secret security '{keeper}' is not supported."
        )));
    }
    let name = format!("COMPUTE_SECURITY_TPM_SECRET_SECURITY_{}", keeper.to_uppercase());
    require(spec, name);
    Ok(())
}

/// Providers of Nova only, as soon as every compute service marks its own.
fn owner(spec: &mut RequestSpec, known: &PrefilterFacts<'_>) {
    if spec.request_level_params.root_required.contains(OWNER_NOVA)
        || known.oldest_compute < OWNER_TRAIT_SINCE
    {
        return;
    }
    require(spec, OWNER_NOVA);
    let devices = super::pci_groups::requests_of_flavor(spec);
    for group in &mut spec.requested_resources {
        let requester = group.requester_id.as_deref().unwrap_or("");
        let request = requester.rsplit_once('-').map_or(requester, |(request, _)| request);
        if !request.is_empty() && devices.contains(request) {
            group.required_traits.insert(OWNER_NOVA.to_owned());
        }
    }
}
