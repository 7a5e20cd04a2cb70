//! A guest as a libvirt domain.

use std::fmt::Display;
use std::path::Path;

use super::blueprint::{Blueprint, Boot, Bus, Root};
use super::files::Files;
use super::records::NAMESPACE;
use super::xml::Element;
use super::{CpuMode, records};
use crate::{Cell, GuestRecord};

/// Properties that all domains of a host share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Platform {
    pub(super) is_accelerated: bool,
    pub(super) emulator: String,
    pub(super) cpu_mode: CpuMode,
    /// Features that the CPUs of guests do not get.
    pub(super) disabled_cpu_features: Vec<String>,
    /// The host's NUMA cells.
    pub(super) cells: Vec<Cell>,
    /// Whether the disks are used without the host's page cache: then another host may use them
    /// next.
    pub(super) has_direct_io: bool,
}

/// The XML description of a domain.
pub(super) fn describe(
    platform: &Platform,
    blueprint: &Blueprint,
    files: &Files,
    record: GuestRecord,
) -> Element {
    let kind = if platform.is_accelerated { "kvm" } else { "qemu" };
    let domain = Element::new("domain").attribute("type", kind);
    let domain = domain
        .child(text("name", format_args!("berth-{}", blueprint.instance)))
        .child(text("uuid", blueprint.instance))
        .children((!blueprint.title.trim().is_empty()).then(|| text("title", title(&blueprint.title))))
        .child(Element::new("metadata").child(metadata(record)))
        .child(text("memory", blueprint.memory_mb).attribute("unit", "MiB"))
        .children(blueprint.page_kib.map(memory_backing))
        .child(vcpus(platform, blueprint))
        .children(memory_of_cells(blueprint))
        .child(os(blueprint))
        .child(Element::new("features").child(Element::new("acpi")).child(Element::new("apic")))
        .children(cpu(platform))
        .child(Element::new("clock").attribute("offset", "utc"));
    let ends = [("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")];
    domain.children(ends.map(|(name, action)| text(name, action))).child(devices(platform, blueprint, files))
}

/// libvirt requires a title of one line.
fn title(name: &str) -> String {
    name.replace(['\n', '\r'], " ")
}

fn metadata(record: GuestRecord) -> Element {
    records::element("berth:record", record).attribute("xmlns:berth", NAMESPACE)
}

fn memory_backing(page_kib: u32) -> Element {
    let page = Element::new("page").attribute("size", page_kib).attribute("unit", "KiB");
    Element::new("memoryBacking").child(Element::new("hugepages").child(page))
}

/// The vCPUs, bound to the threads of the guest's cells.
fn vcpus(platform: &Platform, blueprint: &Blueprint) -> Element {
    let is_granted = |cell: &&Cell| blueprint.cells.contains(&cell.id);
    let threads = platform.cells.iter().filter(is_granted).flat_map(|cell| &cell.cpus);
    let threads: Vec<_> = threads.map(u32::to_string).collect();
    let vcpus = text("vcpu", blueprint.vcpus);
    if threads.is_empty() { vcpus } else { vcpus.attribute("cpuset", threads.join(",")) }
}

/// The memory, bound to the guest's cells.
fn memory_of_cells(blueprint: &Blueprint) -> Option<Element> {
    let cells: Vec<_> = blueprint.cells.iter().map(u32::to_string).collect();
    let memory = Element::new("memory").attribute("mode", "strict").attribute("nodeset", cells.join(","));
    (!cells.is_empty()).then(|| Element::new("numatune").child(memory))
}

fn os(blueprint: &Blueprint) -> Element {
    let kind = text("type", "hvm").attribute("arch", "x86_64").attribute("machine", &blueprint.machine);
    let os = Element::new("os").child(kind);
    match &blueprint.boot {
        Boot::Disk => os.child(Element::new("boot").attribute("dev", "hd")),
        Boot::Firmware(rom) => {
            let loader = text("loader", rom.display()).attribute("readonly", "yes").attribute("type", "rom");
            os.child(loader)
        }
        Boot::Kernel { kernel, initrd, command_line } => os
            .child(text("kernel", kernel.display()))
            .children(initrd.as_ref().map(|initrd| text("initrd", initrd.display())))
            .children(command_line.as_ref().map(|line| text("cmdline", line))),
    }
}

