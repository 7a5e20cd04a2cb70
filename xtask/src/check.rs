//! Checks that run no test: formatting, lints and documentation.

use std::process::Command;

use anyhow::Result;

use crate::step::Steps;

pub(crate) fn run(steps: &mut Steps) -> Result<()> {
    let mut format = steps.cargo(&["fmt", "--all", "--check"]);
    steps.run("format", &mut format)?;

    let mut lints = steps.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    steps.run("lints", &mut lints)?;

    let mut docs = steps.cargo(&["doc", "--workspace", "--no-deps"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    steps.run("docs", &mut docs)?;
    alerts(steps)
}

/// Tests the alerts with Prometheus' own tool, where it is installed.
fn alerts(steps: &mut Steps) -> Result<()> {
    let mut test = Command::new("promtool");
    test.args(["test", "rules", "berth.rules.test.yml"])
        .current_dir(steps.root().join("packaging/prometheus"));
    if Command::new("promtool").arg("--version").output().is_err() {
        steps.skip("promtool is not installed (Debian's package prometheus)", "alerts");
        return Ok(());
    }
    steps.run("alerts", &mut test)
}
