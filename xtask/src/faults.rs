//! The durability tests that CI runs, with more seeds and cycles.

use anyhow::Result;

use crate::step::Steps;

/// Parameters of the simulation of store, index and clients.
pub(crate) struct Simulation {
    pub(crate) seeds: u64,
    pub(crate) from: u64,
    pub(crate) trace: bool,
}

/// Parameters of the cycles of load, SIGKILL and checks.
pub(crate) struct Crashes {
    pub(crate) cycles: u64,
    pub(crate) seed: Option<u64>,
    pub(crate) faults: bool,
    /// Whether agents are killed too.
    pub(crate) agents: bool,
    /// Whether the service in nova-scheduler's place, RabbitMQ and MariaDB are killed instead.
    pub(crate) nova: bool,
}

pub(crate) fn simulate(steps: &mut Steps, simulation: &Simulation) -> Result<()> {
    let mut test = steps.cargo(&["test", "--release", "-p", "berth-store", "--test", "fault_simulation"]);
    test.args(["--", "--nocapture", "--exact", "no_acknowledged_change_is_lost_whatever_fails"]);
    test.env("BERTH_SIMULATION_SEEDS", simulation.seeds.to_string());
    test.env("BERTH_SIMULATION_FROM", simulation.from.to_string());
    test.env("BERTH_SIMULATION_TRACE", u8::from(simulation.trace).to_string());
    steps.run_tests("fault simulation", &mut test)
}

pub(crate) fn crash(steps: &mut Steps, crashes: &Crashes) -> Result<()> {
    let (program, filter) = match crashes {
        Crashes { agents: true, .. } => ("kills", None),
        Crashes { nova: true, .. } => ("nova", Some("kills::")),
        _ => ("crash", None),
    };
    let mut test = steps.cargo(&[
        "test",
        "--release",
        "-p",
        "berth-system-tests",
        "--test",
        program,
        "--",
        "--nocapture",
    ]);
    test.arg("--test-threads=1").args(filter);
    test.env("BERTH_CRASH_CYCLES", crashes.cycles.to_string());
    test.env("BERTH_CRASH_FAULTS", u8::from(crashes.faults).to_string());
    if let Some(seed) = crashes.seed {
        test.env("BERTH_CRASH_SEED", seed.to_string());
    }
    steps.run_tests("crash test", &mut test)
}

pub(crate) fn attack(steps: &mut Steps) -> Result<()> {
    let mut test = steps.cargo(&["test", "--release", "-p", "berth-system-tests", "--test", "attack"]);
    test.args(["--", "--nocapture", "--test-threads=1"]).env("BERTH_ATTACK_LONG", "1");
    steps.run_tests("attacks", &mut test)
}

pub(crate) fn soak(steps: &mut Steps, minutes: u64) -> Result<()> {
    let mut test = steps.cargo(&["test", "--release", "-p", "berth-system-tests", "--test", "soak"]);
    test.args(["--", "--nocapture"]).env("BERTH_SOAK_SECONDS", (60 * minutes).to_string());
    steps.run_tests("soak", &mut test)
}
