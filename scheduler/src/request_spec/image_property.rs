//! Which image properties there are, and what their values look like.

use std::collections::BTreeSet;
use std::fmt;

use super::canonical::{architecture, hypervisor_type, vm_mode};
use crate::python::{Value, integer, truth};
use crate::version::VersionPredicate;

/// The value of a property. It prints as Python's `str()` prints it, for that is what is compared
/// with aggregates.
#[derive(Debug, Clone, PartialEq)]
pub enum PropertyValue {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i128),
    /// `True` or `False`.
    Boolean(bool),
    /// Several texts.
    Texts(Vec<String>),
    /// Several whole numbers.
    Integers(Vec<i128>),
    /// CPUs of each NUMA cell.
    CpuSets(Vec<BTreeSet<u32>>),
    /// Structured data, such as block device mappings.
    Structure(Value),
}

impl PropertyValue {
    /// Whether Python counts the value as true.
    #[must_use]
    pub(crate) fn is_truthy(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::Integer(number) => *number != 0,
            Self::Boolean(value) => *value,
            Self::Texts(items) => !items.is_empty(),
            Self::Integers(items) => !items.is_empty(),
            Self::CpuSets(items) => !items.is_empty(),
            Self::Structure(value) => value.is_truthy(),
        }
    }
}

impl fmt::Display for PropertyValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => out.write_str(text),
            Self::Integer(number) => number.fmt(out),
            Self::Boolean(value) => Value::Bool(*value).fmt(out),
            Self::Texts(items) => {
                Value::List(items.iter().map(|text| Value::from(text.as_str())).collect()).fmt(out)
            }
            Self::Integers(items) => {
                Value::List(items.iter().map(|&number| Value::Int(number)).collect()).fmt(out)
            }
            // A set prints with braces, unless it is empty.
            Self::CpuSets(sets) => {
                let printed =
                    sets.iter().map(|set| if set.is_empty() { "set()".into() } else { format!("{set:?}") });
                write!(out, "[{}]", printed.collect::<Vec<_>>().join(", "))
            }
            Self::Structure(value) => value.fmt(out),
        }
    }
}

/// The permitted values of a property.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Integer,
    Boolean,
    OneOf(&'static [&'static str]),
    Architecture,
    HypervisorType,
    VmMode,
    OsType,
    VifModel,
    VersionPredicate,
    Structure,
    /// Put together from other keys: `hw_numa_mem.N`, `hw_numa_cpus.N`, `trait:…`.
    Collected,
}

impl Kind {
    /// The typed value, or what was expected.
    pub(super) fn read(self, value: &Value) -> Result<PropertyValue, &'static str> {
        match self {
            Self::Text => text(value).map(PropertyValue::Text),
            Self::Integer => whole(value).map(PropertyValue::Integer).ok_or("a whole number"),
            Self::Boolean => Ok(PropertyValue::Boolean(yes(value))),
            Self::OneOf(values) => one_of(values, &text(value)?),
            Self::Architecture => canonical(value, architecture, "an architecture"),
            Self::HypervisorType => canonical(value, hypervisor_type, "a hypervisor type"),
            Self::VmMode => canonical(value, vm_mode, "a VM mode"),
            Self::OsType => one_of(&["linux", "windows"], &text(value)?.to_lowercase()),
            Self::VifModel => vif_model(&text(value)?),
            Self::VersionPredicate => predicate(text(value)?),
            Self::Structure if matches!(value, Value::List(_)) => Ok(PropertyValue::Structure(value.clone())),
            Self::Structure | Self::Collected => Err("a list"),
        }
    }
}

fn text(value: &Value) -> Result<String, &'static str> {
    match value {
        Value::None | Value::List(_) | Value::Map(_) => Err("a text"),
        other => Ok(other.to_string()),
    }
}

pub(super) fn whole(value: &Value) -> Option<i128> {
    #[expect(clippy::cast_possible_truncation, reason = "int() truncates; numbers beyond 128 bits saturate")]
    match value {
        Value::Text(text) => integer(text).ok(),
        Value::Int(number) => Some(*number),
        Value::Bool(value) => Some(i128::from(*value)),
        Value::Float(number) if number.is_finite() => Some(*number as i128),
        _ => None,
    }
}

fn yes(value: &Value) -> bool {
    truth(&value.to_string())
}

fn one_of(values: &[&str], text: &str) -> Result<PropertyValue, &'static str> {
    values.contains(&text).then(|| PropertyValue::Text(text.to_owned())).ok_or("one of its known values")
}

fn canonical(
    value: &Value,
    canonicalize: fn(&str) -> Option<&'static str>,
    expected: &'static str,
) -> Result<PropertyValue, &'static str> {
    let name = canonicalize(&text(value)?).ok_or(expected)?;
    Ok(PropertyValue::Text(name.to_owned()))
}

