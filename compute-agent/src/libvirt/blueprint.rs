//! The blueprint of a guest, read from its spec. What this driver does not support is refused with
//! the name of the field, not ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use berth_api::v1::GuestSpec;
use uuid::Uuid;

use super::images::{Format, Images};
use super::supported;
use crate::{Fault, Part};

/// The blueprint of a guest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Blueprint {
    pub(super) instance: Uuid,
    pub(super) title: String,
    pub(super) vcpus: u32,
    pub(super) memory_mb: u32,
    pub(super) machine: String,
    pub(super) boot: Boot,
    pub(super) bus: Bus,
    pub(super) root: Root,
    /// The temporary disk of a rescue, which comes first. [`Root::None`] if its image is the kernel
    /// or firmware.
    pub(super) rescue: Option<Root>,
    pub(super) ephemeral_gb: u32,
    pub(super) swap_mb: u32,
    /// The NUMA cells it is bound to; empty for all.
    pub(super) cells: BTreeSet<u32>,
    /// The size of the huge pages that back its memory, in KiB.
    pub(super) page_kib: Option<u32>,
    /// Addresses of its PCI devices.
    pub(super) devices: Vec<String>,
}

/// What the guest boots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Boot {
    /// The boot loader on the root disk.
    Disk,
    Kernel {
        kernel: PathBuf,
        initrd: Option<PathBuf>,
        command_line: Option<String>,
    },
    /// A ROM in place of the BIOS.
    Firmware(PathBuf),
}

/// The bus of the disks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bus {
    Virtio,
    Sata,
    Ide,
}

/// The root disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Root {
    /// An overlay over an image; `size_gb` 0 for the image's size.
    Image {
        path: PathBuf,
        format: Format,
        size_gb: u32,
    },
    /// The image is the kernel or firmware, not a disk.
    Empty {
        size_gb: u32,
    },
    None,
}

impl Blueprint {
    /// Reads a spec. `parts` are the parts of the host that have providers.
    pub(super) fn read(
        instance: Uuid,
        spec: &GuestSpec,
        images: &Images,
        parts: &BTreeMap<Uuid, Part>,
    ) -> Result<Self, Fault> {
        let flavor = spec.flavor.as_ref().ok_or_else(|| Fault::permanent("spec.flavor: missing"))?;
        let image = spec.image.as_ref().ok_or_else(|| Fault::permanent("spec.image: missing"))?;
        let extra_specs = borrowed(&flavor.extra_specs);
        let properties = borrowed(&image.properties);
        supported::check_extra_specs(&extra_specs)?;
        supported::check_properties(&properties)?;
        let rescue = spec.rescue_image.as_ref();
        let booted = rescue.map_or_else(|| properties.clone(), |image| borrowed(&image.properties));
        supported::check_properties(&booted)?;
        if flavor.vcpus == 0 || flavor.memory_mb == 0 {
            return Err(Fault::permanent("flavor: vcpus and memory_mb must be at least 1"));
        }
        let mut blueprint = Self {
            instance,
            title: spec.name.clone(),
            vcpus: flavor.vcpus,
            memory_mb: flavor.memory_mb,
            machine: properties.get("hw_machine_type").copied().unwrap_or("pc").to_owned(),
            boot: boot(&booted, images)?,
            bus: bus(&properties),
            root: root(&image.name, flavor.root_gb, &properties, images)?,
            rescue: rescue.map(|image| root(&image.name, 0, &booted, images)).transpose()?,
            ephemeral_gb: flavor.ephemeral_gb,
            swap_mb: flavor.swap_mb,
            cells: BTreeSet::new(),
            page_kib: None,
            devices: Vec::new(),
        };
        blueprint.take_granted(spec, parts)?;
        Ok(blueprint)
    }

