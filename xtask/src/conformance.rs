//! Placement's own functional tests, and those of its command line client, against the release server.
//!
//! They are Python: the first run makes a virtual environment under the target folder, with every package
//! pinned in `server/tests/conformance/requirements*.txt`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::step::Steps;

/// Files of the suite inside the Placement package, below `lib/python3.*/site-packages` of the environment.
const GABBITS: &str = "placement/tests/functional/gabbits";

pub(crate) fn run(steps: &mut Steps, osc: bool) -> Result<()> {
    let suite = steps.root().join("server/tests/conformance");
    let gabbi = environment(steps, "gabbi", &suite.join("requirements.txt"))?;
    let mut build = steps.cargo(&["build", "--release", "-p", "berth"]);
    steps.run("release build", &mut build)?;
    let mut serve = OsString::from(suite.join("serve"));
    serve.push(" {config} {port} {dir}");
    let mut gabbits = python(&gabbi, &suite.join("run_gabbits.py"), steps);
    gabbits.arg("--gabbits").arg(packages(&gabbi)?.join(GABBITS));
    gabbits.args(["--jobs", "2", "--verbose", "--server-cmd"]).arg(&serve);
    steps.run("Placement's functional tests", &mut gabbits)?;
    if osc {
        let client = environment(steps, "osc", &suite.join("requirements-osc.txt"))?;
        let mut tests = python(&client, &suite.join("run_osc.py"), steps);
        tests.arg("--server-cmd").arg(&serve);
        steps.run("osc-placement's functional tests", &mut tests)?;
    }
    Ok(())
}

/// A virtual environment with the packages, made anew when their list has changed.
fn environment(steps: &mut Steps, name: &str, requirements: &Path) -> Result<PathBuf> {
    let folder = steps.target_dir().join("conformance").join(name);
    let stamp = folder.join("requirements.txt");
    let wanted = fs::read(requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    steps.run("Python environment (Debian: python3-venv)", &mut make)?;
    let mut install = Command::new(folder.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"]).arg(requirements);
    steps.run("Python packages", &mut install)?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(folder)
}

/// The folder of an environment's packages, whatever its Python's version.
fn packages(environment: &Path) -> Result<PathBuf> {
    let lib = environment.join("lib");
    let pythons = fs::read_dir(&lib).with_context(|| format!("cannot read {}", lib.display()))?;
    let packages = pythons.filter_map(|python| Some(python.ok()?.path().join("site-packages")));
    packages.into_iter().find(|folder| folder.is_dir()).context("the environment has no packages")
}

fn python(environment: &Path, script: &Path, steps: &Steps) -> Command {
    let mut command = Command::new(environment.join("bin/python"));
    command.arg(script).current_dir(steps.root()).env("BERTH", steps.target_dir().join("release/berth"));
    command
}