fn predicate(text: String) -> Result<PropertyValue, &'static str> {
    text.parse::<VersionPredicate>().map_err(|_| "conditions on a version such as >=2.6,<4")?;
    Ok(PropertyValue::Text(text))
}

const VIF_MODELS: [&str; 13] = [
    "virtio",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "e1000",
    "e1000e",
    "netfront",
    "spapr-vlan",
    "lan9118",
    "sriov",
    "vmxnet",
    "vmxnet3",
    "igb",
];

/// VMware's names of network cards.
const FORMER_VIF_MODELS: [(&str, &str); 6] = [
    ("virtuale1000", "e1000"),
    ("virtuale1000e", "e1000e"),
    ("virtualpcnet32", "pcnet"),
    ("virtualsriovethernetcard", "sriov"),
    ("virtualvmxnet", "vmxnet"),
    ("virtualvmxnet3", "vmxnet3"),
];

/// A network card in any case, by its present name.
fn vif_model(text: &str) -> Result<PropertyValue, &'static str> {
    let name = text.to_lowercase();
    let former = FORMER_VIF_MODELS.iter().find(|(former, _)| *former == name);
    one_of(&VIF_MODELS, former.map_or(name.as_str(), |(_, present)| present))
}

const BUSES: Kind = Kind::OneOf(&["fdc", "ide", "sata", "scsi", "usb", "virtio", "xen", "lxc", "uml"]);

/// Properties by their present names.
pub(super) const PROPERTIES: &[(&str, Kind)] = &[
    ("hw_architecture", Kind::Architecture),
    ("hw_emulation_architecture", Kind::Architecture),
    ("hw_auto_disk_config", Kind::Text),
    ("hw_boot_menu", Kind::Boolean),
    ("hw_cdrom_bus", BUSES),
    ("hw_cpu_cores", Kind::Integer),
    ("hw_cpu_sockets", Kind::Integer),
    ("hw_cpu_max_cores", Kind::Integer),
    ("hw_cpu_max_sockets", Kind::Integer),
    ("hw_cpu_max_threads", Kind::Integer),
    ("hw_cpu_policy", Kind::OneOf(&["dedicated", "shared", "mixed"])),
    ("hw_cpu_thread_policy", Kind::OneOf(&["prefer", "isolate", "require"])),
    ("hw_cpu_realtime_mask", Kind::Text),
    ("hw_cpu_threads", Kind::Integer),
    ("hw_device_id", Kind::Integer),
    ("hw_disk_bus", BUSES),
    ("hw_disk_type", Kind::Text),
    ("hw_floppy_bus", BUSES),
    ("hw_firmware_type", Kind::OneOf(&["uefi", "bios"])),
    ("hw_firmware_stateless", Kind::Boolean),
    ("hw_input_bus", Kind::OneOf(&["usb", "virtio"])),
    ("hw_ipxe_boot", Kind::Boolean),
    ("hw_locked_memory", Kind::Boolean),
    ("hw_machine_type", Kind::Text),
    ("hw_mem_encryption", Kind::Boolean),
    ("hw_mem_encryption_model", Kind::OneOf(&["amd-sev", "amd-sev-es", "amd-sev-snp", "intel-tdx"])),
    ("hw_mem_page_size", Kind::Text),
    ("hw_numa_nodes", Kind::Integer),
    ("hw_numa_cpus", Kind::Collected),
    ("hw_numa_mem", Kind::Collected),
    ("hw_pci_numa_affinity_policy", Kind::OneOf(&["required", "legacy", "preferred", "socket"])),
    ("hw_pointer_model", Kind::OneOf(&["usbtablet"])),
    ("hw_pmu", Kind::Boolean),
    ("hw_qemu_guest_agent", Kind::Boolean),
    ("hw_rescue_bus", BUSES),
    ("hw_rescue_device", Kind::OneOf(&["cdrom", "disk", "floppy", "fs", "lun"])),
    ("hw_rng_model", Kind::OneOf(&["virtio"])),
    ("hw_time_hpet", Kind::Boolean),
    ("hw_serial_port_count", Kind::Integer),
    (
        "hw_scsi_model",
        Kind::OneOf(&[
            "buslogic",
            "ibmvscsi",
            "lsilogic",
            "lsisas1068",
            "lsisas1078",
            "virtio-scsi",
            "vmpvscsi",
        ]),
    ),
    (
        "hw_video_model",
        Kind::OneOf(&["cirrus", "qxl", "vga", "vmvga", "xen", "virtio", "gop", "none", "bochs"]),
    ),
    ("hw_video_ram", Kind::Integer),
    ("hw_vif_model", Kind::VifModel),
    ("hw_viommu_model", Kind::OneOf(&["intel", "smmuv3", "virtio", "auto"])),
    ("hw_vm_mode", Kind::VmMode),
    ("hw_watchdog_action", Kind::OneOf(&["none", "pause", "poweroff", "reset", "disabled"])),
    ("hw_vif_multiqueue_enabled", Kind::Boolean),
    ("hw_tpm_model", Kind::OneOf(&["tpm-tis", "tpm-crb"])),
    ("hw_tpm_version", Kind::OneOf(&["1.2", "2.0"])),
    ("hw_ephemeral_encryption", Kind::Boolean),
    ("hw_ephemeral_encryption_format", Kind::OneOf(&["plain", "luks", "luksv2"])),
    ("hw_ephemeral_encryption_secret_uuid", Kind::Text),
    ("hw_virtio_packed_ring", Kind::Boolean),
    ("hw_maxphysaddr_mode", Kind::OneOf(&["passthrough", "emulate"])),
    ("hw_maxphysaddr_bits", Kind::Integer),
    ("hw_sound_model", Kind::OneOf(&["sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb", "virtio"])),
    ("hw_usb_model", Kind::OneOf(&["none", "nec-xhci", "qemu-xhci"])),
    ("hw_redirected_usb_ports", Kind::Integer),
    ("img_bittorrent", Kind::Boolean),
    ("img_bdm_v2", Kind::Boolean),
    ("img_block_device_mapping", Kind::Structure),
    ("img_cache_in_nova", Kind::Boolean),
    ("img_compression_level", Kind::Integer),
    ("img_hv_requested_version", Kind::VersionPredicate),
    ("img_hv_type", Kind::HypervisorType),
    ("img_config_drive", Kind::OneOf(&["optional", "mandatory"])),
    ("img_linked_clone", Kind::Boolean),
    ("img_mappings", Kind::Structure),
    ("img_owner_id", Kind::Text),
    ("img_root_device_name", Kind::Text),
    ("img_use_agent", Kind::Boolean),
    ("img_version", Kind::Integer),
    ("img_signature", Kind::Text),
    ("img_signature_hash_method", Kind::OneOf(&["SHA-224", "SHA-256", "SHA-384", "SHA-512"])),
    ("img_signature_certificate_uuid", Kind::Text),
    (
        "img_signature_key_type",
        Kind::OneOf(&[
            "DSA",
            "ECC_SECP384R1",
            "ECC_SECP521R1",
            "ECC_SECT409K1",
            "ECC_SECT409R1",
            "ECC_SECT571K1",
            "ECC_SECT571R1",
            "RSA-PSS",
        ]),
    ),
    ("img_hide_hypervisor_id", Kind::Boolean),
    ("os_admin_user", Kind::Text),
    ("os_command_line", Kind::Text),
    ("os_distro", Kind::Text),
    ("os_require_quiesce", Kind::Boolean),
    ("os_secure_boot", Kind::OneOf(&["required", "disabled", "optional"])),
    ("os_skip_agent_inject_files_at_boot", Kind::Boolean),
    ("os_skip_agent_inject_ssh", Kind::Boolean),
    ("os_type", Kind::OsType),
    ("traits_required", Kind::Collected),
];

