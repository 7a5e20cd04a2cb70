//! A small Nova on this machine, with Berth as its scheduler and its Placement.
//!
//! The bed is a directory with a script `minicloud`: nova-api, nova-conductor and nova-compute,
//! unmodified, with RabbitMQ and MariaDB. It is not part of this repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::step::Steps;

/// Where a bus is, and how many cells there are.
const LAYOUTS: [&str; 3] = ["flat", "super", "two"];

/// The command that the bed starts; it fills in what is in braces.
const SCHEDULER: &str = "serve --listen 127.0.0.1:{placement_port} --grpc-listen 127.0.0.1:{placement_grpc_port} \
                         --data {run}/berth --nova-conf {nova_conf}";

/// One of several Berths: it claims in the Placement service that all of them share.
const ONE_OF_SEVERAL: &str = "serve --listen 127.0.0.1:0 --grpc-listen 127.0.0.1:0 --data none --nova-conf {nova_conf} \
                              --placement-url {placement_url}";

/// A real nova-scheduler on the bus of a cell, where no conductor asks for hosts, and Berth before
/// it. The conf of the former is that of the latter with another virtual host.
const SHADOW: &str = "sed \"s,^\\(transport_url = .*/\\)[^/]*,\\1cell1,\" {nova_conf} > {run}/shadow.conf; \
                      NOVA_SCHEDULER --config-file {run}/shadow.conf & exec BERTH SERVE \
                      --set serve.nova_shadow.conf={run}/shadow.conf --set serve.nova_shadow.records={run}/shadow.jsonl \
                      --set serve.nova_shadow.records_bytes=4294967296";

/// Seconds of one span of load in shadow mode. Each has requests of its own.
const SPAN_S: u32 = 300;

/// Causes of differences that explain themselves: both looked at different states.
const EXPLAINED: [&str; 1] = ["stale_data"];

/// Placement alone, on the data that Berth has left.
const PLACEMENT: &str = "serve --listen 127.0.0.1:{placement_port} --grpc-listen 127.0.0.1:{placement_grpc_port} \
                         --data {run}/berth";

/// What has to work again after the way back: a boot, moves, a restart of the scheduler, and
/// nothing left over in Placement.
const AFTER_THE_WAY_BACK: [&str; 5] =
    ["boot_one", "resize_and_confirm", "cold_migrate", "scheduler_restarts", "audit"];

/// Queue types that deployments have, as options of every nova.conf: by name.
const QUEUES: [(&str, &str); 3] = [
    ("transient", ""),
    ("durable", "[oslo_messaging_rabbit]amqp_durable_queues=true"),
    (
        "quorum",
        "[oslo_messaging_rabbit]rabbit_quorum_queue=true;[oslo_messaging_rabbit]rabbit_transient_quorum_queue=true;\
         [oslo_messaging_rabbit]rabbit_stream_fanout=true;[oslo_messaging_rabbit]rabbit_qos_prefetch_count=10;\
         [oslo_messaging_rabbit]use_queue_manager=true",
    ),
];

/// Runs the bed's scenarios in the layouts, and in the layout `flat` with each type of queues.
pub(crate) fn run(steps: &mut Steps, bed: &Path, layouts: &[String]) -> Result<()> {
    if let Some(unknown) = layouts.iter().find(|layout| !LAYOUTS.contains(&layout.as_str())) {
        bail!("--layout: {unknown} is none of {}", LAYOUTS.join(", "));
    }
    let bed = Bed::built(steps, bed)?;
    // Where packages cannot be installed, there is nothing to run: the reason stands in the output
    // of the step.
    if let Err(error) = steps.run("RabbitMQ, MariaDB and Nova", &mut bed.command(&["install"], "flat", "")) {
        println!("skipped: the bed cannot be installed: {error:#}");
        return Ok(());
    }
    for layout in
        LAYOUTS.iter().filter(|layout| layouts.is_empty() || layouts.iter().any(|one| one == *layout))
    {
        for (name, options) in QUEUES.iter().filter(|(name, _)| *layout == "flat" || *name == "transient") {
            bed.scenarios(steps, layout, name, options)?;
        }
    }
    bed.several(steps)?;
    bed.way_back(steps)
}

