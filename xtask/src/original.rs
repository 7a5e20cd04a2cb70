//! Tests with the original services: a real Keystone, and a real Placement whose state is migrated
//! to Berth and back.

use anyhow::Result;

use crate::python;
use crate::step::Steps;

/// Tests authentication against a real Keystone.
pub(crate) fn keystone(steps: &mut Steps) -> Result<()> {
    run(steps, "keystone", "run_keystone.py", "Berth and a real Keystone")
}

/// Nova's own functional tests with Berth in place of Placement.
pub(crate) fn nova_functional(steps: &mut Steps) -> Result<()> {
    run(steps, "nova_functional", "run_nova.py", "Nova's functional tests")
}

/// Tests the migration from a real Placement to Berth and back.
pub(crate) fn migration(steps: &mut Steps) -> Result<()> {
    run(steps, "migration", "run_migration.py", "from a real Placement to Berth and back")
}

fn run(steps: &mut Steps, name: &str, script: &str, what: &str) -> Result<()> {
    let directory = steps.root().join("server/tests").join(name);
    let environment = python::environment(steps, name, &directory.join("requirements.txt"))?;
    let mut build = steps.cargo(&["build", "--release", "-p", "berth"]);
    steps.run("release build", &mut build)?;
    steps.run(what, &mut python::script(&environment, &directory.join(script), steps))
}
