//! The properties of an image that Nova knows, typed.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::cpu_spec::cpu_spec;
use super::image_property::{FORMER_NAMES, Kind, PROPERTIES, PropertyValue, property, whole};
use crate::python::Value;

/// Nova reads `hw_numa_mem.0`, `.1`, … up to this many cells.
const MAX_CELLS: usize = 128;

/// A property whose value does not suit it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("image property {name}: '{value}' is not {expected}")]
pub struct InvalidProperty {
    /// The property's present name.
    pub name: &'static str,
    /// The value that was given.
    pub value: String,
    /// The expected form.
    pub expected: &'static str,
}

/// Typed properties by their present names. Former names are translated, unknown properties
/// dropped.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageProperties {
    by_name: BTreeMap<&'static str, PropertyValue>,
}

impl ImageProperties {
    /// The property that holds the traits of `trait:…=required`.
    pub(crate) const TRAITS: &str = "traits_required";

    /// The typed properties of what an image service sends.
    ///
    /// # Errors
    ///
    /// [`InvalidProperty`] for the first value that does not suit its property.
    pub fn from_values(raw: &[(String, Value)]) -> Result<Self, InvalidProperty> {
        let mut properties = Self::default();
        for (former, name) in FORMER_NAMES {
            if let Some(value) = find(raw, former) {
                properties.set(name, value)?;
            }
        }
        properties.set_from_adapter_type(raw)?;
        for (name, _) in PROPERTIES {
            if let Some(value) = find(raw, name) {
                properties.set(name, value)?;
            }
        }
        properties.collect_cells(raw)?;
        properties.collect_traits(raw);
        Ok(properties)
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), InvalidProperty> {
        let Some((name, kind)) = property(name).filter(|(_, kind)| !matches!(kind, Kind::Collected)) else {
            return Ok(());
        };
        let typed = kind.read(value).map_err(|expected| invalid(name, value, expected))?;
        self.by_name.insert(name, typed);
        Ok(())
    }

    /// A VMware adapter type stands for a disk bus and, unless it is IDE, a SCSI model.
    fn set_from_adapter_type(&mut self, raw: &[(String, Value)]) -> Result<(), InvalidProperty> {
        match find(raw, "vmware_adaptertype") {
            Some(Value::Text(text)) if text == "ide" => self.set("hw_disk_bus", &Value::from("ide")),
            Some(adapter) if adapter.is_truthy() => {
                self.set("hw_disk_bus", &Value::from("scsi"))?;
                self.set("hw_scsi_model", adapter)
            }
            _ => Ok(()),
        }
    }

    fn collect_cells(&mut self, raw: &[(String, Value)]) -> Result<(), InvalidProperty> {
        let memory = cells(raw, "hw_numa_mem", "a whole number", whole)?;
        if !memory.is_empty() {
            self.by_name.insert("hw_numa_mem", PropertyValue::Integers(memory));
        }
        let cpus = cells(raw, "hw_numa_cpus", "a list of CPUs", |value| cpu_spec(&value.to_string()).ok())?;
        if !cpus.is_empty() {
            self.by_name.insert("hw_numa_cpus", PropertyValue::CpuSets(cpus));
        }
        Ok(())
    }

    fn collect_traits(&mut self, raw: &[(String, Value)]) {
        let required = |(key, value): &(String, Value)| {
            key.strip_prefix("trait:").filter(|_| value.to_string() == "required").map(str::to_owned)
        };
        let traits: Vec<_> = raw.iter().filter_map(required).collect();
        if !traits.is_empty() {
            self.by_name.insert(Self::TRAITS, PropertyValue::Texts(traits));
        }
    }

    /// Whether Nova knows a property of this name, set or not.
    #[must_use]
    pub fn is_known(name: &str) -> bool {
        property(name).is_some()
    }

    /// A property's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&PropertyValue> {
        self.by_name.get(name)
    }

    /// A property's value, if it is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(PropertyValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A property's value, if it is a whole number.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<i128> {
        match self.get(name) {
            Some(PropertyValue::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// Traits that hosts must have, from `trait:…=required`.
    #[must_use]
    pub fn required_traits(&self) -> &[String] {
        match self.get(Self::TRAITS) {
            Some(PropertyValue::Texts(traits)) => traits,
            _ => &[],
        }
    }

    /// Removes a property.
    pub fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// Requires a trait no longer.
    pub fn remove_trait(&mut self, name: &str) {
        let left: Vec<_> = self.required_traits().iter().filter(|other| *other != name).cloned().collect();
        if left.is_empty() {
            self.remove(Self::TRAITS);
        } else {
            self.by_name.insert(Self::TRAITS, PropertyValue::Texts(left));
        }
    }

    /// Every property that is set, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &PropertyValue)> {
        self.by_name.iter().map(|(name, value)| (*name, value))
    }
}

fn find<'a>(raw: &'a [(String, Value)], name: &str) -> Option<&'a Value> {
    raw.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn invalid(name: &'static str, value: &Value, expected: &'static str) -> InvalidProperty {
    InvalidProperty { name, value: value.to_string(), expected }
}

/// `name.0`, `name.1`, … up to the first that is absent.
fn cells<T>(
    raw: &[(String, Value)],
    name: &'static str,
    expected: &'static str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, InvalidProperty> {
    let given = (0..MAX_CELLS).map_while(|cell| find(raw, &format!("{name}.{cell}")));
    given.map(|value| read(value).ok_or_else(|| invalid(name, value, expected))).collect()
}

impl<'de> Deserialize<'de> for ImageProperties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Map(raw) => Self::from_values(&raw).map_err(serde::de::Error::custom),
            _ => Err(serde::de::Error::custom("image properties are not a map")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Result<ImageProperties, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn former_names_and_spellings_are_translated() {
        let properties = typed(
            r#"{"architecture": "AMD64", "hypervisor_type": "xapi", "vm_mode": "pv",
            "hw_vm_mode": "HV", "vmware_adaptertype": "lsilogic", "nonsense": "1"}"#,
        )
        .expect("reads");
        let texts = ["hw_architecture", "img_hv_type", "hw_vm_mode", "hw_disk_bus", "hw_scsi_model"];
        let values = texts.map(|name| properties.text(name));
        assert_eq!(values, [Some("x86_64"), Some("xen"), Some("hvm"), Some("scsi"), Some("lsilogic")]);
        assert!(properties.get("nonsense").is_none());
    }

    #[test]
    fn values_print_as_in_python() {
        let properties = typed(
            r#"{"hw_boot_menu": "Yes", "hw_cpu_cores": " 2", "trait:B": "required",
            "trait:A": "required", "hw_numa_cpus.0": "0-1", "hw_numa_mem.0": 5}"#,
        )
        .expect("reads");
        let printed: Vec<_> = properties.iter().map(|(_, value)| value.to_string()).collect();
        assert_eq!(printed, ["True", "2", "[{0, 1}]", "[5]", "['B', 'A']"]);
    }

    #[test]
    fn errors_name_the_property() {
        for bad in [r#"{"architecture": "z80"}"#, r#"{"hw_architecture": 5}"#] {
            assert!(typed(bad).expect_err("no such thing").contains("hw_architecture"));
        }
        assert!(typed(r#"{"img_hv_requested_version": "2.6"}"#).is_err());
    }
}
