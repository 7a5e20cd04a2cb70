//! The agent on compute hosts: libvirt installed where it is missing, tests with real guests, and this machine as a host to try.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
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
    let script = steps.root().join("compute-agent/install-libvirt.sh");
    steps.run("libvirt and QEMU (Debian, as root)", as_root("bash").arg(script))
}

/// Makes this machine a compute host of the service on it, with one image to boot, until Ctrl-C.
pub(crate) fn host(steps: &mut Steps) -> Result<()> {
    install(steps)?;
    let mut build = steps.cargo(&["build", "--release", "-p", "berth-compute-agent"]);
    steps.run("the agent", &mut build)?;
    if !succeeds(as_root("virsh").args(["-c", "qemu:///system", "version"])) {
        // Where no service manager starts them. The first keeps what guests say on their consoles.
        steps.run("virtlogd", as_root("/usr/sbin/virtlogd").arg("--daemon"))?;
        steps.run("libvirtd", as_root("/usr/sbin/libvirtd").arg("--daemon"))?;
    }
    image(steps)?;
    let agent = steps.target_dir().join("release/berth-agent");
    steps.run("berth-agent, until Ctrl-C", &mut as_root(agent))
}

/// The guest of the tests as an image for `berth server create`.
fn image(steps: &mut Steps) -> Result<()> {
    let images = Path::new("/var/lib/berth-agent/images");
    let source = steps.root().join("compute-agent/tests/kvm/canary.S");
    let object = steps.target_dir().join("canary.o");
    steps.run("image, assembled", Command::new("as").arg("--32").arg("-o").arg(&object).arg(source))?;
    steps.run("folder of images", as_root("mkdir").arg("-p").arg(images))?;
    let mut link = as_root("ld");
    link.args(["-m", "elf_i386", "-Ttext", "0", "--oformat", "binary", "-e", "_start", "-o"]);
    steps.run("image canary.bin", link.arg(images.join("canary.bin")).arg(object))
}

/// Runs the agent on a libvirtd of its own, with guests on KVM or, where there is none, on software emulation.
pub(crate) fn test(steps: &mut Steps) -> Result<()> {
    install(steps)?;
    let real = ["test", "-p", "berth-compute-agent", "--test", "kvm", "--", "--ignored", "--show-output"];
    let mut tests = steps.cargo(&real);
    steps.run_tests("tests with real guests (as root)", &mut tests)
}

/// With sudo, unless this is root already.
fn as_root(program: impl AsRef<OsStr>) -> Command {
    if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}

fn has_headers() -> bool {
    succeeds(Command::new("pkg-config").args(["--exists", "libvirt"]))
}

fn is_there(program: &str) -> bool {
    // What daemons are is not in everybody's PATH.
    succeeds(Command::new(program).arg("--version"))
        || succeeds(Command::new(Path::new("/usr/sbin").join(program)).arg("--version"))
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
