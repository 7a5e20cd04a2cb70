//! The agent on compute hosts: libvirt installed where it is missing, and tests with real guests.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::step::Steps;

/// What the agent is linked with, and what its tests run.
const PROGRAMS: [&str; 4] = ["libvirtd", "virsh", "qemu-system-x86_64", "qemu-img"];

/// Installs libvirt and QEMU, unless they are there.
pub(crate) fn install(steps: &mut Steps) -> Result<()> {
    if has_headers() && PROGRAMS.iter().all(|program| is_there(program)) {
        return Ok(());
    }
    let mut script = Command::new(steps.root().join("compute-agent/install-libvirt.sh"));
    steps.run("libvirt and QEMU (Debian, as root)", &mut script)
}

/// Runs the agent on a libvirtd of its own, with guests on KVM or, where there is none, on software emulation.
pub(crate) fn test(steps: &mut Steps) -> Result<()> {
    install(steps)?;
    let real = ["test", "-p", "berth-compute-agent", "--test", "kvm", "--", "--ignored", "--show-output"];
    let mut tests = steps.cargo(&real);
    steps.run_tests("tests with real guests (as root)", &mut tests)
}

fn has_headers() -> bool {
    succeeds(Command::new("pkg-config").args(["--exists", "libvirt"]))
}

fn is_there(program: &str) -> bool {
    succeeds(Command::new(program).arg("--version"))
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