/// Sends requests through shadow mode with a real nova-scheduler, until so many are compared; fails
/// if a difference has no explanation.
pub(crate) fn shadow(steps: &mut Steps, bed: &Path, requests: u64) -> Result<()> {
    let bed = Bed::built(steps, bed)?;
    let venv = std::env::var_os("MINICLOUD_VENV").map_or_else(|| bed.directory().join("venv"), PathBuf::from);
    let berth = bed.berth.display().to_string();
    let command = SHADOW
        .replace("NOVA_SCHEDULER", &venv.join("bin/nova-scheduler").display().to_string())
        .replace("BERTH", &berth)
        .replace("SERVE", SCHEDULER);
    let environment = [
        ("SCHEDULER", format!("sh -c '{command}'")),
        ("PLACEMENT", "none".to_owned()),
        ("LAYOUT", "super".to_owned()),
    ];
    bed.with("shadow mode", steps, &environment, |cloud| {
        cloud.run(&["up"], &[])?;
        let (mut compared, mut seed) = (0, 0_u64);
        while compared < requests {
            seed += 1;
            cloud.load(&berth, seed)?;
            compared = cloud.compared(&berth)?;
            println!("{compared} of {requests} requests are compared");
        }
        Ok(())
    })
}

struct Bed {
    script: PathBuf,
    berth: PathBuf,
}

impl Bed {
    /// The bed, with a release build to test.
    fn built(steps: &mut Steps, bed: &Path) -> Result<Self> {
        let script = bed.join("minicloud");
        if !script.exists() {
            bail!("--bed: {} has no minicloud", bed.display());
        }
        let mut build = steps.cargo(&["build", "--release", "-p", "berth"]);
        steps.run("release build", &mut build)?;
        Ok(Self { script, berth: steps.target_dir().join("release/berth") })
    }

    fn directory(&self) -> &Path {
        self.script.parent().unwrap_or(Path::new("."))
    }

    fn command(&self, arguments: &[&str], layout: &str, options: &str) -> Command {
        let mut command = Command::new(&self.script);
        command
            .args(arguments)
            .env("SCHEDULER", format!("{} {SCHEDULER}", self.berth.display()))
            .env("PLACEMENT", "none")
            .env("LAYOUT", layout)
            .env("NOVA_CONF", options);
        command
    }

    /// Two Berths on one queue, which claim in one Placement service: all scenarios.
    fn several(&self, steps: &mut Steps) -> Result<()> {
        let one = format!("{} {ONE_OF_SEVERAL}", self.berth.display());
        let environment = [
            ("SCHEDULER", format!("sh -c '{one} & exec {one}'")),
            ("PLACEMENT", "berth".to_owned()),
            ("BERTH", self.berth.display().to_string()),
        ];
        self.with("two Berths", steps, &environment, |bed| {
            bed.run(&["up"], &[])?;
            bed.run(&["test"], &[])
        })
    }

    /// From Berth back to nova-scheduler, on a cloud with servers, as
    /// docs/replace-nova-scheduler.md describes it.
    fn way_back(&self, steps: &mut Steps) -> Result<()> {
        let berth = self.berth.display();
        let environment = [("SCHEDULER", format!("{berth} {SCHEDULER}")), ("PLACEMENT", "none".to_owned())];
        self.with("the way back", steps, &environment, |bed| {
            bed.run(&["up"], &[])?;
            bed.run(&["test", "boot_one", "multi_create"], &[])?;
            bed.run(&["scheduler", "restart"], &[("SCHEDULER", "none")])?;
            bed.run(&["placement", "restart"], &[("PLACEMENT", &format!("{berth} {PLACEMENT}"))])?;
            bed.run(&["scheduler", "restart"], &[("SCHEDULER", "nova")])?;
            bed.run(&[&["test"][..], &AFTER_THE_WAY_BACK].concat(), &[])
        })
    }

