//! Checks that run no test: formatting, lints and documentation.

use anyhow::Result;

use crate::step::Steps;

pub(crate) fn run(steps: &mut Steps) -> Result<()> {
    let mut format = steps.cargo(&["fmt", "--all", "--check"]);
    steps.run("format", &mut format)?;

    let mut lints = steps.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    steps.run("lints", &mut lints)?;

    let mut docs = steps.cargo(&["doc", "--workspace", "--no-deps"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    steps.run("docs", &mut docs)
}
