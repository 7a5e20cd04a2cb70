//! Operations on servers.

use anyhow::{Result, bail};
use berth_api::v1::live_migrate_instance_request::Disks;
use berth_api::v1::{
    EvacuateInstanceRequest, EvacuatedState, Image, Instance, InstanceRequest, LiveMigrateInstanceRequest,
    LockRequest, MigrateInstanceRequest, RebootRequest, RebuildInstanceRequest, RescueInstanceRequest,
    ResizeInstanceRequest,
};
use clap::{Args, Subcommand};

use super::view::{COLUMNS, record};
use super::wait::{Goal, WaitOptions, wait};
use crate::operator::Scope;
use crate::operator::connection::{Client, request};
use crate::operator::pairs::{map, pair};
use crate::operator::record::{OutputOptions, print_list};
use crate::operator::refusal::{Answer, Refusal};

/// Servers to act on.
#[derive(Args)]
pub(super) struct Named {
    /// Names or UUIDs of servers
    #[arg(value_name = "SERVER", required = true)]
    server: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    waiting: WaitOptions,
}

#[derive(Args)]
pub(super) struct Reboot {
    #[command(flatten)]
    pub(super) named: Named,
    /// Reset the guest instead of asking it to reboot
    #[arg(long)]
    pub(super) hard: bool,
}

#[derive(Args)]
pub(super) struct Rebuild {
    #[command(flatten)]
    pub(super) named: Named,
    /// The new image: the name of a file in the agents' image directory [default: the same image]
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// A property of the new image, such as hw_machine_type=q35 (may be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, requires = "image")]
    image_property: Vec<(String, String)>,
}

#[derive(Args)]
pub(super) struct Rescue {
    #[command(flatten)]
    pub(super) named: Named,
    /// The image to boot: the name of a file in the agents' image directory [default: the server's
    /// own]
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// A property of that image, such as kernel=rescue-vmlinuz (may be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, requires = "image")]
    image_property: Vec<(String, String)>,
}

impl Rescue {
    /// What is asked for, and of which servers.
    pub(super) fn parts(self) -> Result<(Operation, Named)> {
        let properties = map("--image-property", self.image_property)?;
        let image = self.image.map(|name| Image { name, properties });
        Ok((Operation::Rescue { image }, self.named))
    }
}

impl Rebuild {
    /// What is asked for, and of which servers.
    pub(super) fn parts(self) -> Result<(Operation, Named)> {
        let properties = map("--image-property", self.image_property)?;
        let image = self.image.map(|name| Image { name, properties });
        Ok((Operation::Rebuild { image }, self.named))
    }
}

#[derive(Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    pub(super) named: Named,
    /// The host to go to; it has to pass the same filters as any other [default: the scheduler
    /// chooses]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(super) host: String,
    #[command(flatten)]
    live: Live,
}

/// How servers are migrated while they run.
#[derive(Debug, Clone, Args)]
pub(super) struct Live {
    /// Migrate the servers while they run; others are shut down for it
    #[arg(long)]
    live: bool,
    /// Only to hosts that do not share the disks, which are sent [default: to any host]
    #[arg(long, requires = "live", conflicts_with = "shared")]
    block: bool,
    /// Only to hosts that share the disks [default: to any host]
    #[arg(long, requires = "live")]
    shared: bool,
    #[command(flatten)]
    pace: Pace,
}

/// How fast servers are live-migrated, and for how long at most.
#[derive(Debug, Clone, Args)]
pub(crate) struct Pace {
    /// The most that is sent [default: no limit]
    #[arg(
        long,
        value_name = "MIB_PER_SECOND",
        requires = "live",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub(crate) bandwidth: u32,
    /// How long a server may be sent before --on-move-timeout [default: for ever]
    #[arg(long, value_name = "SECONDS", requires = "live", default_value_t = 0, hide_default_value = true)]
    pub(crate) move_timeout: u32,
    /// What follows then: the server stays, or is paused until its memory is on the target
    #[arg(long, value_enum, requires = "move_timeout", default_value_t = OnTimeout::Abort)]
    on_move_timeout: OnTimeout,
}

