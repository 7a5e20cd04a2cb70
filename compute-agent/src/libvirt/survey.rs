//! The survey of the host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::sync::{Arc, PoisonError};

use berth_api::v1;
use uuid::Uuid;
use virt::connect::Connect;
use virt::sys::{VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES, VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV};

use super::capabilities::{self, Capabilities};
use super::domain::Platform;
use super::fault::fault;
use super::{Config, Inner, OpenDriverError, cpus, records, sys, traits, unusable};
use crate::{Facts, Fault, Part, PciDevice};

const HOST_UUID: &str = "host-uuid";

/// The properties of the host that steps need.
pub(super) struct Surveyed {
    pub(super) capabilities: Capabilities,
    pub(super) platform: Platform,
    /// The features of the CPUs that the hypervisor gives guests; none without KVM.
    pub(super) cpu_features: BTreeSet<String>,
    /// Its parts that have providers, by the providers' UUIDs.
    pub(super) parts: BTreeMap<Uuid, Part>,
}

impl Inner {
    pub(super) fn facts(&self) -> Result<Facts, Fault> {
        let connect = self.connection.get()?;
        let capabilities = capabilities(&connect)?;
        let platform = self.platform(&capabilities)?;
        let memory_kib =
            sys::memory_total_kib(&connect).map_err(|error| fault("reading the host's memory", &error))?;
        let (disk_gb, _) =
            self.disks.space_gb().map_err(|error| Fault::transient(format!("--instances: {error}")))?;
        let features = if platform.is_accelerated { features(&connect, &capabilities) } else { Vec::new() };
        let cpu_features = self.cpu_features(&connect, &capabilities, &platform);
        let host_uuid = self.host_uuid(&capabilities)?;
        let facts = Facts {
            host_uuid,
            hypervisor: v1::Hypervisor {
                storage: self.storage(host_uuid)?.to_string(),
                migration_target: self.migration_target(),
                cpu_features: cpu_features.iter().cloned().collect(),
                ..hypervisor(&connect, &capabilities, &platform)?
            },
            cpus: u32::try_from(capabilities.threads()).unwrap_or(u32::MAX),
            memory_mb: u32::try_from(memory_kib / 1024).unwrap_or(u32::MAX),
            disk_gb,
            traits: traits::traits(&features),
            pci_devices: pci_devices(&connect),
            cells: capabilities.cells.clone(),
        };
        self.protect_disks(&capabilities);
        let surveyed = Surveyed { capabilities, platform, cpu_features, parts: Part::all(&facts) };
        *self.surveyed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(surveyed));
        Ok(facts)
    }

    /// The features of the CPUs that the hypervisor gives guests; none if they are unknown.
    fn cpu_features(
        &self,
        connect: &Connect,
        capabilities: &Capabilities,
        platform: &Platform,
    ) -> BTreeSet<String> {
        if !platform.is_accelerated {
            return BTreeSet::new();
        }
        cpus::offered(connect, capabilities, &self.config.disabled_cpu_features).unwrap_or_else(|fault| {
            tracing::warn!("the features of the hypervisor's CPUs are not reported: {fault}");
            BTreeSet::new()
        })
    }

    /// How other hosts send running guests to this one.
    fn migration_target(&self) -> Option<v1::MigrationTarget> {
        let directory = |path: &std::path::Path| path.to_string_lossy().into_owned();
        self.config.migration_uri.clone().map(|uri| v1::MigrationTarget {
            uri,
            instances_directory: directory(self.disks.directory()),
            images_directory: directory(self.images.directory()),
        })
    }

    /// The identity of the storage of disks.
    fn storage(&self, host: Uuid) -> Result<Uuid, Fault> {
        let failed = |error: io::Error| Fault::transient(format!("--instances: {error}"));
        let known = self.records.all().map_err(failed)?;
        let has_record = |instance| known.iter().any(|(known, _)| *known == instance);
        self.disks.settle(host, has_record).map_err(failed)
    }

    /// Protects the disks once, when libvirt has reported the user that QEMU runs as.
    fn protect_disks(&self, capabilities: &Capabilities) {
        if self.surveyed().is_err()
            && let Err(error) = self.disks.protect_all(capabilities.qemu_owner)
        {
            tracing::error!("--instances: others on this host may read the disks of guests: {error}");
        }
    }

    /// The latest survey. A survey for each step would take too long.
    pub(super) fn surveyed(&self) -> Result<Arc<Surveyed>, Fault> {
        let latest = self.surveyed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        latest.ok_or_else(|| Fault::transient("the host is not surveyed yet"))
    }

    fn platform(&self, capabilities: &Capabilities) -> Result<Platform, Fault> {
        if capabilities.architecture != "x86_64" {
            let other = &capabilities.architecture;
            return Err(Fault::permanent(format!("the host is {other}; this agent supports only x86_64")));
        }
        let missing = || Fault::permanent("QEMU for x86_64 is not installed on this host");
        Ok(Platform {
            is_accelerated: self.has_kvm && capabilities.has_kvm,
            emulator: capabilities.emulator.clone().ok_or_else(missing)?,
            cpu_mode: self.config.cpu_mode,
            disabled_cpu_features: self.config.disabled_cpu_features.clone(),
            cells: capabilities.cells.clone(),
            has_direct_io: self.disks.has_direct_io(),
        })
    }

    /// The host's UUID: the given one, the stored one, or libvirt's. It is stored.
    fn host_uuid(&self, capabilities: &Capabilities) -> Result<Uuid, Fault> {
        let path = self.config.state.join(HOST_UUID);
        let failed = |error: io::Error| Fault::transient(format!("{}: {error}", path.display()));
        match fs::read_to_string(&path) {
            Ok(text) => {
                let unreadable = |_| Fault::permanent(format!("{}: {text:?} is not a UUID", path.display()));
                text.trim().parse().map_err(unreadable)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let uuid = self.config.host_uuid.unwrap_or(capabilities.host_uuid);
                records::replace(&path, format!("{uuid}\n").as_bytes()).map_err(failed)?;
                Ok(uuid)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

fn capabilities(connect: &Connect) -> Result<Capabilities, Fault> {
    let text = connect.capabilities().map_err(|error| fault("reading the host's capabilities", &error))?;
    Capabilities::parse(&text)
}

/// Refuses a changed UUID: the service would see a new host, and the guests would be orphaned.
pub(super) fn check_host_uuid(config: &Config) -> Result<(), OpenDriverError> {
    let Some(given) = config.host_uuid else { return Ok(()) };
    let file = config.state.join(HOST_UUID);
    match fs::read_to_string(&file) {
        Ok(text) if text.trim() == given.to_string() => Ok(()),
        Ok(text) => Err(OpenDriverError::OtherHost { given, kept: text.trim().to_owned(), file }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unusable("--state", &config.state, error)),
    }
}

fn hypervisor(
    connect: &Connect,
    capabilities: &Capabilities,
    platform: &Platform,
) -> Result<v1::Hypervisor, Fault> {
    let asked = |error| fault("reading the hypervisor's version", &error);
    Ok(v1::Hypervisor {
        kind: connect.driver_type().map_err(asked)?,
        version: connect.hyp_version().map_err(asked)?,
        libvirt_version: connect.lib_version().map_err(asked)?,
        is_accelerated: platform.is_accelerated,
        architecture: capabilities.architecture.clone(),
        cpu_model: capabilities.cpu_model.clone(),
        ..v1::Hypervisor::default()
    })
}

/// All features of the host's CPU: the model that libvirt reports, expanded into its features.
fn features(connect: &Connect, capabilities: &Capabilities) -> Vec<String> {
    let expanded = connect.baseline_cpu(&[&capabilities.cpu], VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES);
    let expanded = expanded.map_err(|error| fault("reading the features of the CPU", &error));
    expanded.and_then(|cpu| capabilities::features(&cpu)).unwrap_or_else(|fault| {
        tracing::warn!("the CPU's traits are not reported: {fault}");
        Vec::new()
    })
}

/// The PCI devices of the host; empty if libvirt lacks the driver for host devices.
fn pci_devices(connect: &Connect) -> Vec<PciDevice> {
    let listed = connect.list_all_node_devices(VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV);
    let texts = listed.into_iter().flatten().filter_map(|device| device.xml_desc(0).ok());
    let mut devices: Vec<_> = texts.filter_map(|text| capabilities::pci_device(&text)).collect();
    devices.sort_by(|one, other| one.address.cmp(&other.address));
    devices
}
