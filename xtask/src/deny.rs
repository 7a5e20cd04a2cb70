//! Checks dependencies with cargo-deny against `deny.toml`: licences, bans and sources always,
//! known vulnerabilities when the advisory database can be fetched.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::step::Steps;

/// The version to install. An installed version is used as it is.
const VERSION: &str = "0.20.2";
const ADVISORY_DATABASE: &str = "https://github.com/RustSec/advisory-db";
const REACH_LIMIT: Duration = Duration::from_secs(15);

pub(crate) fn run(steps: &mut Steps) -> Result<()> {
    let mut probe = steps.cargo(&["deny", "--version"]);
    steps.install("cargo-deny", VERSION, &mut probe)?;
    // The inclusion graphs of duplicate versions would fill pages; without them, each takes one
    // line.
    let mut offline =
        steps.cargo(&["deny", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"]);
    steps.run("licences, bans, sources", &mut offline)?;
    advisories(steps)
}

/// Only a failed fetch does not fail the task: without that network there is no database to check
/// against. A matching advisory fails it.
fn advisories(steps: &mut Steps) -> Result<()> {
    if let Err(reason) = fetch(steps) {
        println!("\nadvisories SKIPPED: {reason}");
        return Ok(());
    }
    // Offline: against exactly the database that was just fetched.
    let mut check = steps.cargo(&["deny", "--offline", "check", "advisories"]);
    steps.run("advisories", &mut check)
}

/// Updates the advisory database; the error says why that failed.
fn fetch(steps: &Steps) -> Result<(), String> {
    reach(steps.root())?;
    let mut fetch = steps.cargo(&["deny", "fetch", "db"]);
    fetch.env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null());
    match fetch.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "the database could not be fetched: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Err(format!("the database could not be fetched: {error}")),
    }
}

/// Requests one reference from the database's server: cargo-deny's own fetch has no timeout, and a
/// firewall that drops packets would block it for minutes.
fn reach(root: &Path) -> Result<(), String> {
    let mut child = Command::new("git")
        .args(["ls-remote", "--exit-code", ADVISORY_DATABASE, "HEAD"])
        .current_dir(root)
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("git could not be started: {error}"))?;
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(_)) => return Err(format!("{ADVISORY_DATABASE} cannot be reached from here")),
            Ok(None) if start.elapsed() < REACH_LIMIT => std::thread::sleep(Duration::from_millis(50)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{ADVISORY_DATABASE} did not answer within {} s", REACH_LIMIT.as_secs()));
            }
            Err(error) => return Err(format!("git could not be waited for: {error}")),
        }
    }
}
