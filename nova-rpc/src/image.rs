//! Images and their properties.

use berth_scheduler::python::Value;
use berth_scheduler::request_spec::{ImageProperties, RequestedImage};
use serde::Deserialize;

use crate::object::Object;

/// `ImageMeta`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ImageMeta {
    id: Option<String>,
    disk_format: Option<String>,
    container_format: Option<String>,
    properties: Option<Object<Value>>,
}

impl ImageMeta {
    pub(crate) fn image(self) -> Result<RequestedImage, String> {
        let properties = match self.properties {
            Some(Object(Value::Map(typed))) => {
                ImageProperties::from_values(&raw(&typed)).map_err(|error| error.to_string())?
            }
            Some(Object(other)) => return Err(format!("properties: a {} is no map", other.kind())),
            None => ImageProperties::default(),
        };
        let Self { id, disk_format, container_format, .. } = self;
        Ok(RequestedImage { id, disk_format, container_format, properties })
    }
}

/// The properties as Glance would give them. `ImageMetaProps` has three lists where Glance has a
/// key for each item.
fn raw(typed: &[(String, Value)]) -> Vec<(String, Value)> {
    let mut raw = Vec::with_capacity(typed.len());
    for (name, value) in typed {
        match (name.as_str(), value) {
            (_, Value::None) => {}
            ("hw_numa_mem", Value::List(cells)) => {
                raw.extend(cells.iter().enumerate().map(|(at, cell)| (format!("{name}.{at}"), cell.clone())));
            }
            ("hw_numa_cpus", Value::List(cells)) => {
                raw.extend(cells.iter().enumerate().map(|(at, cell)| (format!("{name}.{at}"), cpus(cell))));
            }
            ("traits_required", Value::List(traits)) => {
                raw.extend(traits.iter().map(|one| (format!("trait:{one}"), Value::from("required"))));
            }
            _ => raw.push((name.clone(), value.clone())),
        }
    }
    raw
}

/// A set of CPUs as Glance writes it.
fn cpus(cell: &Value) -> Value {
    let Value::List(cpus) = cell else { return cell.clone() };
    let text: Vec<String> = cpus.iter().map(ToString::to_string).collect();
    Value::Text(text.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cells_and_traits_are_read() {
        let text = r#"{"id": "i", "disk_format": "raw", "properties": {"nova_object.name": "ImageMetaProps",
            "nova_object.version": "1.44", "nova_object.data": {"hw_numa_mem": [512, 1024], "hw_numa_cpus": [[0, 1], [2]],
            "traits_required": ["CUSTOM_GOLD"], "hw_cpu_cores": 2, "hw_boot_menu": true, "hw_machine_type": null}}}"#;
        let image = serde_json::from_str::<ImageMeta>(text).expect("reads").image().expect("is an image");
        let printed: Vec<_> =
            image.properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            printed,
            [
                "hw_boot_menu=True",
                "hw_cpu_cores=2",
                "hw_numa_cpus=[{0, 1}, {2}]",
                "hw_numa_mem=[512, 1024]",
                "traits_required=['CUSTOM_GOLD']"
            ]
        );
        assert_eq!(image.properties.required_traits(), ["CUSTOM_GOLD"]);
    }
}