impl Pace {
    /// Whether a server is paused at the timeout.
    pub(crate) fn forces_at_timeout(&self) -> bool {
        self.on_move_timeout == OnTimeout::ForceComplete
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnTimeout {
    Abort,
    ForceComplete,
}

impl Migrate {
    /// What is asked for, and of which servers.
    pub(super) fn parts(self) -> (Operation, Named) {
        let Self { named, host, live } = self;
        let operation =
            if live.live { Operation::LiveMigrate { host, live } } else { Operation::Migrate { host } };
        (operation, named)
    }
}

impl Live {
    fn request(&self, instance: String, project: String, host: String) -> LiveMigrateInstanceRequest {
        let disks = match (self.block, self.shared) {
            (true, _) => Disks::Sent,
            (_, true) => Disks::Shared,
            _ => Disks::Unspecified,
        };
        LiveMigrateInstanceRequest {
            instance,
            project,
            host,
            disks: disks.into(),
            bandwidth_mib: self.pace.bandwidth,
            timeout_s: self.pace.move_timeout,
            forces_at_timeout: self.pace.forces_at_timeout(),
        }
    }
}

#[derive(Args)]
pub(super) struct Evacuate {
    #[command(flatten)]
    pub(super) named: Named,
    /// The host to go to; it has to pass the same filters as any other [default: the scheduler
    /// chooses]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(super) host: String,
    #[command(flatten)]
    pub(super) terms: EvacuationTerms,
}

/// What holds for each evacuation.
#[derive(Debug, Clone, Args)]
pub(crate) struct EvacuationTerms {
    /// You state that nothing runs on the host any longer: it has no power, or no access to the
    /// storage
    #[arg(long)]
    pub(crate) fenced: bool,
    /// Build disks that only the host has again from the image. What guests wrote to them is lost
    #[arg(long)]
    pub(crate) rebuild: bool,
    /// The state afterwards [default: the state before; servers that were paused or suspended are
    /// stopped]
    #[arg(long, value_enum)]
    pub(crate) state: Option<StateAfterwards>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum StateAfterwards {
    Active,
    Stopped,
}

impl EvacuationTerms {
    /// The state, as a number of the protocol.
    pub(crate) fn state(&self) -> i32 {
        match self.state {
            None => EvacuatedState::Unspecified,
            Some(StateAfterwards::Active) => EvacuatedState::Active,
            Some(StateAfterwards::Stopped) => EvacuatedState::Stopped,
        }
        .into()
    }
}

/// `resize SERVER --flavor NAME`, or `resize confirm|revert SERVER`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Resize {
    /// Names or UUIDs of servers
    #[arg(value_name = "SERVER", required = true)]
    server: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    waiting: WaitOptions,
    /// The new flavor; its disks must not be smaller
    #[arg(long, value_name = "NAME", required = true)]
    flavor: Option<String>,
    #[command(subcommand)]
    ending: Option<ResizeEnding>,
}

#[derive(Subcommand)]
enum ResizeEnding {
    /// Confirm resizes and migrations: remove the former disks and release the former host
    Confirm(Named),
    /// Revert resizes and migrations: go back to the former host, flavor and disks
    Revert(Named),
}

impl Resize {
    /// What is asked for, and of which servers.
    pub(super) fn parts(self) -> Result<(Operation, Named)> {
        let Self { server, scope, waiting, flavor, ending } = self;
        match (ending, flavor) {
            (Some(ResizeEnding::Confirm(named)), _) => Ok((Operation::ConfirmResize, named)),
            (Some(ResizeEnding::Revert(named)), _) => Ok((Operation::RevertResize, named)),
            (None, Some(flavor)) => Ok((Operation::Resize { flavor }, Named { server, scope, waiting })),
            (None, None) => bail!("--flavor: the new flavor is needed"),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Operation {
    Start,
    Stop,
    Reboot { hard: bool },
    Pause,
    Unpause,
    Suspend,
    Resume,
    Shelve,
    Unshelve,
    Rebuild { image: Option<Image> },
    Rescue { image: Option<Image> },
    Unrescue,
    Resize { flavor: String },
    Migrate { host: String },
    LiveMigrate { host: String, live: Live },
    Evacuate { host: String, terms: EvacuationTerms },
    ConfirmResize,
    RevertResize,
}

impl Operation {
    /// The status of the server after the operation.
    const fn goal(&self) -> Goal {
        Goal::Status(match self {
            Self::Stop => &["SHUTOFF"],
            Self::Pause => &["PAUSED"],
            Self::Suspend => &["SUSPENDED"],
            Self::Shelve => &["SHELVED_OFFLOADED"],
            Self::Start
            | Self::Reboot { .. }
            | Self::Unpause
            | Self::Resume
            | Self::Unshelve
            | Self::Unrescue => &["ACTIVE"],
            Self::Rescue { .. } => &["RESCUE"],
            Self::Resize { .. } | Self::Migrate { .. } => &["VERIFY_RESIZE"],
            // A failure leaves it as it was, with a fault.
            Self::LiveMigrate { .. } => &["ACTIVE", "PAUSED"],
            // A server that was shut off is shut off again.
            Self::Rebuild { .. } | Self::Evacuate { .. } | Self::ConfirmResize | Self::RevertResize => {
                &["ACTIVE", "SHUTOFF"]
            }
        })
    }

    /// Whether a failure leaves a server as it was, with a fault that a success clears.
    const fn leaves_fault(&self) -> bool {
        matches!(self, Self::Rebuild { .. })
    }

    async fn ask(self, client: &Client, wanted: InstanceRequest) -> Result<Instance, Refusal> {
        let mut instances = client.instances();
        let InstanceRequest { instance, project } = wanted.clone();
        let wanted = request(wanted);
        match self {
            Self::Start => instances.start(wanted).await,
            Self::Stop => instances.stop(wanted).await,
            Self::Reboot { hard } => {
                instances.reboot(request(RebootRequest { instance, hard, project })).await
            }
            Self::Pause => instances.pause(wanted).await,
            Self::Unpause => instances.unpause(wanted).await,
            Self::Suspend => instances.suspend(wanted).await,
            Self::Resume => instances.resume(wanted).await,
            Self::Shelve => instances.shelve(wanted).await,
            Self::Unshelve => instances.unshelve(wanted).await,
            Self::Rebuild { image } => {
                instances.rebuild(request(RebuildInstanceRequest { instance, project, image })).await
            }
            Self::Rescue { image } => {
                instances.rescue(request(RescueInstanceRequest { instance, project, image })).await
            }
            Self::Unrescue => instances.unrescue(wanted).await,
            Self::Resize { flavor } => {
                instances.resize(request(ResizeInstanceRequest { instance, project, flavor })).await
            }
            Self::Migrate { host } => {
                instances.migrate(request(MigrateInstanceRequest { instance, project, host })).await
            }
            Self::LiveMigrate { host, live } => {
                instances.live_migrate(request(live.request(instance, project, host))).await
            }
            Self::Evacuate { host, terms } => {
                let state = terms.state();
                let EvacuationTerms { fenced, rebuild, .. } = terms;
                let wanted = EvacuateInstanceRequest { instance, project, host, fenced, rebuild, state };
                instances.evacuate(request(wanted)).await
            }
            Self::ConfirmResize => instances.confirm_resize(wanted).await,
            Self::RevertResize => instances.revert_resize(wanted).await,
        }
        .answer()
    }
}

impl Named {
    /// Requests the operation for each server. A refusal for one does not stop the others.
    pub(super) async fn act(
        self,
        client: &Client,
        operation: Operation,
        project: &str,
        format: &OutputOptions,
    ) -> Result<()> {
        let (mut acted, mut failures) = (Vec::new(), Vec::new());
        let project = self.scope.project(project);
        for server in self.server {
            let wanted = InstanceRequest { instance: server.clone(), project: project.clone() };
            match operation.clone().ask(client, wanted).await {
                Ok(instance) => acted.push(instance),
                Err(refusal) => failures.push(format!("{server}: {refusal}")),
            }
        }
        if self.waiting.wait {
            let sources: Vec<String> = acted.iter().map(|instance| instance.host.clone()).collect();
            let settled = wait(client, acted, operation.goal(), self.waiting.timeout).await?;
            failures.extend(settled.failures);
            acted = settled.instances;
            if operation.leaves_fault() {
                failures.extend(acted.iter().filter_map(fault));
            }
            if matches!(operation, Operation::LiveMigrate { .. }) {
                failures.extend(
                    acted.iter().zip(&sources).filter_map(|(instance, source)| stayed(instance, source)),
                );
            }
        }
        let records: Vec<_> = acted.into_iter().map(record).collect();
        if !records.is_empty() || !format.is_table() {
            print_list(format, &COLUMNS, &records)?;
        }
        verdict(&failures)
    }

    pub(super) async fn delete(self, client: &Client, project: &str) -> Result<()> {
        let (mut going, mut failures) = (Vec::new(), Vec::new());
        let project = self.scope.project(project);
        for server in self.server {
            let wanted = InstanceRequest { instance: server.clone(), project: project.clone() };
            match delete(client, wanted, self.waiting.wait).await {
                Ok(known) => going.extend(known),
                Err(refusal) => failures.push(format!("{server}: {refusal}")),
            }
        }
        failures.extend(wait(client, going, Goal::Gone, self.waiting.timeout).await?.failures);
        verdict(&failures)
    }
}

/// Why an operation has left a server as it was.
fn fault(instance: &Instance) -> Option<String> {
    let has_ended = instance.status != "ERROR" && !instance.fault.is_empty(); // else it is a failure already
    has_ended.then(|| format!("{}: {}", instance.name, instance.fault))
}

/// Why a server that was to be live-migrated is still on its host; `None` if it is not.
fn stayed(instance: &Instance, source: &str) -> Option<String> {
    let why = if instance.fault.is_empty() { "the migration was aborted" } else { &instance.fault };
    (instance.host == source).then(|| format!("{}: stays on {source}: {why}", instance.name))
}

/// Requests the deletion. To follow it, the caller needs the server as it was: `follow`.
async fn delete(
    client: &Client,
    mut wanted: InstanceRequest,
    follow: bool,
) -> Result<Option<Instance>, Refusal> {
    let mut instances = client.instances();
    let mut known = None;
    if follow {
        let found = instances.get(request(wanted.clone())).await.answer()?;
        wanted.instance.clone_from(&found.uuid);
        known = Some(found);
    }
    instances.delete(request(wanted)).await.answer()?;
    Ok(known)
}

pub(super) fn verdict(failures: &[String]) -> Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{}", failures.join("\n"))
}

pub(super) async fn lock(client: &Client, wanted: LockRequest, format: &OutputOptions) -> Result<()> {
    record(client.instances().lock(request(wanted)).await.answer()?).print(format)
}

pub(super) async fn unlock(client: &Client, wanted: InstanceRequest, format: &OutputOptions) -> Result<()> {
    record(client.instances().unlock(request(wanted)).await.answer()?).print(format)
}