fn cpu(platform: &Platform) -> Option<Element> {
    let mode = match platform.cpu_mode {
        CpuMode::HypervisorDefault => return None,
        CpuMode::HostModel => "host-model",
        CpuMode::HostPassthrough => "host-passthrough",
    };
    let feature = |name: &str| Element::new("feature").attribute("policy", "disable").attribute("name", name);
    // Nested KVM offers this feature and then refuses it.
    let cpu = Element::new("cpu").attribute("mode", mode).child(feature("arch-capabilities"));
    let cpu = cpu.children(platform.disabled_cpu_features.iter().map(|name| feature(name)));
    platform.is_accelerated.then_some(cpu)
}

fn devices(platform: &Platform, blueprint: &Blueprint, files: &Files) -> Element {
    let source =
        Element::new("source").attribute("path", files.console().display()).attribute("append", "on");
    let target = Element::new("target").attribute("port", 0);
    let serial = Element::new("serial").attribute("type", "file").child(source).child(target);
    let usb = Element::new("controller").attribute("type", "usb").attribute("model", "none");
    Element::new("devices")
        .child(text("emulator", &platform.emulator))
        .children(disks(platform, blueprint, files))
        .child(usb)
        .child(serial)
        .children(blueprint.devices.iter().filter_map(|address| host_device(address)))
        .child(Element::new("memballoon").attribute("model", "none"))
}

fn disks(platform: &Platform, blueprint: &Blueprint, files: &Files) -> Vec<Element> {
    let qcow2 = [
        (matches!(blueprint.rescue, Some(Root::Image { .. })), files.rescue()),
        (blueprint.root != Root::None, files.root()),
        (blueprint.ephemeral_gb > 0, files.ephemeral()),
        (blueprint.swap_mb > 0, files.swap()),
    ];
    let there = qcow2.into_iter().filter(|(exists, _)| *exists).map(|(_, path)| (path, "qcow2"));
    let all = there.chain([(files.config_drive(), "raw")]);
    all.zip('a'..)
        .map(|((path, format), letter)| disk(platform, (&path, format), blueprint.bus, letter))
        .collect()
}

fn disk(platform: &Platform, (path, format): (&Path, &str), bus: Bus, letter: char) -> Element {
    let (bus, prefix) = match bus {
        Bus::Virtio => ("virtio", "vd"),
        Bus::Sata => ("sata", "sd"),
        Bus::Ide => ("ide", "hd"),
    };
    let target =
        Element::new("target").attribute("dev", format_args!("{prefix}{letter}")).attribute("bus", bus);
    let disk = Element::new("disk").attribute("type", "file").attribute("device", "disk");
    let driver = Element::new("driver").attribute("name", "qemu").attribute("type", format);
    let driver = if platform.has_direct_io { driver.attribute("cache", "none") } else { driver };
    disk.child(driver).child(Element::new("source").attribute("file", path.display())).child(target)
}

/// A PCI device; None if the address is not `domain:bus:slot.function`, which libvirt's addresses
/// are.
fn host_device(address: &str) -> Option<Element> {
    let (domain, rest) = address.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (slot, function) = rest.split_once('.')?;
    let parts = [("domain", domain), ("bus", bus), ("slot", slot), ("function", function)];
    let hex = |element: Element, (name, digits)| element.attribute(name, format_args!("0x{digits}"));
    let address = parts.into_iter().fold(Element::new("address"), hex);
    let device = Element::new("hostdev").attribute("mode", "subsystem").attribute("type", "pci");
    Some(device.attribute("managed", "yes").child(Element::new("source").child(address)))
}