    /// Binds the guest to the cells, pages and devices of its allocations.
    fn take_granted(&mut self, spec: &GuestSpec, parts: &BTreeMap<Uuid, Part>) -> Result<(), Fault> {
        let mut paged_kib = 0;
        for allocation in &spec.allocations {
            let part = allocation.provider.parse().ok().and_then(|uuid: Uuid| parts.get(&uuid));
            match part {
                None => {}
                Some(Part::Cell(id)) => {
                    self.cells.insert(*id);
                }
                Some(Part::Device(address)) => self.devices.push(address.clone()),
                Some(Part::Pages { cell, size_kib }) => {
                    let pages: u64 = allocation.resources.values().copied().map(u64::from).sum();
                    paged_kib += pages * u64::from(*size_kib);
                    self.cells.insert(*cell);
                    if self.page_kib.replace(*size_kib).is_some_and(|other| other != *size_kib) {
                        return Err(Fault::permanent("allocations: huge pages of different sizes"));
                    }
                }
            }
        }
        if self.page_kib.is_some() && paged_kib < u64::from(self.memory_mb) * 1024 {
            return Err(Fault::permanent(format!(
                "allocations: {paged_kib} KiB of huge pages are less than flavor.memory_mb {}",
                self.memory_mb
            )));
        }
        Ok(())
    }
}

