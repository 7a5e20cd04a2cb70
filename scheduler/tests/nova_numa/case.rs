//! A case and Nova's answer to it, as far as these tests read them.

use berth_scheduler::numa::{HostTopology, InstanceTopology, NetworkMetadata};
use berth_scheduler::pci::{PciRequest, Pools, ProviderMapping};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
pub(crate) struct Record {
    #[serde(default)]
    pub(crate) id: String,
    pub(crate) input: Input,
    pub(crate) expected: Expected,
}

#[derive(Deserialize)]
pub(crate) struct Input {
    #[serde(default)]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) config: BTreeMap<String, BTreeMap<String, Value>>,
    pub(crate) filters: Vec<String>,
    pub(crate) hosts: Vec<HostRecord>,
    pub(crate) request: Request,
}

#[derive(Deserialize)]
pub(crate) struct HostRecord {
    pub(crate) uuid: String,
    #[serde(default)]
    pub(crate) numa_topology: Option<HostTopology>,
    #[serde(default)]
    pub(crate) pci_pools: Option<Pools>,
    #[serde(default)]
    pub(crate) allocation_candidates: Option<Vec<Candidate>>,
    /// `null` (unlike an absent field) marks a host that has not reported yet.
    #[serde(default = "some_disk", deserialize_with = "Option::deserialize")]
    pub(crate) free_disk_gb: Option<i64>,
}

fn some_disk() -> Option<i64> {
    Some(0)
}

#[derive(Clone, PartialEq, Deserialize)]
pub(crate) struct Candidate {
    pub(crate) mappings: ProviderMapping,
    #[serde(flatten)]
    pub(crate) rest: BTreeMap<String, Value>,
}

impl AsRef<ProviderMapping> for Candidate {
    fn as_ref(&self) -> &ProviderMapping {
        &self.mappings
    }
}

#[derive(Deserialize)]
pub(crate) struct Request {
    #[serde(default)]
    pub(crate) flavor: Flavor,
    #[serde(default)]
    pub(crate) image: Option<Image>,
    #[serde(default)]
    pub(crate) numa_topology: Option<InstanceTopology>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(crate) pci_requests: Vec<PciRequest>,
    #[serde(default)]
    pub(crate) network_metadata: Option<NetworkMetadata>,
    #[serde(default)]
    pub(crate) requested_resources: Vec<RequestedGroup>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(crate) scheduler_hints: BTreeMap<String, Value>,
}

#[derive(Default, Deserialize)]
pub(crate) struct Flavor {
    #[serde(default)]
    pub(crate) extra_specs: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(crate) struct Image {
    #[serde(default)]
    pub(crate) properties: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
pub(crate) struct RequestedGroup {
    pub(crate) requester_id: String,
}

#[derive(Deserialize)]
pub(crate) struct Expected {
    pub(crate) pre: Vec<usize>,
    pub(crate) filters_skipped: bool,
    pub(crate) host_states: Vec<Ratios>,
    pub(crate) pipeline: Vec<Step>,
    pub(crate) independent: BTreeMap<String, Alone>,
    #[serde(default)]
    pub(crate) select: Option<Select>,
}

#[derive(Deserialize)]
pub(crate) struct Ratios {
    pub(crate) cpu_allocation_ratio: Option<f64>,
    pub(crate) ram_allocation_ratio: Option<f64>,
}

#[derive(Deserialize)]
pub(crate) struct Step {
    pub(crate) filter: String,
    pub(crate) ran: bool,
    #[serde(default)]
    pub(crate) out: Vec<usize>,
    #[serde(default)]
    pub(crate) candidates: BTreeMap<String, Vec<usize>>,
    #[serde(default)]
    pub(crate) error: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Alone {
    pub(crate) pass: Vec<usize>,
    pub(crate) errors: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(crate) struct Select {
    pub(crate) claims: Vec<(usize, usize, bool)>,
    #[serde(default)]
    pub(crate) selections: Option<Vec<Vec<Selection>>>,
    pub(crate) final_hosts: BTreeMap<usize, FinalHost>,
}

#[derive(Deserialize)]
pub(crate) struct Selection {
    pub(crate) allocation_request: Option<Value>,
}

#[derive(Deserialize)]
pub(crate) struct FinalHost {
    pub(crate) numa: Value,
    pub(crate) pci_pools: Value,
}

fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
