//! `berth server`.

mod act;
mod create;
mod request;
mod view;
mod wait;

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use berth_api::v1::{Instance, InstanceRequest, ListInstancesRequest, LockRequest};
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::connection::{Client, PAGE, all, request as timed};
use super::record::{OutputOptions, print_list};
use super::refusal::Answer;
use super::{ProjectOptions, Scope};
use crate::Ending;
use act::{Evacuate, Migrate, Named, Operation, Reboot, Rebuild, Rescue, Resize};
pub(crate) use act::{EvacuationTerms, Pace};
use create::Create;
pub(crate) use request::Wanted;
pub(crate) use wait::WaitOptions;

/// Manage servers
#[derive(Args)]
#[command(after_help = "\
Examples:
  berth server create web-1 --flavor m1.small --image debian.qcow2 --wait
  berth server create web --flavor m1.small --image debian.qcow2 --min 2 --max 5 --hint group=web
  berth server create here --flavor m1.small --image debian.qcow2 --availability-zone az1:compute-7
  berth server list --host compute-7
  berth server stop web-1 web-2 --wait --timeout 120
  berth server rebuild web-1 --image debian-13.qcow2 --wait       what it wrote is lost
  berth server resize web-1 --flavor m1.large --wait
  berth server resize confirm web-1
  berth server migrate web-2 --host compute-8 --wait
  berth server evacuate web-3 --fenced --wait                     its host has no power
  berth server event list web-1