fn borrowed(map: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn boot(properties: &BTreeMap<&str, &str>, images: &Images) -> Result<Boot, Fault> {
    let file = |property: &str| {
        let name = properties.get(property);
        name.map(|name| images.file(&format!("image.properties[{property}]"), name)).transpose()
    };
    match (file("firmware")?, file("kernel")?) {
        (Some(_), Some(_)) => {
            Err(Fault::permanent("image.properties: firmware and kernel exclude each other"))
        }
        (Some(firmware), None) => Ok(Boot::Firmware(firmware)),
        (None, None) => Ok(Boot::Disk),
        (None, Some(kernel)) => {
            let command_line = properties.get("cmdline").map(|&line| line.to_owned());
            Ok(Boot::Kernel { kernel, initrd: file("initrd")?, command_line })
        }
    }
}

fn bus(properties: &BTreeMap<&str, &str>) -> Bus {
    match properties.get("hw_disk_bus") {
        Some(&"sata") => Bus::Sata,
        Some(&"ide") => Bus::Ide,
        _ => Bus::Virtio,
    }
}

fn root(
    image: &str,
    size_gb: u32,
    properties: &BTreeMap<&str, &str>,
    images: &Images,
) -> Result<Root, Fault> {
    let path = images.file("image.name", image)?;
    let boots_itself = ["firmware", "kernel"].iter().any(|property| properties.get(property) == Some(&image));
    match (boots_itself, size_gb) {
        (true, 0) => Ok(Root::None),
        (true, size_gb) => Ok(Root::Empty { size_gb }),
        (false, size_gb) => {
            let format = Format::of(image, properties.get("disk_format").copied())?;
            Ok(Root::Image { path, format, size_gb })
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_api::v1::{Allocation, Flavor, Image};

    use super::*;

    struct Case {
        directory: tempfile::TempDir,
        spec: GuestSpec,
    }

    impl Case {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a temporary directory");
            for name in ["debian.qcow2", "vmlinuz", "initrd", "rom.bin"] {
                std::fs::write(directory.path().join(name), "").expect("written");
            }
            let flavor = Flavor { vcpus: 2, memory_mb: 512, root_gb: 10, ..Flavor::default() };
            let image = Image { name: "debian.qcow2".into(), ..Image::default() };
            let spec = GuestSpec { flavor: Some(flavor), image: Some(image), ..GuestSpec::default() };
            Self { directory, spec }
        }

        fn extra(mut self, key: &str, value: &str) -> Self {
            self.spec.flavor.as_mut().expect("there").extra_specs.insert(key.into(), value.into());
            self
        }

        fn property(mut self, key: &str, value: &str) -> Self {
            self.spec.image.as_mut().expect("there").properties.insert(key.into(), value.into());
            self
        }

        fn image(mut self, name: &str, root_gb: u32) -> Self {
            self.spec.image.as_mut().expect("there").name = name.into();
            self.spec.flavor.as_mut().expect("there").root_gb = root_gb;
            self
        }

        fn granted(mut self, provider: u128, amount: u32) -> Self {
            let resources = [("CUSTOM_X".to_owned(), amount)].into();
            let provider = Uuid::from_u128(provider).to_string();
            self.spec.allocations.push(Allocation { provider, resources });
            self
        }

        fn read(&self) -> Result<Blueprint, Fault> {
            let images = Images::new(self.directory.path().to_owned());
            let parts = [
                (1, Part::Cell(1)),
                (2, Part::Pages { cell: 1, size_kib: 2048 }),
                (3, Part::Device("0000:81:00.0".into())),
            ];
            let parts = parts.map(|(id, part)| (Uuid::from_u128(id), part)).into();
            Blueprint::read(Uuid::from_u128(7), &self.spec, &images, &parts)
        }

        fn error(&self) -> String {
            let fault = self.read().expect_err("refused");
            assert_eq!(fault.kind, crate::FaultKind::Permanent);
            fault.message
        }
    }

    #[test]
    fn a_plain_guest_boots_from_its_disk() {
        let case = Case::new()
            .extra("trait:HW_CPU_X86_AVX", "required")
            .extra("ssd", "true")
            .extra("resources1:VCPU", "1");
        let blueprint = case.read().expect("readable");
        assert_eq!((blueprint.vcpus, blueprint.memory_mb, blueprint.machine.as_str()), (2, 512, "pc"));
        assert_eq!(blueprint.boot, Boot::Disk);
        let path = case.directory.path().join("debian.qcow2");
        assert_eq!(blueprint.root, Root::Image { path, format: Format::Qcow2, size_gb: 10 });
    }

    #[test]
    fn a_kernel_or_a_firmware_can_be_named() {
        let case = Case::new()
            .property("kernel", "vmlinuz")
            .property("initrd", "initrd")
            .property("cmdline", "quiet");
        let Boot::Kernel { initrd: Some(_), command_line: Some(line), .. } =
            case.read().expect("readable").boot
        else {
            panic!()
        };
        assert_eq!(line, "quiet");
        let diskless =
            Case::new().image("rom.bin", 0).property("firmware", "rom.bin").read().expect("readable");
        assert_eq!(diskless.root, Root::None);
        let empty = Case::new().image("rom.bin", 1).property("firmware", "rom.bin").read().expect("readable");
        assert_eq!(empty.root, Root::Empty { size_gb: 1 });
        let both = Case::new().property("kernel", "vmlinuz").property("firmware", "rom.bin").error();
        assert!(both.contains("exclude each other"));
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (key, value) in
            [("hw:cpu_policy", "dedicated"), ("hw:mem_page_size", "large"), ("quota:cpu_shares", "5")]
        {
            let error = Case::new().extra(key, value).error();
            assert_eq!(error, format!("flavor.extra_specs[{key}]: {value:?} is not supported by this agent"));
        }
        for (key, value) in [("hw_firmware_type", "uefi"), ("hw_disk_bus", "scsi"), ("hw_tpm_version", "2.0")]
        {
            let error = Case::new().property(key, value).error();
            assert_eq!(error, format!("image.properties[{key}]: {value:?} is not supported by this agent"));
        }
        assert!(Case::new().property("kernel", "../../boot/vmlinuz").error().contains("without a path"));
        assert!(Case::new().image("none.qcow2", 1).error().contains("\"none.qcow2\" does not exist"));
    }

    #[test]
    fn a_guest_goes_where_its_allocations_are() {
        let blueprint =
            Case::new().granted(9, 2).granted(1, 2).granted(2, 256).granted(3, 1).read().expect("readable");
        assert_eq!(blueprint.cells, BTreeSet::from([1]));
        assert_eq!(blueprint.page_kib, Some(2048));
        assert_eq!(blueprint.devices, ["0000:81:00.0"]);
        assert!(Case::new().granted(2, 255).error().contains("are less than flavor.memory_mb 512"));
    }
}
