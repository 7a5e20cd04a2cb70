//! Runs the tests of the workspace and the loom models. They need only cargo and a C linker. A test
//! that needs more gets it from a step here, so that this one command always suffices.

use anyhow::Result;

use crate::packages::Packages;
use crate::step::Steps;
use crate::{kvm, servers};

pub(crate) fn run(steps: &mut Steps, packages: Packages, ignored: bool) -> Result<()> {
    kvm::install_for_build(steps, packages)?;
    servers::install(steps, packages);
    // Without a selection of targets, cargo runs unit, integration and doc tests.
    let mut all = steps.cargo(&["test", "--workspace"]);
    steps.run_tests("tests", &mut all)?;
    loom(steps)?;
    if ignored {
        // `--tests` excludes doc tests, in which `ignore` marks text that is not meant to compile.
        let mut big = steps.cargo(&["test", "--workspace", "--release", "--tests", "--", "--ignored"]);
        steps.run_tests("ignored tests", &mut big)?;
    }
    Ok(())
}

/// Explores the models of the lock-free core with loom. `--cfg loom` affects every crate, so they
/// have their own target directory: otherwise each run would rebuild the whole workspace.
fn loom(steps: &mut Steps) -> Result<()> {
    let target = steps.target_dir().join("loom");
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    if !flags.is_empty() {
        flags.push(' ');
    }
    flags.push_str("--cfg loom");
    let mut models = steps.cargo(&["test", "--release", "-p", "berth-placement", "--test", "loom"]);
    models.arg("--target-dir").arg(target).env("RUSTFLAGS", flags);
    steps.run_tests("loom models", &mut models)
}
