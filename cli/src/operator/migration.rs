//! `berth migration`.

use anyhow::Result;
use berth_api::v1::{GetMigrationRequest, ListMigrationsRequest, Migration};
use clap::{Args, Subcommand};

use super::connection::{Client, PAGE, all, request};
use super::record::{OutputOptions, Record, print_list};
use super::refusal::Answer;
use super::{ProjectOptions, Scope};
use crate::Ending;

/// Show the moves of servers, abort or force live migrations
#[derive(Args)]
#[command(after_help = "\
Examples:
  berth migration list --status finished
  berth migration list --server web-1
  berth migration list --host compute-7 --all-projects
  berth migration show 6c0f0a52-1f9b-4c43-9d52-0a4b1f6e1c11
  berth migration abort 6c0f0a52-1f9b-4c43-9d52-0a4b1f6e1c11            the server stays where it is
  berth migration force-complete 6c0f0a52-1f9b-4c43-9d52-0a4b1f6e1c11   it is paused until it has moved

A migration that is `finished` waits for `berth server resize confirm` or `revert`.")]
pub(crate) struct Migrations {
    #[command(flatten)]
    options: ProjectOptions,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the latest moves of each server, oldest first
    List(List),
    /// Show a move
    Show {
        /// The UUID of the migration
        #[arg(value_name = "MIGRATION")]
        migration: String,
        #[command(flatten)]
        scope: Scope,
    },
    /// Abort a live migration: the server stays where it is, unless it has left in this moment
    Abort {
        /// The UUID of the migration
        #[arg(value_name = "MIGRATION")]
        migration: String,
        #[command(flatten)]
        scope: Scope,
    },
    /// Complete a live migration that does not converge: the server is paused until its memory is
    /// on the target
    ForceComplete {
        /// The UUID of the migration
        #[arg(value_name = "MIGRATION")]
        migration: String,
        #[command(flatten)]
        scope: Scope,
    },
}

#[derive(Args)]
struct List {
    /// Only those of the server: its UUID, or its name if only one of the project has it
    #[arg(long, value_name = "SERVER", default_value = "", hide_default_value = true)]
    server: String,
    /// Only those from or to the host
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    host: String,
    /// Only those with the status, such as finished or failed
    #[arg(long, value_name = "STATUS", default_value = "", hide_default_value = true, value_parser = STATUSES)]
    status: String,
    #[command(flatten)]
    scope: Scope,
}

/// Nova's statuses that a move can have; empty for any.
const STATUSES: [&str; 17] = [
    "",
    "queued",
    "preparing",
    "running",
    "completed",
    "cancelled",
    "done",
    "pre-migrating",
    "migrating",
    "post-migrating",
    "finished",
    "confirming",
    "confirmed",
    "reverting",
    "reverted",
    "failed",
    "error",
];

const COLUMNS: [&str; 8] =
    ["uuid", "server", "kind", "status", "source_host", "target_host", "new_flavor", "updated_at"];

impl Migrations {
    pub(crate) fn run(self) -> Result<Ending> {
        let Self { options, action } = self;
        options.run(async |client, project, format| match action {
            Action::List(list) => list.run(&client, &project, format).await,
            Action::Show { migration, scope } => {
                let wanted = GetMigrationRequest { migration, project: scope.project(&project) };
                record(client.instances().get_migration(request(wanted)).await.answer()?).print(format)
            }
            Action::Abort { migration, scope } => {
                let wanted = GetMigrationRequest { migration, project: scope.project(&project) };
                record(client.instances().abort_migration(request(wanted)).await.answer()?).print(format)
            }
            Action::ForceComplete { migration, scope } => {
                let wanted = GetMigrationRequest { migration, project: scope.project(&project) };
                let forced = client.instances().force_complete_migration(request(wanted)).await;
                record(forced.answer()?).print(format)
            }
        })
    }
}

impl List {
    async fn run(self, client: &Client, project: &str, format: &OutputOptions) -> Result<()> {
        let wanted = ListMigrationsRequest {
            page_size: PAGE,
            project: self.scope.project(project),
            instance: self.server,
            host: self.host,
            status: self.status,
            ..ListMigrationsRequest::default()
        };
        let found = all(async |page_token| {
            let wanted = ListMigrationsRequest { page_token, ..wanted.clone() };
            let page = client.instances().list_migrations(request(wanted)).await.answer()?;
            Ok((page.migrations, page.next_page_token))
        });
        let records: Vec<_> = found.await?.into_iter().map(record).collect();
        print_list(format, &COLUMNS, &records)
    }
}

fn record(migration: Migration) -> Record {
    Record::new()
        .with("uuid", migration.uuid)
        .with("server", migration.instance)
        .with("project", migration.project)
        .text("user", migration.user)
        .with("kind", migration.kind)
        .with("status", migration.status)
        .with("source_host", migration.source_host)
        .text("target_host", migration.target_host)
        .with("old_flavor", migration.old_flavor)
        .with("new_flavor", migration.new_flavor)
        .map("failures", migration.failures)
        .text("error", migration.error)
        .time("created_at", migration.created_at)
        .time("updated_at", migration.updated_at)
}
