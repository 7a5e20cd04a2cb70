//! Services and the instances they run.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::python::Value;
use crate::request_spec::{ImageProperties, InvalidProperty};

/// A nova-compute service. Its nodes share it, and its instances.
#[derive(Debug, Clone)]
pub struct ServiceHost {
    /// Service host.
    pub name: String,
    /// Whether an operator disabled it.
    pub disabled: bool,
    /// Why.
    pub disabled_reason: Option<String>,
    /// Whether an operator declared it down.
    pub forced_down: bool,
    /// When it reported last, in microseconds since 1970.
    pub last_seen: i64,
    /// Its instances, with the properties of their images.
    pub instances: BTreeMap<Uuid, InstanceImage>,
}

/// The image properties of an instance as Nova stored them.
pub type InstanceImage = BTreeMap<String, Value>;

/// Properties that Nova never stores with an instance.
const NOT_STORED: [&str; 4] =
    ["mappings", "block_device_mapping", "img_mappings", "img_block_device_mapping"];

/// Stored beside the properties, not among them.
const OF_THE_IMAGE: [&str; 4] = ["min_ram", "min_disk", "disk_format", "container_format"];

/// The typed properties of an instance's image.
///
/// # Errors
///
/// [`InvalidProperty`] if one was stored with a value that does not suit it.
pub(crate) fn stored_properties(image: &InstanceImage) -> Result<ImageProperties, InvalidProperty> {
    let is_property = |key: &str| !NOT_STORED.contains(&key) && !OF_THE_IMAGE.contains(&key);
    let stored: Vec<_> = image
        .iter()
        .filter(|(key, value)| **value != Value::None && is_property(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    ImageProperties::from_values(&stored)
}
