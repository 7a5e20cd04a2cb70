//! A small Nova on this machine, with Berth as its scheduler and its Placement.
//!
//! The bed is a directory with a script `minicloud`: nova-api, nova-conductor and nova-compute, unmodified, with RabbitMQ and
//! MariaDB. It is not part of this repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::step::Steps;

/// Where a bus is, and how many cells there are.
const LAYOUTS: [&str; 3] = ["flat", "super", "two"];

/// The command that the bed starts; it fills in what is in braces.
const SCHEDULER: &str = "serve --listen 127.0.0.1:{placement_port} --grpc-listen 127.0.0.1:{placement_grpc_port} \
                         --data {run}/berth --nova-conf {nova_conf}";

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
    let script = bed.join("minicloud");
    if !script.exists() {
        bail!("--bed: {} has no minicloud", bed.display());
    }
    if let Some(unknown) = layouts.iter().find(|layout| !LAYOUTS.contains(&layout.as_str())) {
        bail!("--layout: {unknown} is none of {}", LAYOUTS.join(", "));
    }
    let mut build = steps.cargo(&["build", "--release", "-p", "berth"]);
    steps.run("release build", &mut build)?;
    let bed = Bed { script, berth: steps.target_dir().join("release/berth") };
    // Where packages cannot be installed, there is nothing to run: the reason stands in the output of the step.
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
    Ok(())
}

struct Bed {
    script: PathBuf,
    berth: PathBuf,
}

impl Bed {
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

    /// A fresh cloud, all of its scenarios, and what any scheduler has to answer. It ends in any case.
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
