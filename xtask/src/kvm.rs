//! Tasks for the agent on compute hosts: installing libvirt, tests with real guests, and using this
//! machine as a host.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::packages::Packages;
use crate::step::Steps;

/// The programs that the agent's build and tests need.
const PROGRAMS: [&str; 4] = ["libvirtd", "virsh", "qemu-system-x86_64", "qemu-img"];

/// Installs libvirt and QEMU, unless they are installed.
///
/// # Errors
/// At least one of them cannot be installed.
fn install(steps: &mut Steps, packages: Packages) -> Result<()> {
    if has_headers() && can_run_guests() {
        return Ok(());
    }
    packages.install(steps, "libvirt and QEMU (Debian, as root)", "compute-agent/install-libvirt.sh")
}

/// As `install`, but the headers, which the workspace is built with, are enough.
pub(crate) fn install_for_build(steps: &mut Steps, packages: Packages) -> Result<()> {
    match install(steps, packages) {
        Err(error) if has_headers() => {
            steps.skip(&format!("not installed: {error:#}"), "tests with libvirt and QEMU");
            Ok(())
        }
        installed => installed,
    }
}

fn can_run_guests() -> bool {
    PROGRAMS.iter().all(|program| is_installed(program))
}

/// Runs an agent on this machine, with one image to boot, until Ctrl-C.
pub(crate) fn host(steps: &mut Steps, packages: Packages) -> Result<()> {
    install(steps, packages)?;
    let mut build = steps.cargo(&["build", "--release", "-p", "berth-compute-agent"]);
    steps.run("the agent", &mut build)?;
    if !succeeds(as_root("virsh").args(["-c", "qemu:///system", "version"])) {
        // No service manager starts them here. virtlogd stores the guests' console output.
        steps.run("virtlogd", as_root("/usr/sbin/virtlogd").arg("--daemon"))?;
        steps.run("libvirtd", as_root("/usr/sbin/libvirtd").arg("--daemon"))?;
    }
    image(steps)?;
    let agent = steps.target_dir().join("release/berth-agent");
    steps.run("berth-agent, until Ctrl-C", &mut as_root(agent))
}

/// Installs the tests' guest as an image for `berth server create`.
fn image(steps: &mut Steps) -> Result<()> {
    let images = Path::new("/var/lib/berth-agent/images");
    let source = steps.root().join("compute-agent/tests/kvm/canary.S");
    let object = steps.target_dir().join("canary.o");
    steps.run("image, assembled", Command::new("as").arg("--32").arg("-o").arg(&object).arg(source))?;
    steps.run("directory of images", as_root("mkdir").arg("-p").arg(images))?;
    let mut link = as_root("ld");
    link.args(["-m", "elf_i386", "-Ttext", "0", "--oformat", "binary", "-e", "_start", "-o"]);
    steps.run("image canary.bin", link.arg(images.join("canary.bin")).arg(object))
}

/// Tests the agent on a libvirtd of its own. Guests run on KVM or, where it is missing, on software
/// emulation.
pub(crate) fn test(steps: &mut Steps, packages: Packages) -> Result<()> {
    install(steps, packages)?;
    test_installed(steps)
}

/// As `test`, for CI, where missing packages have been reported already.
pub(crate) fn test_if_installed(steps: &mut Steps) -> Result<()> {
    if can_run_guests() { test_installed(steps) } else { Ok(()) }
}

fn test_installed(steps: &mut Steps) -> Result<()> {
    // The whole workspace, so that its dependencies keep the features that `cargo xtask test` has
    // built them with.
    let real = ["test", "--workspace", "--test", "kvm", "--", "--ignored", "--show-output"];
    let mut tests = steps.cargo(&real);
    steps.run_tests("tests with real guests (as root)", &mut tests)
}

/// A program that runs as root: with sudo, unless this process is root.
pub(crate) fn as_root(program: impl AsRef<OsStr>) -> Command {
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

fn is_installed(program: &str) -> bool {
    // The directories of daemons are not in every user's PATH.
    succeeds(Command::new(program).arg("--version"))
        || succeeds(Command::new(Path::new("/usr/sbin").join(program)).arg("--version"))
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
