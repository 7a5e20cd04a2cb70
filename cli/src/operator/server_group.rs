//! `berth server-group`.

use anyhow::Result;
use berth_api::v1::server_group::Policy;
use berth_api::v1::{
    CreateServerGroupRequest, DeleteServerGroupRequest, GetServerGroupRequest, ListServerGroupsRequest,
    ServerGroup,
};
use clap::{Args, Subcommand, ValueEnum};

use super::connection::{Client, PAGE, all, request};
use super::record::{OutputOptions, Record, print_list};
use super::refusal::Answer;
use super::{ProjectOptions, Scope};
use crate::Ending;

/// Manage server groups
#[derive(Args)]
#[command(after_help = "\
Examples:
  berth server-group create web --policy anti-affinity
  berth server-group create web --policy anti-affinity --max-per-host 2
  berth server create web --flavor m1.small --image debian.qcow2 --hint group=web --min 3

GROUP is a group's UUID, or its name if only one of the project has it.")]
pub(crate) struct ServerGroups {
    #[command(flatten)]
    options: ProjectOptions,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the groups of the project
    List(Scope),
    /// Create a group
    Create(Create),
    /// Show a group and its members
    Show {
        /// The name or UUID of the group
        group: String,
        #[command(flatten)]
        scope: Scope,
    },
    /// Delete groups without servers
    Delete {
        /// Names or UUIDs of groups
        #[arg(required = true)]
        group: Vec<String>,
        #[command(flatten)]
        scope: Scope,
    },
}

#[derive(Args)]
struct Create {
    /// The name of the group
    name: String,
    /// The policy of the group
    #[arg(long)]
    policy: Wanted,
    /// For anti-affinity: the maximum on one host [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_per_host: Option<u32>,
    /// A key that makes the request idempotent: with the key of an earlier request, its group is
    /// returned and none is created
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    idempotency_key: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wanted {
    /// All servers on one host
    Affinity,
    /// Each server on another host
    AntiAffinity,
    /// On one host if possible
    SoftAffinity,
    /// On different hosts if possible
    SoftAntiAffinity,
}

impl From<Wanted> for Policy {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Affinity => Self::Affinity,
            Wanted::AntiAffinity => Self::AntiAffinity,
            Wanted::SoftAffinity => Self::SoftAffinity,
            Wanted::SoftAntiAffinity => Self::SoftAntiAffinity,
        }
    }
}

impl ServerGroups {
    pub(crate) fn run(self) -> Result<Ending> {
        let Self { options, action } = self;
        options.run(async |client, project, format| act(&client, action, project, format).await)
    }
}

async fn act(client: &Client, action: Action, project: String, format: &OutputOptions) -> Result<()> {
    let mut fleet = client.fleet();
    let shown = match action {
        Action::List(scope) => return list(client, scope.project(&project), format).await,
        Action::Create(create) => fleet.create_server_group(request(creation(create, project))).await,
        Action::Show { group, scope } => {
            let wanted = GetServerGroupRequest { group, project: scope.project(&project) };
            fleet.get_server_group(request(wanted)).await
        }
        Action::Delete { group: groups, scope } => {
            let project = scope.project(&project);
            for group in groups {
                let wanted = DeleteServerGroupRequest { group, project: project.clone() };
                fleet.delete_server_group(request(wanted)).await.answer()?;
            }
            return Ok(());
        }
    };
    record(shown.answer()?).print(format)
}

fn creation(create: Create, project: String) -> CreateServerGroupRequest {
    CreateServerGroupRequest {
        name: create.name,
        policy: Policy::from(create.policy).into(),
        max_server_per_host: create.max_per_host.unwrap_or_default(),
        project,
        idempotency_key: create.idempotency_key,
    }
}

async fn list(client: &Client, project: String, format: &OutputOptions) -> Result<()> {
    let records: Vec<_> = groups(client, &project).await?.into_iter().map(record).collect();
    print_list(format, &["uuid", "name", "policy", "max_per_host", "project"], &records)
}

/// The groups of a project; of all for an empty name.
pub(crate) async fn groups(client: &Client, project: &str) -> Result<Vec<ServerGroup>> {
    all(async |page_token| {
        let project = project.to_owned();
        let wanted = ListServerGroupsRequest { page_size: PAGE, page_token, project };
        let page = client.fleet().list_server_groups(request(wanted)).await.answer()?;
        Ok((page.groups, page.next_page_token))
    })
    .await
}

/// The UUID of a group of the project, given its UUID or name: hints name groups by UUID.
pub(super) async fn uuid(client: &Client, group: String, project: &str) -> Result<String> {
    let wanted = GetServerGroupRequest { group, project: project.to_owned() };
    let known = client.fleet().get_server_group(request(wanted)).await.answer()?;
    Ok(known.uuid)
}

fn record(group: ServerGroup) -> Record {
    let policy = policy(group.policy());
    Record::new()
        .with("uuid", group.uuid)
        .with("name", group.name)
        .with("policy", policy)
        .with("max_per_host", (group.max_server_per_host > 0).then_some(group.max_server_per_host))
        .with("project", group.project)
        .with("members", group.members)
}

/// The name of a policy, as Nova writes it.
pub(crate) const fn policy(policy: Policy) -> &'static str {
    match policy {
        Policy::Affinity => "affinity",
        Policy::AntiAffinity => "anti-affinity",
        Policy::SoftAffinity => "soft-affinity",
        Policy::SoftAntiAffinity => "soft-anti-affinity",
        Policy::Unspecified => "unknown",
    }
}
