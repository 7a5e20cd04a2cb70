//! A guest as a libvirt domain.

use std::fmt::Display;
use std::path::Path;

use super::blueprint::{Blueprint, Boot, Bus, Root};
use super::disks::Files;
use super::records::NAMESPACE;
use super::xml::Element;
use super::{CpuMode, records};
use crate::Record;

/// What all domains of a host have in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Platform {
    pub(super) is_accelerated: bool,
    pub(super) emulator: String,
    pub(super) cpu_mode: CpuMode,
}

/// Describes a domain to libvirt.
pub(super) fn describe(platform: &Platform, blueprint: &Blueprint, files: &Files, record: Record) -> Element {
    let kind = if platform.is_accelerated { "kvm" } else { "qemu" };
    let domain = Element::new("domain").attribute("type", kind);
    let domain = domain
        .child(text("name", format_args!("berth-{}", blueprint.instance)))
        .child(text("uuid", blueprint.instance))
        .children((!blueprint.title.trim().is_empty()).then(|| text("title", title(&blueprint.title))))
        .child(Element::new("metadata").child(metadata(record)))
        .child(text("memory", blueprint.memory_mb).attribute("unit", "MiB"))
        .children(blueprint.page_kib.map(memory_backing))
        .child(text("vcpu", blueprint.vcpus))
        .children(cells(blueprint))
        .child(os(blueprint))
        .child(Element::new("features").child(Element::new("acpi")).child(Element::new("apic")))
        .children(cpu(platform))
        .child(Element::new("clock").attribute("offset", "utc"));
    let ends = [("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")];
    domain.children(ends.map(|(name, action)| text(name, action))).child(devices(platform, blueprint, files))
}

/// A title is one line.
fn title(name: &str) -> String {
    name.replace(['\n', '\r'], " ")
}

fn metadata(record: Record) -> Element {
    records::element("berth:record", record).attribute("xmlns:berth", NAMESPACE)
}

fn memory_backing(page_kib: u32) -> Element {
    let page = Element::new("page").attribute("size", page_kib).attribute("unit", "KiB");
    Element::new("memoryBacking").child(Element::new("hugepages").child(page))
}

/// Memory from the cells it was granted; libvirt keeps the vCPUs near it.
fn cells(blueprint: &Blueprint) -> Option<Element> {
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
    // Where KVM runs nested, this one is announced and then refused.
    let refused =
        Element::new("feature").attribute("policy", "disable").attribute("name", "arch-capabilities");
    let cpu = Element::new("cpu").attribute("mode", mode).child(refused);
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
        .children(disks(blueprint, files))
        .child(usb)
        .child(serial)
        .children(blueprint.devices.iter().filter_map(|address| host_device(address)))
        .child(Element::new("memballoon").attribute("model", "none"))
}

fn disks(blueprint: &Blueprint, files: &Files) -> Vec<Element> {
    let qcow2 = [
        (blueprint.root != Root::None, files.root()),
        (blueprint.ephemeral_gb > 0, files.ephemeral()),
        (blueprint.swap_mb > 0, files.swap()),
    ];
    let there = qcow2.into_iter().filter(|(is_there, _)| *is_there).map(|(_, path)| (path, "qcow2"));
    let all = there.chain([(files.config_drive(), "raw")]);
    all.zip('a'..).map(|((path, format), letter)| disk(&path, format, blueprint.bus, letter)).collect()
}

fn disk(path: &Path, format: &str, bus: Bus, letter: char) -> Element {
    let (bus, prefix) = match bus {
        Bus::Virtio => ("virtio", "vd"),
        Bus::Sata => ("sata", "sd"),
        Bus::Ide => ("ide", "hd"),
    };
    let target =
        Element::new("target").attribute("dev", format_args!("{prefix}{letter}")).attribute("bus", bus);
    let disk = Element::new("disk").attribute("type", "file").attribute("device", "disk");
    disk.child(Element::new("driver").attribute("name", "qemu").attribute("type", format))
        .child(Element::new("source").attribute("file", path.display()))
        .child(target)
}

/// None if the address is not `domain:bus:slot.function`, which none is that libvirt told of.
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
