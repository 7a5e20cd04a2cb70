//! The extra specs and image properties that this driver supports.

use std::collections::BTreeMap;

use crate::Fault;

/// Namespaces of extra specs that only the scheduler reads.
const FOR_THE_SCHEDULER: [&str; 6] =
    ["trait", "resources", "group_policy", "same_subtree", "aggregate_instance_extra_specs", "capabilities"];
/// The supported image properties with the prefix `hw_`, and their supported values. None: any.
const HARDWARE: [(&str, Option<&[&str]>); 5] = [
    ("hw_architecture", Some(&["x86_64"])),
    ("hw_disk_bus", Some(&["virtio", "sata", "ide"])),
    ("hw_firmware_type", Some(&["bios"])),
    ("hw_machine_type", None),
    ("hw_video_model", Some(&["none"])),
];

pub(super) fn check_extra_specs(extra_specs: &BTreeMap<&str, &str>) -> Result<(), Fault> {
    for (&key, &value) in extra_specs {
        let scope = key.split(':').next().unwrap_or(key).trim_end_matches(|c: char| c.is_ascii_digit());
        let is_heeded = match key {
            "hw:cpu_policy" => value == "shared",
            "hw:mem_page_size" => matches!(value, "any" | "small"),
            _ => FOR_THE_SCHEDULER.contains(&scope) || !key.contains(':'),
        };
        if !is_heeded {
            return Err(Fault::permanent(format!(
                "flavor.extra_specs[{key}]: {value:?} is not supported by this agent"
            )));
        }
    }
    Ok(())
}

pub(super) fn check_properties(properties: &BTreeMap<&str, &str>) -> Result<(), Fault> {
    for (&key, &value) in properties {
        let heeded = HARDWARE.iter().find(|(name, _)| *name == key);
        let is_heeded = match heeded {
            Some((_, values)) => values.is_none_or(|values| values.contains(&value)),
            None => !key.starts_with("hw_") && key != "os_secure_boot",
        };
        if !is_heeded {
            return Err(Fault::permanent(format!(
                "image.properties[{key}]: {value:?} is not supported by this agent"
            )));
        }
    }
    Ok(())
}