/// Former names and the present ones; where both are given, the present name wins.
pub(super) const FORMER_NAMES: &[(&str, &str)] = &[
    ("architecture", "hw_architecture"),
    ("owner_id", "img_owner_id"),
    ("vmware_disktype", "hw_disk_type"),
    ("vmware_image_version", "img_version"),
    ("vmware_ostype", "os_distro"),
    ("auto_disk_config", "hw_auto_disk_config"),
    ("ipxe_boot", "hw_ipxe_boot"),
    ("xenapi_device_id", "hw_device_id"),
    ("xenapi_image_compression_level", "img_compression_level"),
    ("vmware_linked_clone", "img_linked_clone"),
    ("xenapi_use_agent", "img_use_agent"),
    ("xenapi_skip_agent_inject_ssh", "os_skip_agent_inject_ssh"),
    ("xenapi_skip_agent_inject_files_at_boot", "os_skip_agent_inject_files_at_boot"),
    ("cache_in_nova", "img_cache_in_nova"),
    ("vm_mode", "hw_vm_mode"),
    ("bittorrent", "img_bittorrent"),
    ("mappings", "img_mappings"),
    ("block_device_mapping", "img_block_device_mapping"),
    ("bdm_v2", "img_bdm_v2"),
    ("root_device_name", "img_root_device_name"),
    ("hypervisor_version_requires", "img_hv_requested_version"),
    ("hypervisor_type", "img_hv_type"),
];

/// The present name and kind of a property.
pub(super) fn property(name: &str) -> Option<(&'static str, Kind)> {
    PROPERTIES.iter().copied().find(|(known, _)| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn former_names_lead_to_known_ones() {
        assert!(FORMER_NAMES.iter().all(|(_, name)| property(name).is_some()));
    }
}
