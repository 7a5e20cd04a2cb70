//! What operators do with a running service: clients of its gRPC services, one file for each noun.

mod agents;
pub(crate) mod aggregate;
pub(crate) mod connection;
pub(crate) mod flavor;
pub(crate) mod host;
pub(crate) mod hypervisor;
pub(crate) mod pairs;
pub(crate) mod quota;
mod record;
pub(crate) mod refusal;
pub(crate) mod server;
pub(crate) mod server_group;
pub(crate) mod zone;

pub(crate) use agents::Agents;

use anyhow::{Context, Result};
use clap::Args;
use tokio::runtime::Builder;

use crate::Ending;
use connection::{Client, Connection};
use record::Format;

/// Options of every command that asks the service and prints what it says.
#[derive(Args)]
struct Common {
    #[command(flatten)]
    connection: Connection,
    /// How to print: as a table for people, or as JSON
    #[arg(
        long,
        short = 'f',
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        global = true,
        help_heading = SERVICE
    )]
    format: Format,
}

/// For whom something is done.
#[derive(Args)]
pub(crate) struct Project {
    /// The project that it belongs to
    #[arg(
        long,
        value_name = "PROJECT",
        env = "BERTH_PROJECT",
        default_value = "default",
        global = true,
        help_heading = SERVICE
    )]
    pub(crate) project: String,
}

/// Whose things a command names or lists.
#[derive(Args)]
pub(crate) struct Scope {
    /// Those of all projects, not of one alone
    #[arg(long)]
    all_projects: bool,
}

impl Scope {
    /// The project as the service takes it: empty for all.
    fn project(&self, project: &str) -> String {
        if self.all_projects { String::new() } else { project.to_owned() }
    }
}

/// Below which the help lists the options that all these commands have.
const SERVICE: &str = "Service and output";

/// Connects and does the work. That no host was found is an ending of its own; the reason is told.
fn run(connection: &Connection, work: impl AsyncFnOnce(Client) -> Result<()>) -> Result<Ending> {
    match ask(connection, work) {
        Err(error) if refusal::is_no_host(&error) => {
            eprintln!("berth: {error:#}");
            Ok(Ending::NoHost)
        }
        done => done.map(|()| Ending::Complete),
    }
}

/// Connects and does the work, on this thread.
pub(crate) fn ask<T>(connection: &Connection, work: impl AsyncFnOnce(Client) -> Result<T>) -> Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(async { work(Client::connect(connection).await?).await })
}
