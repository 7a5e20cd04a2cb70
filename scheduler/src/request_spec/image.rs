//! The image that an instance boots from.

use serde::Deserialize;

use super::ImageProperties;

/// An image.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RequestedImage {
    /// Its id; none if the instance boots from a volume.
    pub id: Option<String>,
    /// Its format, such as `qcow2`.
    pub disk_format: Option<String>,
    /// Its container, such as `bare`.
    pub container_format: Option<String>,
    /// Its requirements for hosts.
    pub properties: ImageProperties,
}
