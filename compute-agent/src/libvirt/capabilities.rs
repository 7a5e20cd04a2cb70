//! The capabilities of a host, read from libvirt's XML.

use std::collections::BTreeSet;

use roxmltree::{Document, Node};
use uuid::Uuid;

use crate::{Cell, Fault, HugePages, PciDevice};

/// The size of ordinary pages.
const PLAIN_PAGE_KIB: u32 = 4;

/// The capabilities of a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Capabilities {
    pub(super) host_uuid: Uuid,
    pub(super) architecture: String,
    pub(super) cpu_model: String,
    /// libvirt's XML description of the host's CPU, an argument of further queries.
    pub(super) cpu: String,
    pub(super) cells: Vec<Cell>,
    /// The emulator for guests of the host's architecture.
    pub(super) emulator: Option<String>,
    /// The machine types that the emulator supports.
    pub(super) machines: BTreeSet<String>,
    /// Whether guests can run on KVM.
    pub(super) has_kvm: bool,
    /// The user and group that QEMU runs as, if libvirt reports them.
    pub(super) qemu_owner: Option<(u32, u32)>,
}

impl Capabilities {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let document = Document::parse(text).map_err(|error| unreadable(&error.to_string()))?;
        let root = document.root_element();
        let host = child(root, "host").ok_or_else(|| unreadable("no host"))?;
        let cpu = child(host, "cpu").ok_or_else(|| unreadable("no host/cpu"))?;
        let uuid = child_text(host, "uuid").parse();
        let architecture = child_text(cpu, "arch").to_owned();
        let guest = guest_of(root, &architecture);
        let domain_types = || guest.into_iter().flat_map(|guest| children(guest, "domain"));
        let machines = guest.into_iter().flat_map(|guest| children(guest, "machine"));
        Ok(Self {
            host_uuid: uuid.map_err(|_| unreadable("host/uuid is not a UUID"))?,
            cpu_model: child_text(cpu, "model").to_owned(),
            cpu: text[cpu.range()].to_owned(),
            cells: child(host, "topology").map(cells).unwrap_or_default(),
            emulator: guest.and_then(|guest| child(guest, "emulator")?.text()).map(str::to_owned),
            machines: machines.filter_map(|machine| machine.text().map(str::to_owned)).collect(),
            has_kvm: domain_types().any(|domain| domain.attribute("type") == Some("kvm")),
            qemu_owner: qemu_owner(host),
            architecture,
        })
    }

    /// The number of threads in all cells.
    pub(super) fn threads(&self) -> usize {
        self.cells.iter().map(|cell| cell.cpus.len()).sum()
    }
}

/// The names of the features in a CPU description.
pub(super) fn features(cpu: &str) -> Result<Vec<String>, Fault> {
    let document = Document::parse(cpu).map_err(|error| unreadable(&error.to_string()))?;
    let is_present = |feature: &Node<'_, '_>| feature.attribute("policy") != Some("disable");
    let present = children(document.root_element(), "feature").filter(is_present);
    Ok(present.filter_map(|feature| feature.attribute("name").map(str::to_owned)).collect())
}

/// Reads the description of a PCI device; None if guests cannot be assigned the device.
pub(super) fn pci_device(text: &str) -> Option<PciDevice> {
    let document = Document::parse(text).ok()?;
    let capability =
        children(document.root_element(), "capability").find(|c| c.attribute("type") == Some("pci"))?;
    let number = |name| child_text(capability, name).parse::<u32>().ok();
    let id = |name| {
        let id = child(capability, name)?.attribute("id")?;
        u16::from_str_radix(id.strip_prefix("0x")?, 16).ok()
    };
    let is_bridge = children(capability, "capability").any(|c| c.attribute("type") == Some("pci-bridge"));
    if is_bridge {
        return None;
    }
    let [domain, bus, slot, function] = ["domain", "bus", "slot", "function"].map(number);
    let address = format!("{:04x}:{:02x}:{:02x}.{:x}", domain?, bus?, slot?, function?);
    let node = child(capability, "numa").and_then(|numa| numa.attribute("node")?.parse().ok());
    Some(PciDevice { address, vendor: id("vendor")?, product: id("product")?, cell: node })
}

/// Reads the owner from the label of libvirt's `dac` security model, such as `+64055:+106`.
fn qemu_owner(host: Node<'_, '_>) -> Option<(u32, u32)> {
    let dac = children(host, "secmodel").find(|model| child_text(*model, "model") == "dac")?;
    let (user, group) = child_text(dac, "baselabel").split_once(':')?;
    let number = |text: &str| text.strip_prefix('+').unwrap_or(text).parse().ok();
    Some((number(user)?, number(group)?))
}

fn guest_of<'a>(root: Node<'a, 'a>, architecture: &str) -> Option<Node<'a, 'a>> {
    let hvm = children(root, "guest").filter(|guest| child_text(*guest, "os_type") == "hvm");
    hvm.filter_map(|guest| child(guest, "arch")).find(|arch| arch.attribute("name") == Some(architecture))
}

fn cells(topology: Node<'_, '_>) -> Vec<Cell> {
    let cells = child(topology, "cells").into_iter().flat_map(|cells| children(cells, "cell"));
    cells.filter_map(cell).collect()
}

