//! Why a filter refuses a host, or cannot judge it.

use serde::{Serialize, Serializer};

use crate::numa::{NumaFault, NumaMisfit};
use crate::pci::{PciFault, PciMisfit};
use crate::python::NotANumber;

use super::extra_spec_match::MatchError;
use super::json_query::JsonQueryError;

/// Why a host is refused.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "kind", content = "details", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the message says what each field is")]
pub enum Reason {
    #[error("the host has never reported")]
    NotReported,
    #[error("the request is for {asked}")]
    NotTheDestination { asked: String },
    #[error("the request ignores host {host}")]
    Ignored { host: String },
    #[error("the request insists on hosts {asked}")]
    NotAForcedHost { asked: String },
    #[error("the request insists on nodes {asked}")]
    NotAForcedNode { asked: String },
    #[error("the host was tried before")]
    TriedBefore,
    #[error("the service is disabled{}", .reason.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Disabled { reason: Option<String> },
    #[error("the service was forced down")]
    ForcedDown,
    #[error("the service reported {seconds} s ago, {limit} s are allowed")]
    Silent { seconds: i64, limit: i64 },
    #[error("asked zone {asked}, the host is in {found}")]
    OtherZone { asked: String, found: String },
    #[error("asked {asked} MiB of memory, {free} MiB are free")]
    TooLittleMemory { asked: i64, free: f64 },
    #[error("asked {asked} vCPUs, {free} are free")]
    TooFewCpus { asked: i64, free: f64 },
    #[error("asked {asked} MiB of disk, {free} MiB are free")]
    TooLittleDisk { asked: i64, free: f64 },
    #[error("{found} I/O operations, fewer than {limit} are allowed")]
    TooManyIoOps { found: i64, limit: i64 },
    #[error("{found} instances, fewer than {limit} are allowed")]
    TooManyInstances { found: i64, limit: i64 },
    #[error("extra spec {key}: the host has no such capability")]
    NoCapability { key: String },
    #[error("extra spec {key}: asked '{asked}', found '{found}'")]
    OtherCapability { key: String, asked: String, found: String },
    #[error("extra spec {key}: no aggregate of the host has the key")]
    NotInAggregates { key: String },
    #[error("extra spec {key}: asked '{asked}', the aggregates have {found}")]
    OtherAggregateValue { key: String, asked: String, found: String },
    #[error("the host does not say which instances it supports")]
    NoSupportedInstances,
    #[error("the image asks for {asked}, which no supported instance has")]
    UnsupportedImage { asked: String },
    #[error("the image asks for a hypervisor version {asked}, the host has {found}")]
    OtherHypervisorVersion { asked: String, found: i64 },
    #[error("the image asks for {asked} physical address bits, the host has {found}")]
    TooFewAddressBits { asked: i64, found: i64 },
    #[error("image property {key} is '{found}', the aggregates allow {allowed}")]
    ImageKeptOut { key: String, found: String, allowed: String },
    #[error("the aggregates admit other projects only")]
    ProjectKeptOut,
    #[error("the aggregates admit flavors {admitted} only")]
    FlavorKeptOut { admitted: String },
    #[error("the host is kept for isolated images")]
    HostIsIsolated,
    #[error("the image needs an isolated host")]
    ImageIsIsolated,
    #[error("{found} instances of the server group, fewer than {limit} are allowed")]
    TooManyOfTheGroup { found: i64, limit: i64 },
    #[error("the server group is on {hosts} other hosts")]
    GroupIsElsewhere { hosts: usize },
    #[error("an instance to be apart from is here")]
    SameHostAsOther,
    #[error("no instance to be together with is here")]
    NotTheSameHost,
    #[error("address {address} is not in {network}")]
    OtherNetwork { address: String, network: String },
    #[error("the query is false for this host")]
    QueryIsFalse,
    #[error("metric {name} is missing")]
    NoMetric { name: String },
    #[error(transparent)]
    #[serde(serialize_with = "as_text")]
    Numa(#[from] NumaMisfit),
    #[error(transparent)]
    #[serde(serialize_with = "as_text")]
    Pci(#[from] PciMisfit),
    #[error("the host has no passthrough devices, or no allocation candidate is left")]
    NoDevices,
    #[error("trait {name} is missing")]
    NoTrait { name: String },
    #[error("trait {name} is forbidden")]
    ForbiddenTrait { name: String },
    #[error("the host is in none of the aggregates {asked}")]
    OutsideAggregates { asked: String },
    #[error("the host is in aggregate {found}, which is forbidden")]
    ForbiddenAggregate { found: String },
    #[error("the request is for provider {asked}")]
    OtherProvider { asked: String },
    #[error("the host has no {class}")]
    NoInventory { class: String },
    #[error("asked {asked} {class}, {free} free")]
    TooLittle { class: String, asked: u64, free: i64 },
    #[error(
        "asked {asked} {class}, one allocation may have {min_unit} to {max_unit} in steps of {step_size}"
    )]
    UnitRules { class: String, asked: u64, min_unit: u32, max_unit: u32, step_size: u32 },
    #[error("no provider of the host can serve group {group}: {asked}")]
    NoProviderForGroup { group: String, asked: String },
    #[error(
        "each part of the request finds a provider of the host, but no choice of providers serves all of it"
    )]
    NoCombination,
    #[error("Placement has no allocation candidate on the host")]
    NoCandidate,
    #[error("no allocation candidate is left to claim")]
    NothingToClaim,
}

/// Searches of NUMA cells and devices report what came closest, for people.
fn as_text<S: Serializer>(misfit: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(misfit)
}

/// Why a request cannot be judged. Nova fails the whole request then, whatever other hosts may
/// offer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FilterError {
    /// An extra spec whose operator and operands do not go together.
    #[error("extra spec {key}: {error}")]
    ExtraSpec {
        /// The extra spec.
        key: String,
        /// The problem.
        error: MatchError,
    },
    /// Hint `query` is not a query.
    #[error("scheduler hint query: {0}")]
    Query(#[from] JsonQueryError),
    /// Hints `build_near_host_ip` and `cidr` do not make a network.
    #[error("scheduler hints build_near_host_ip and cidr: '{0}' is not a network")]
    Network(String),
    /// Hint `build_near_host_ip` or `cidr` has several values.
    #[error("scheduler hints build_near_host_ip and cidr: more than one value")]
    Networks,
    /// The host's address is none.
    #[error("the host's address '{0}' cannot be read")]
    Address(String),
    /// The host has reported no address.
    #[error("the host has no address")]
    NoAddress,
    /// The limit of a server group is not a number.
    #[error("server group rule max_server_per_host: {0}")]
    GroupRule(NotANumber),
    /// A host has never reported what the filter looks at.
    #[error("host {host} has not reported {what} yet")]
    NotReported {
        /// Service host.
        host: String,
        /// The missing item.
        what: &'static str,
    },
    /// The filter needs an image.
    #[error("the request has no image")]
    NoImage,
    /// The configured default architecture is none.
    #[error("[filter_scheduler] image_properties_default_architecture: '{0}' is not an architecture")]
    Architecture(String),
    /// Nova cannot compare the address bits that an image asks for.
    #[error("image property hw_maxphysaddr_bits: Nova cannot compare it")]
    AddressBits,
    /// NUMA cells that cannot be judged.
    #[error(transparent)]
    Numa(#[from] NumaFault),
    /// Device requests that cannot be judged.
    #[error(transparent)]
    Pci(#[from] PciFault),
}