    /// Works with a fresh cloud in the layout `flat`, which ends in any case.
    fn with(
        &self,
        what: &str,
        steps: &mut Steps,
        environment: &[(&str, String)],
        work: impl FnOnce(&mut Running<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut running = Running { bed: self, what, steps, environment };
        let outcome = work(&mut running);
        running
            .run(&["down"], &[])
            .with_context(|| format!("{what}: the cloud has to be stopped by hand"))?;
        outcome
    }

    /// A fresh cloud, all of its scenarios, and what any scheduler has to answer. It ends in any
    /// case.
    fn scenarios(&self, steps: &mut Steps, layout: &str, queues: &str, options: &str) -> Result<()> {
        let what = format!("layout {layout}, {queues} queues");
        let run = |steps: &mut Steps, arguments: &[&str]| {
            steps.run(
                &format!("{what}: {}", arguments.join(" ")),
                &mut self.command(arguments, layout, options),
            )
        };
        let outcome = run(steps, &["up"])
            .and_then(|()| run(steps, &["wire"]))
            .and_then(|()| run(steps, &["race"]))
            .and_then(|()| run(steps, &["test"]));
        run(steps, &["down"]).with_context(|| format!("{what}: the cloud has to be stopped by hand"))?;
        outcome
    }
}

/// A cloud that runs with settings of its own.
struct Running<'a> {
    bed: &'a Bed,
    what: &'a str,
    steps: &'a mut Steps,
    environment: &'a [(&'a str, String)],
}

impl Running<'_> {
    /// A command of the bed; `changes` are settings that it has besides.
    fn run(&mut self, arguments: &[&str], changes: &[(&str, &str)]) -> Result<()> {
        let mut command = self.bed.command(arguments, "flat", "");
        command.envs(self.environment.iter().map(|(name, value)| (*name, value.as_str())));
        command.envs(changes.iter().copied());
        self.steps.run(&format!("{}: {}", self.what, arguments.join(" ")), &mut command)
    }

    /// A span of load on the bus of the API.
    fn load(&mut self, berth: &str, seed: u64) -> Result<()> {
        let mut load = Command::new(berth);
        load.args([
            "bench",
            "nova-rpc",
            "--callers",
            "4",
            "--rounds",
            "1",
            "--duration",
            &SPAN_S.to_string(),
        ])
        .args(["--mixture", &seed.to_string()])
        .args(["--transport-url", &self.value("MINICLOUD_AMQP_URL")?])
        .args(["--placement", &self.value("MINICLOUD_PLACEMENT_URL")?]);
        self.steps.run(&format!("{}: requests of seed {seed}", self.what), &mut load)
    }

    /// How many requests were compared; fails if a difference has no explanation.
    fn compared(&self, berth: &str) -> Result<u64> {
        let records = format!("{}/shadow.jsonl", self.value("MINICLOUD_RUN")?);
        let output = Command::new(berth).args(["shadow", "report", "--json", &records]).output()?;
        let report: Value = serde_json::from_slice(&output.stdout).context("berth shadow report")?;
        let differences = report["differences"].as_object().into_iter().flatten();
        let unexplained: Vec<String> = differences
            .filter(|(cause, _)| !EXPLAINED.contains(&cause.as_str()))
            .map(|(cause, count)| format!("{cause} {count}"))
            .collect();
        let unanswered = report["agreement"]["unanswered"].as_u64().unwrap_or_default();
        if !unexplained.is_empty() || unanswered > 0 {
            bail!("{records}: unanswered {unanswered}, differences: {}", unexplained.join(", "));
        }
        report["requests"].as_u64().context("berth shadow report: no number of requests")
    }

    /// An address of the cloud, as the bed prints it.
    fn value(&self, name: &str) -> Result<String> {
        let output = self.bed.command(&["env"], "super", "").output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let prefix = format!("export {name}=");
        let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
        let value = line.with_context(|| format!("minicloud env prints no {name}"))?;
        Ok(value.trim_matches(['\'', '"']).to_owned())
    }
}
