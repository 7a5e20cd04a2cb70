//! Nova's versioned objects.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

/// An object as it travels. Fields that are not set are absent; those that this reader does not
/// know are ignored, so that objects of newer minor versions can be read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Object<T>(pub(crate) T);

#[derive(Deserialize)]
struct Wire<T> {
    #[serde(rename = "nova_object.name", default)]
    name: String,
    #[serde(rename = "nova_object.version", default)]
    version: String,
    #[serde(rename = "nova_object.data")]
    data: T,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Wire { name, version, data } = Wire::deserialize(from)?;
        // All objects that a scheduler reads are of major version 1, but for lists of instances and
        // the instances in them.
        if !(version.starts_with("1.") || version.starts_with("2.")) {
            return Err(Error::custom(format_args!("{name}: version {version} is unknown")));
        }
        Ok(Self(data))
    }
}

/// A list of objects, which is an object itself.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Objects<T> {
    pub(crate) objects: Vec<Object<T>>,
}

/// An object to send.
#[derive(Debug, Serialize)]
pub(crate) struct Sent<T> {
    #[serde(rename = "nova_object.name")]
    name: &'static str,
    #[serde(rename = "nova_object.namespace")]
    namespace: &'static str,
    #[serde(rename = "nova_object.version")]
    version: &'static str,
    #[serde(rename = "nova_object.data")]
    data: T,
    #[serde(rename = "nova_object.changes")]
    changes: &'static [&'static str],
}

impl<T> Sent<T> {
    pub(crate) const fn new(
        name: &'static str,
        version: &'static str,
        data: T,
        changes: &'static [&'static str],
    ) -> Self {
        Self { name, namespace: "nova", version, data, changes }
    }
}
