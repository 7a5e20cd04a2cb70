//! PCI requests as request groups, one for each device.

use std::collections::{BTreeMap, BTreeSet};

use super::error::QueryError;
use super::standard;
use crate::RequestSpec;
use crate::request_spec::RequesterGroup;

/// A flavor's request for devices of one kind, with the words that only Placement reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRequest {
    /// The request's identity, by which its groups are named.
    pub request_id: String,
    /// Devices wanted.
    pub count: u32,
    /// The requirements for a device; alternatives have no counterpart in Placement.
    pub specs: Vec<BTreeMap<String, String>>,
}

impl DeviceRequest {
    /// One group for each device, so that the devices may have different providers.
    ///
    /// # Errors
    ///
    /// [`QueryError::PciSpecs`] unless there is exactly one spec.
    pub fn groups(&self) -> Result<Vec<RequesterGroup>, QueryError> {
        let [spec] = &self.specs[..] else {
            return Err(QueryError::PciSpecs(self.request_id.clone(), self.specs.len()));
        };
        let group = |number| RequesterGroup {
            requester_id: Some(format!("{}-{number}", self.request_id)),
            resources: BTreeMap::from([(resource_class(spec), 1)]),
            required_traits: traits(spec),
            ..RequesterGroup::default()
        };
        Ok((0..self.count).map(group).collect())
    }
}

/// The class named, or else one made of vendor and product.
fn resource_class(spec: &BTreeMap<String, String>) -> String {
    let get = |key| spec.get(key).map_or("None", String::as_str);
    match spec.get("resource_class").filter(|name| !name.is_empty()) {
        Some(name) => standard::resource_class(name),
        None => format!("CUSTOM_PCI_{}_{}", get("vendor_id"), get("product_id")).to_uppercase(),
    }
}

fn traits(spec: &BTreeMap<String, String>) -> BTreeSet<String> {
    let names = spec.get("traits").filter(|names| !names.is_empty());
    names.into_iter().flat_map(|names| names.split(',')).map(standard::trait_name).collect()
}

/// The PCI requests that come from the flavor, not from a port.
pub(super) fn requests_of_flavor(spec: &RequestSpec) -> BTreeSet<String> {
    let requests = spec.pci_requests.iter().flatten().filter(|request| request.alias_name().is_some());
    requests.filter_map(|request| request.request_id().map(str::to_owned)).collect()
}
