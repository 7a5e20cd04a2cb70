//! Requests for passthrough devices.

use super::pool::Key;
use crate::python::truth;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Request group suffix → the providers that placement chose for it: the `mappings` of an
/// allocation candidate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct ProviderMapping(pub BTreeMap<String, Vec<String>>);

impl ProviderMapping {
    /// Whether nothing is mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Suffixes and their providers.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(suffix, providers)| (suffix.as_str(), providers.as_slice()))
    }
}

impl AsRef<Self> for ProviderMapping {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// How close devices have to be to the instance's NUMA cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumaAffinity {
    /// On a cell of the instance.
    Required,
    /// On a cell of the instance, or on none that is known.
    #[default]
    Legacy,
    /// Anywhere; on a cell of the instance if possible.
    Preferred,
    /// On a socket of the instance.
    Socket,
}

/// Whether devices must or must not be live migratable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveMigratable {
    /// They must.
    Yes,
    /// They must not.
    No,
}

/// Properties a device has to have; values in lower case, `None` for "lacks it".
pub(super) type Spec = Vec<(Key, Option<String>)>;

/// A request for devices of one kind, as text was read and conclusions drawn from it once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "RequestRecord")]
pub struct PciRequest {
    request_id: Option<String>,
    alias_name: Option<String>,
    count: u32,
    /// A device has to match one of these.
    specs: Vec<Spec>,
    affinity: NumaAffinity,
    wants_pf: bool,
    wants_vdpa: bool,
    wants_remote_managed: bool,
    live_migratable: Option<LiveMigratable>,
    /// Providers written into the first spec; `None` if there is no spec at all.
    spec_providers: Option<Vec<String>>,
}

/// A request as the API sends it.
#[derive(Deserialize)]
struct RequestRecord {
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    alias_name: Option<String>,
    count: u32,
    spec: Vec<BTreeMap<String, Option<String>>>,
    #[serde(default, deserialize_with = "affinity")]
    numa_policy: NumaAffinity,
}

fn affinity<'de, D: Deserializer<'de>>(from: D) -> Result<NumaAffinity, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Keys of a spec that only placement looks at.
const PLACEMENT_KEYS: [&str; 3] = ["resource_class", "traits", "rp_uuids"];

impl From<RequestRecord> for PciRequest {
    fn from(record: RequestRecord) -> Self {
        let spec = &record.spec;
        let get = |key: &'static str| spec.iter().map(move |one| one.get(key)?.as_deref());
        let all_are = |text| get("live_migratable").all(|value| value == Some(text));
        let live_migratable = match (all_are("true"), all_are("false")) {
            (true, _) => Some(LiveMigratable::Yes),
            (_, true) => Some(LiveMigratable::No),
            _ => None,
        };
        Self {
            count: record.count,
            specs: spec.iter().map(lowered).collect(),
            affinity: record.numa_policy,
            wants_pf: get("dev_type").any(|kind| kind == Some("type-PF")),
            wants_vdpa: get("dev_type").any(|kind| kind == Some("vdpa")),
            wants_remote_managed: get("remote_managed").flatten().any(is_true),
            live_migratable,
            spec_providers: get("rp_uuids").next().map(split),
            request_id: record.request_id,
            alias_name: record.alias_name,
        }
    }
}

fn lowered(spec: &BTreeMap<String, Option<String>>) -> Spec {
    let matched = spec.iter().filter(|(key, _)| !PLACEMENT_KEYS.contains(&key.as_str()));
    let mut lowered: Spec = matched
        .map(|(key, value)| (Key::from(key.as_str()), value.as_ref().map(|text| text.to_lowercase())))
        .collect();
    lowered.sort();
    lowered
}

fn split(list: Option<&str>) -> Vec<String> {
    list.filter(|text| !text.is_empty())
        .into_iter()
        .flat_map(|text| text.split(','))
        .map(String::from)
        .collect()
}

/// Whether a tag's text means yes.
pub(super) fn is_true(text: &str) -> bool {
    truth(text)
}

impl PciRequest {
    /// Devices wanted.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The request's identity; placement's request groups begin with it.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The alias of the flavor it comes from; none if it comes from a network port.
    #[must_use]
    pub fn alias_name(&self) -> Option<&str> {
        self.alias_name.as_deref()
    }

    /// How close the devices have to be.
    #[must_use]
    pub const fn affinity(&self) -> NumaAffinity {
        self.affinity
    }
    pub(super) fn specs(&self) -> &[Spec] {
        &self.specs
    }

    pub(super) const fn wants_pf(&self) -> bool {
        self.wants_pf
    }

    pub(super) const fn wants_vdpa(&self) -> bool {
        self.wants_vdpa
    }

    pub(super) const fn wants_remote_managed(&self) -> bool {
        self.wants_remote_managed
    }

    pub(super) const fn live_migratable(&self) -> Option<LiveMigratable> {
        self.live_migratable
    }

    pub(super) fn spec_providers(&self) -> Option<&[String]> {
        self.spec_providers.as_deref()
    }
}