fn text(name: &'static str, text: impl Display) -> Element {
    Element::new(name).text(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use roxmltree::Document;
    use uuid::Uuid;

    use super::*;
    use crate::libvirt::disks::Disks;
    use crate::libvirt::images::Format;

    fn blueprint() -> Blueprint {
        let root = Root::Image { path: "/images/a.qcow2".into(), format: Format::Qcow2, size_gb: 1 };
        Blueprint {
            instance: Uuid::from_u128(7),
            title: "<b>\n&".into(),
            vcpus: 2,
            memory_mb: 64,
            machine: "q35".into(),
            boot: Boot::Disk,
            bus: Bus::Virtio,
            root,
            rescue: None,
            ephemeral_gb: 0,
            swap_mb: 64,
            cells: BTreeSet::new(),
            page_kib: None,
            devices: Vec::new(),
        }
    }

    fn described(blueprint: &Blueprint, is_accelerated: bool) -> String {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let cell = |id| Cell { id, cpus: vec![id, id + 2], memory_mb: 0, huge_pages: Vec::new() };
        let platform = Platform {
            is_accelerated,
            emulator: "/bin/qemu".into(),
            cpu_mode: CpuMode::HostModel,
            disabled_cpu_features: vec!["avx512f".to_owned()],
            cells: vec![cell(0), cell(1)],
            has_direct_io: is_accelerated,
        };
        let files = Disks::open(directory.path().to_owned()).expect("opens").files(blueprint.instance);
        describe(
            &platform,
            blueprint,
            &files,
            GuestRecord { known: 5, fulfilled: 4, boot: 2, rebuilt: 3, is_rescue: false },
        )
        .to_string()
    }

    /// The attribute of the first element with that name, or its text.
    fn value(xml: &str, name: &str, attribute: &str) -> Option<String> {
        let document = Document::parse(xml).expect("well-formed");
        let element = document.descendants().find(|node| node.tag_name().name() == name)?;
        let value = if attribute.is_empty() { element.text() } else { element.attribute(attribute) };
        value.map(str::to_owned)
    }

    #[test]
    fn a_domain_says_what_the_guest_is_made_of() {
        let xml = described(&blueprint(), true);
        let check = |name, attribute, expected: &str| {
            assert_eq!(value(&xml, name, attribute).as_deref(), Some(expected), "{name} {attribute}: {xml}");
        };
        check("domain", "type", "kvm");
        check("uuid", "", "00000000-0000-0000-0000-000000000007");
        check("title", "", "<b> &");
        check("vcpu", "", "2");
        check("memory", "", "64");
        check("cpu", "mode", "host-model");
        check("record", "known", "5");
        check("type", "machine", "q35");
        let document = Document::parse(&xml).expect("well-formed");
        let disks = document.descendants().filter(|node| node.has_tag_name("disk"));
        let files: Vec<_> = disks
            .map(|disk| {
                let child = |name| disk.children().find(|node| node.has_tag_name(name)).expect("there");
                let file = PathBuf::from(child("source").attribute("file").expect("there"));
                let name = file.file_name().expect("a file").to_string_lossy().into_owned();
                (child("target").attribute("dev").expect("there").to_owned(), name)
            })
            .collect();
        let expected = [("vda", "disk.qcow2"), ("vdb", "swap.qcow2"), ("vdc", "config.img")];
        assert_eq!(files, expected.map(|(target, file)| (target.to_owned(), file.to_owned())));
    }

    #[test]
    fn software_emulation_has_a_cpu_of_its_own() {
        let xml = described(&blueprint(), false);
        assert_eq!(value(&xml, "domain", "type").as_deref(), Some("qemu"));
        assert_eq!(value(&xml, "cpu", "mode"), None);
    }

    #[test]
    fn a_guest_stays_in_the_cells_and_gets_the_devices_it_was_granted() {
        let granted = Blueprint {
            cells: BTreeSet::from([1]),
            page_kib: Some(2048),
            devices: vec!["0000:81:00.1".into()],
            ..blueprint()
        };
        let xml = described(&granted, true);
        assert_eq!(value(&xml, "vcpu", "cpuset").as_deref(), Some("1,3"));
        assert!(xml.contains(r#"<numatune><memory mode="strict" nodeset="1"/></numatune>"#));
        assert_eq!(value(&xml, "page", "size").as_deref(), Some("2048"));
        assert!(xml.contains(r#"<address domain="0x0000" bus="0x81" slot="0x00" function="0x1"/>"#));
    }

    #[test]
    fn a_kernel_and_a_firmware_are_named() {
        let kernel = Boot::Kernel {
            kernel: "/images/vmlinuz".into(),
            initrd: Some("/images/initrd".into()),
            command_line: Some("console=ttyS0 quiet".into()),
        };
        let xml = described(&Blueprint { boot: kernel, ..blueprint() }, true);
        assert_eq!(value(&xml, "kernel", "").as_deref(), Some("/images/vmlinuz"));
        assert_eq!(value(&xml, "cmdline", "").as_deref(), Some("console=ttyS0 quiet"));
        let xml = described(&Blueprint { boot: Boot::Firmware("/images/rom".into()), ..blueprint() }, true);
        assert_eq!(value(&xml, "loader", "type").as_deref(), Some("rom"));
    }
}