SERVER is a server's UUID, or its name if only one of the project has it.")]
pub(crate) struct Servers {
    #[command(flatten)]
    options: ProjectOptions,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Create one or several servers
    Create(Box<Create>),
    /// List the servers of the project
    List(List),
    /// Show a server
    Show(One),
    /// Delete servers in any state
    Delete(Named),
    /// Start servers that are shut off
    Start(Named),
    /// Shut servers down: gracefully if the guest obeys in time, else by force
    Stop(Named),
    /// Reboot servers
    Reboot(Reboot),
    /// Pause servers; they stay in memory
    Pause(Named),
    /// Unpause paused servers
    Unpause(Named),
    /// Suspend servers: save their memory to disk and free it
    Suspend(Named),
    /// Resume suspended servers
    Resume(Named),
    /// Shelve servers: stop them and release their capacity; their disks stay
    Shelve(Named),
    /// Unshelve servers: schedule them again and start them
    Unshelve(Named),
    /// Rebuild servers: build their disks again, from the same image or another. What their guests
    /// wrote is lost
    Rebuild(Rebuild),
    /// Rescue servers: boot them from a temporary disk over an image, with their own disks beside
    /// it
    Rescue(Rescue),
    /// Boot rescued servers from their own disks again
    Unrescue(Named),
    /// Resize servers: give them another flavor, on a host with the capacity. They are shut down
    /// meanwhile, and wait for `resize confirm` or `resize revert` then
    Resize(Resize),
    /// Migrate servers to other hosts. They are shut down meanwhile, and wait for `resize confirm`
    /// or `resize revert` then, unless it is `--live`
    Migrate(Migrate),
    /// Evacuate servers from a host that is down and fenced
    Evacuate(Evacuate),
    /// Lock a server, so that only operators can act on it
    Lock {
        #[command(flatten)]
        one: One,
        /// The reason, for other people
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Unlock a server
    Unlock(One),
    /// List the events of a server
    #[command(subcommand)]
    Event(Event),
}

#[derive(Args)]
struct List {
    /// Only those on the host
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    host: String,
    /// Only those with the status
    #[arg(long, value_name = "STATUS", ignore_case = true, value_parser = view::STATUSES)]
    status: Option<String>,
    #[command(flatten)]
    scope: Scope,
}

/// One server.
#[derive(Args)]
struct One {
    /// The name or UUID of the server
    #[arg(value_name = "SERVER")]
    server: String,
    #[command(flatten)]
    scope: Scope,
}

impl One {
    fn request(self, project: &str) -> InstanceRequest {
        InstanceRequest { instance: self.server, project: self.scope.project(project) }
    }
}

#[derive(Subcommand)]
enum Event {
    /// List the events of a server, oldest first
    List(One),
}

impl Servers {
    pub(crate) fn run(self) -> Result<Ending> {
        let Self { options, action } = self;
        options.run(async |client, project, format| act(&client, action, project, format).await)
    }
}

async fn act(client: &Client, action: Action, project: String, format: &OutputOptions) -> Result<()> {
    let (operation, named) = match action {
        Action::Create(create) => return create.run(client, project, format).await,
        Action::List(list) => return list.run(client, project, format).await,
        Action::Show(one) => {
            let wanted = one.request(&project);
            return view::record(client.instances().get(timed(wanted)).await.answer()?).print(format);
        }
        Action::Lock { one, reason } => {
            let InstanceRequest { instance, project } = one.request(&project);
            return act::lock(client, LockRequest { instance, reason, project }, format).await;
        }
        Action::Unlock(one) => return act::unlock(client, one.request(&project), format).await,
        Action::Event(Event::List(one)) => return events(client, one.request(&project), format).await,
        Action::Delete(named) => return named.delete(client, &project).await,
        Action::Reboot(Reboot { named, hard }) => (Operation::Reboot { hard }, named),
        Action::Start(named) => (Operation::Start, named),
        Action::Stop(named) => (Operation::Stop, named),
        Action::Pause(named) => (Operation::Pause, named),
        Action::Unpause(named) => (Operation::Unpause, named),
        Action::Suspend(named) => (Operation::Suspend, named),
        Action::Resume(named) => (Operation::Resume, named),
        Action::Shelve(named) => (Operation::Shelve, named),
        Action::Unshelve(named) => (Operation::Unshelve, named),
        Action::Rebuild(rebuild) => rebuild.parts()?,
        Action::Rescue(rescue) => rescue.parts()?,
        Action::Unrescue(named) => (Operation::Unrescue, named),
        Action::Resize(resize) => resize.parts()?,
        Action::Migrate(migrate) => migrate.parts(),
        Action::Evacuate(Evacuate { named, host, terms }) => (Operation::Evacuate { host, terms }, named),
    };
    named.act(client, operation, &project, format).await
}

impl List {
    async fn run(self, client: &Client, project: String, format: &OutputOptions) -> Result<()> {
        let wanted = ListInstancesRequest {
            page_size: PAGE,
            page_token: String::new(),
            project: self.scope.project(&project),
            host: self.host,
            status: self.status.map(|status| status.to_uppercase()).unwrap_or_default(),
        };
        let records: Vec<_> = instances(client, &wanted).await?.into_iter().map(view::record).collect();
        let columns = if self.scope.all_projects { &view::COLUMNS_OF_ALL[..] } else { &view::COLUMNS };
        print_list(format, columns, &records)
    }
}

/// All pages of a list.
pub(crate) async fn instances(client: &Client, wanted: &ListInstancesRequest) -> Result<Vec<Instance>> {
    all(async |page_token| {
        let wanted = ListInstancesRequest { page_token, ..wanted.clone() };
        let page = client.instances().list(timed(wanted)).await.answer()?;
        Ok((page.instances, page.next_page_token))
    })
    .await
}

/// The UUIDs of all servers.
pub(crate) async fn uuids(client: &Client) -> Result<BTreeSet<Uuid>> {
    let wanted = ListInstancesRequest { page_size: PAGE, ..ListInstancesRequest::default() };
    let instances = instances(client, &wanted).await?;
    instances
        .iter()
        .map(|instance| {
            Uuid::parse_str(&instance.uuid).with_context(|| format!("server {}: no UUID", instance.uuid))
        })
        .collect()
}

async fn events(client: &Client, wanted: InstanceRequest, format: &OutputOptions) -> Result<()> {
    let answer = client.instances().list_events(timed(wanted)).await.answer()?;
    let records: Vec<_> = answer.events.into_iter().map(view::event).collect();
    print_list(format, &["at", "action", "user", "message"], &records)
}
