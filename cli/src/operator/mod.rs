//! Commands for a running service: clients of its gRPC services, one file for each noun.

mod agents;
pub(crate) mod aggregate;
pub(crate) mod connection;
pub(crate) mod console;
pub(crate) mod flavor;
pub(crate) mod host;
pub(crate) mod hypervisor;
pub(crate) mod keypair;
pub(crate) mod migration;
pub(crate) mod pairs;
pub(crate) mod quota;
mod record;
pub(crate) mod refusal;
pub(crate) mod scheduler;
pub(crate) mod server;
pub(crate) mod server_group;
pub(crate) mod zone;

pub(crate) use agents::Agents;

use anyhow::{Context, Result, bail};
use clap::Args;
use tokio::runtime::Builder;

use crate::{Ending, output};
use connection::{Client, Connection};
use record::OutputOptions;

/// Options of every command that prints what the service returns.
#[derive(Args)]
struct Common {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: OutputOptions,
}

/// The project that a command acts for.
#[derive(Args)]
pub(crate) struct Project {
    /// The project
    #[arg(
        long,
        value_name = "PROJECT",
        env = "BERTH_PROJECT",
        default_value = "default",
        // To the service, an empty project is all of them.
        value_parser = clap::builder::NonEmptyStringValueParser::new(),
        global = true,
        help_heading = SERVICE
    )]
    pub(crate) project: String,
}

/// Options of every command for things of a project.
#[derive(Args)]
struct ProjectOptions {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    project: Project,
}

impl ProjectOptions {
    /// Connects and does the work, which gets the project and how to print.
    fn run(self, work: impl AsyncFnOnce(Client, String, &OutputOptions) -> Result<()>) -> Result<Ending> {
        let Self { common, project: Project { project } } = self;
        run(&common.connection, async |client| work(client, project, &common.output).await)
    }
}

/// The projects that a command names or lists things of.
#[derive(Args)]
pub(crate) struct Scope {
    /// All projects instead of one
    #[arg(long)]
    all_projects: bool,
}

impl Scope {
    /// The project as the service takes it: empty for all.
    fn project(&self, project: &str) -> String {
        if self.all_projects { String::new() } else { project.to_owned() }
    }
}

/// The heading in the help of the options that all these commands have.
const SERVICE: &str = "Service and output";

/// Connects and does the work. Finding no host is an ending of its own; its reason is printed.
fn run(connection: &Connection, work: impl AsyncFnOnce(Client) -> Result<()>) -> Result<Ending> {
    match ask(connection, work) {
        Err(error) if refusal::is_no_host(&error) => {
            output::complain(&error);
            Ok(Ending::NoHost)
        }
        done => done.map(|()| Ending::Complete),
    }
}

/// Connects and does the work, on this thread.
pub(crate) fn ask<T>(connection: &Connection, work: impl AsyncFnOnce(Client) -> Result<T>) -> Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let done = runtime.block_on(async { work(Client::connect(connection).await?).await });
    match &done {
        // A service that refuses the certificate closes the connection, and the call does not
        // return the reason.
        Err(error) if refusal::is_lost_connection(error) => match connection.refusal() {
            Some(reason) => bail!("no connection to the service: {reason}"),
            None => done,
        },
        _ => done,
    }
}
