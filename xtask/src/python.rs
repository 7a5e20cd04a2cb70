//! Virtual environments for tests written in Python, below the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::step::Steps;

/// Creates a virtual environment with the packages, or recreates it when their list has changed.
pub(crate) fn environment(steps: &mut Steps, name: &str, requirements: &Path) -> Result<PathBuf> {
    let directory = steps.target_dir().join("conformance").join(name);
    let stamp = directory.join("requirements.txt");
    let wanted = fs::read(requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(directory);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&directory);
    steps.run("Python environment (Debian: python3-venv)", &mut make)?;
    let mut install = Command::new(directory.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"]).arg(requirements);
    steps.run("Python packages", &mut install)?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(directory)
}

/// A command that runs a script, which finds the release binary in the variable `BERTH`.
pub(crate) fn script(environment: &Path, script: &Path, steps: &Steps) -> Command {
    let mut command = Command::new(environment.join("bin/python"));
    // The server that the script starts must not see the settings of its caller.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BERTH_")) {
        command.env_remove(name);
    }
    command.arg(script).current_dir(steps.root()).env("BERTH", steps.target_dir().join("release/berth"));
    command
}
