//! Debian packages and an image, and a test that installs and runs them.

use anyhow::Result;

use crate::kvm::as_root;
use crate::packages::Packages;
use crate::step::Steps;

/// The revision of the second version in the test of an upgrade.
const NEXT: &str = "next";

/// Builds the packages and the image, into `target/package`.
pub(crate) fn build(steps: &mut Steps, packages: Packages) -> Result<()> {
    packages.install(steps, "packaging tools", "packaging/install-tools.sh")?;
    let mut compile =
        steps.cargo(&["build", "--release", "--locked", "-p", "berth", "-p", "berth-compute-agent"]);
    steps.run("compile", &mut compile)?;
    pack(steps, "package", None)
}

/// Builds two versions; installs, upgrades, runs, removes and purges them in a clean Debian, and
/// runs the image.
pub(crate) fn test(steps: &mut Steps, packages: Packages) -> Result<()> {
    build(steps, packages)?;
    pack(steps, "package-next", Some(NEXT))?;
    let target = steps.target_dir();
    let mut test = as_root("bash");
    test.arg(steps.root().join("packaging/test.sh"));
    test.args([target.join("package"), target.join("package-next")]);
    steps.run("install and run", &mut test)
}

fn pack(steps: &mut Steps, output: &str, revision: Option<&str>) -> Result<()> {
    let target = steps.target_dir();
    let mut pack = as_root("bash");
    pack.arg(steps.root().join("packaging/build.sh"));
    pack.args([target.join("release"), target.join(output)]).args(revision);
    steps.run("pack", &mut pack)
}