fn cell(cell: Node<'_, '_>) -> Option<Cell> {
    let id = cell.attribute("id")?.parse().ok()?;
    let threads = child(cell, "cpus").into_iter().flat_map(|cpus| children(cpus, "cpu"));
    let cpus = threads.filter_map(|cpu| cpu.attribute("id")?.parse().ok()).collect();
    let memory_kib: u64 = child_text(cell, "memory").parse().unwrap_or(0);
    let memory_mb = u32::try_from(memory_kib / 1024).unwrap_or(u32::MAX);
    let huge_pages = children(cell, "pages").filter_map(pages).collect();
    Some(Cell { id, cpus, memory_mb, huge_pages })
}

fn pages(pages: Node<'_, '_>) -> Option<HugePages> {
    let size_kib = pages.attribute("size")?.parse().ok()?;
    let total = pages.text()?.parse().ok()?;
    (size_kib > PLAIN_PAGE_KIB && total > 0).then_some(HugePages { size_kib, total })
}

fn child<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    node.children().find(|child| child.has_tag_name(name))
}

fn children<'a>(node: Node<'a, 'a>, name: &'a str) -> impl Iterator<Item = Node<'a, 'a>> {
    node.children().filter(move |child| child.has_tag_name(name))
}

fn child_text<'a>(node: Node<'a, 'a>, name: &str) -> &'a str {
    child(node, name).and_then(|child| child.text()).unwrap_or_default()
}

fn unreadable(why: &str) -> Fault {
    Fault::permanent(format!("cannot read libvirt's description of the host: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = r#"<capabilities>
      <host>
        <uuid>00000000-0000-0000-0000-00000000000a</uuid>
        <cpu><arch>x86_64</arch><model>EPYC</model></cpu>
        <topology><cells num="2">
          <cell id="0"><memory unit="KiB">4194304</memory>
            <pages unit="KiB" size="4">1000</pages><pages unit="KiB" size="2048">512</pages><pages unit="KiB" size="1048576">0</pages>
            <cpus num="2"><cpu id="0"/><cpu id="2"/></cpus></cell>
          <cell id="1"><memory unit="KiB">2097152</memory><cpus num="1"><cpu id="1"/></cpus></cell>
        </cells></topology>
        <secmodel><model>apparmor</model><doi>0</doi></secmodel>
        <secmodel><model>dac</model><doi>0</doi><baselabel type="kvm">+64055:+106</baselabel>
          <baselabel type="qemu">+64055:+106</baselabel></secmodel>
      </host>
      <guest><os_type>hvm</os_type><arch name="i686"><emulator>/bin/i386</emulator></arch></guest>
      <guest><os_type>hvm</os_type>
        <arch name="x86_64"><emulator>/bin/qemu</emulator><machine>pc</machine><domain type="qemu"/><domain type="kvm"/></arch></guest>
    </capabilities>"#;

    #[test]
    fn a_host_is_read() {
        let host = Capabilities::parse(HOST).expect("readable");
        assert_eq!(host.host_uuid, Uuid::from_u128(10));
        assert_eq!((host.architecture.as_str(), host.cpu_model.as_str()), ("x86_64", "EPYC"));
        assert_eq!(host.cpu, "<cpu><arch>x86_64</arch><model>EPYC</model></cpu>");
        assert_eq!(host.emulator.as_deref(), Some("/bin/qemu"));
        assert_eq!(host.machines, BTreeSet::from(["pc".to_owned()]));
        assert!(host.has_kvm);
        assert_eq!(host.qemu_owner, Some((64055, 106)));
        assert_eq!(host.threads(), 3);
        let huge_pages = vec![HugePages { size_kib: 2048, total: 512 }];
        assert_eq!(host.cells[0], Cell { id: 0, cpus: vec![0, 2], memory_mb: 4096, huge_pages });
        assert_eq!(host.cells[1].memory_mb, 2048);
    }

    #[test]
    fn without_kvm_it_says_so() {
        let text = HOST.replace(r#"<domain type="kvm"/>"#, "");
        assert!(!Capabilities::parse(&text).expect("readable").has_kvm);
        let text = HOST.replace("<model>dac</model>", "<model>none</model>");
        assert_eq!(Capabilities::parse(&text).expect("readable").qemu_owner, None);
        assert!(Capabilities::parse("<capabilities/>").is_err());
    }

    #[test]
    fn features_are_read_but_for_those_disabled() {
        let cpu = "<cpu><feature policy='require' name='aes'/><feature policy='disable' name='hle'/></cpu>";
        assert_eq!(features(cpu), Ok(vec!["aes".to_owned()]));
    }

    #[test]
    fn a_pci_device_is_read_and_a_bridge_is_none() {
        let device = r#"<device><name>pci_0000_81_00_0</name><capability type="pci"><class>0x020000</class>
          <domain>0</domain><bus>129</bus><slot>0</slot><function>1</function>
          <product id="0x1572">X710</product><vendor id="0x8086">Intel</vendor><numa node="1"/></capability></device>"#;
        let read = pci_device(device).expect("readable");
        assert_eq!((read.address.as_str(), read.cell), ("0000:81:00.1", Some(1)));
        assert_eq!((read.vendor, read.product), (0x8086, 0x1572));
        let bridge = device.replace("<numa", "<capability type='pci-bridge'/><numa");
        assert_eq!(pci_device(&bridge), None);
    }
}
