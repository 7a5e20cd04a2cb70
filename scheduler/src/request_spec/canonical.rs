//! One spelling for architectures, hypervisor types and VM modes.

const ARCHITECTURES: &[&str] = &[
    "alpha",
    "armv6",
    "armv7l",
    "armv7b",
    "aarch64",
    "cris",
    "i686",
    "ia64",
    "lm32",
    "m68k",
    "microblaze",
    "microblazeel",
    "mips",
    "mipsel",
    "mips64",
    "mips64el",
    "openrisc",
    "parisc",
    "parisc64",
    "ppc",
    "ppcle",
    "ppc64",
    "ppc64le",
    "ppcemb",
    "s390",
    "s390x",
    "sh4",
    "sh4eb",
    "sparc",
    "sparc64",
    "unicore32",
    "x86_64",
    "xtensa",
    "xtensaeb",
];

const HYPERVISOR_TYPES: &[&str] = &[
    "baremetal",
    "bhyve",
    "docker",
    "fake",
    "hyperv",
    "ironic",
    "kqemu",
    "kvm",
    "lxc",
    "lxd",
    "openvz",
    "parallels",
    "phyp",
    "qemu",
    "test",
    "uml",
    "vbox",
    "vz",
    "vmware",
    "xen",
    "zvm",
    "prsm",
];

const VM_MODES: &[&str] = &["hvm", "xen", "uml", "exe"];

/// The architecture's usual name: `amd64` is `x86_64`, the older x86 names are `i686`; none if it
/// is unknown.
#[must_use]
pub fn architecture(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    known(
        ARCHITECTURES,
        match lower.as_str() {
            "i386" | "i486" | "i586" | "x86_32" | "x86_32p" => "i686",
            "amd64" => "x86_64",
            other => other,
        },
    )
}

/// The hypervisor type's usual name: `xapi` is `xen`; none if it is unknown.
#[must_use]
pub fn hypervisor_type(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    known(HYPERVISOR_TYPES, if lower == "xapi" { "xen" } else { &lower })
}

/// The VM mode's usual name: `pv` is `xen`, `hv` and `baremetal` are `hvm`; none if it is unknown.
#[must_use]
pub(crate) fn vm_mode(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    known(
        VM_MODES,
        match lower.as_str() {
            "pv" => "xen",
            "hv" | "baremetal" => "hvm",
            other => other,
        },
    )
}

fn known(names: &[&'static str], name: &str) -> Option<&'static str> {
    names.iter().copied().find(|known| *known == name)
}
