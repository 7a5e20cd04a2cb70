//! Runs Placement's own functional tests, and those of its command line client, against the server:
//! the release build, or in CI the one that the tests have built already.
//!
//! The tests are Python: the first run creates a virtual environment below the target directory,
//! with every package pinned in `server/tests/conformance/requirements*.txt`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::python;
use crate::step::Steps;

/// The suite inside the Placement package, below `lib/python3.*/site-packages` of the environment.
const GABBITS: &str = "placement/tests/functional/gabbits";

/// The number of tests; all pass.
const GABBI_TESTS: &str = "1316";

/// The build of the server that is tested.
#[derive(Clone, Copy)]
pub(crate) enum Build {
    /// The one that users run.
    Release,
    /// The one of `cargo test`, with checks for overflow: CI saves the minutes of a release build.
    Test,
}

pub(crate) fn run(steps: &mut Steps, build: Build, osc: bool) -> Result<()> {
    let suite = steps.root().join("server/tests/conformance");
    let gabbi = python::environment(steps, "gabbi", &suite.join("requirements.txt"))?;
    let (arguments, directory): (&[&str], _) = match build {
        Build::Release => (&["build", "--release", "--package", "berth"], "release"),
        // Anything but this builds the dependencies once more, with other features.
        Build::Test => (&["test", "--workspace", "--no-run"], "debug"),
    };
    let mut server = steps.cargo(arguments);
    steps.run("build of the server", &mut server)?;
    let binary = steps.target_dir().join(directory).join("berth");
    let serve = serve_command(&suite)?;
    let mut gabbits = python::script(&gabbi, &suite.join("run_gabbits.py"), steps);
    gabbits.env("BERTH", &binary).arg("--gabbits").arg(packages(&gabbi)?.join(GABBITS));
    gabbits.args(["--jobs", "2", "--verbose", "--expect", GABBI_TESTS, "--server-cmd"]).arg(&serve);
    steps.run("Placement's functional tests", &mut gabbits)?;
    if osc {
        let client = python::environment(steps, "osc", &suite.join("requirements-osc.txt"))?;
        let mut tests = python::script(&client, &suite.join("run_osc.py"), steps);
        tests.env("BERTH", &binary).arg("--server-cmd").arg(&serve);
        steps.run("osc-placement's functional tests", &mut tests)?;
    }
    Ok(())
}

/// The shell command that starts a server; the scripts substitute the names in braces.
fn serve_command(suite: &Path) -> Result<String> {
    let serve = suite.join("serve");
    let serve = serve.to_str().with_context(|| format!("{} is not UTF-8", serve.display()))?;
    let quoted = serve.replace('\'', r#"'"'"'"#).replace('{', "{{").replace('}', "}}");
    Ok(format!("'{quoted}' {{config}} {{port}} {{dir}}"))
}

/// The directory of an environment's packages, for any Python version.
fn packages(environment: &Path) -> Result<PathBuf> {
    let lib = environment.join("lib");
    let pythons = fs::read_dir(&lib).with_context(|| format!("cannot read {}", lib.display()))?;
    let packages = pythons.filter_map(|python| Some(python.ok()?.path().join("site-packages")));
    packages.into_iter().find(|directory| directory.is_dir()).context("the environment has no packages")
}
