//! Load on any server that speaks the Placement API.
//!
//! Providers are created over REST and removed again at the end, whatever happens; then every kind of request is sent on
//! several numbers of connections at once, for a bounded time, in rounds. The rows are like any suite's, so two servers are
//! compared like two builds.

mod client;
mod fleet;
mod load;
mod operation;

use std::time::Duration;

use crate::machine::{self, Machine};
use crate::report::{Report, SCHEMA};
use client::Client;
use fleet::Providers;

pub use client::RequestError;

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The server's root URL.
    pub endpoint: String,
    /// Resource providers to create.
    pub providers: u32,
    /// Numbers of connections.
    pub connections: Vec<u32>,
    /// For each kind of request and number of connections, all rounds together.
    pub duration: Duration,
    /// Rounds over everything.
    pub rounds: u32,
    /// The `X-Auth-Token`.
    pub token: String,
    /// Whether the server may have resource providers of others.
    pub existing: bool,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The run was asked to end; what was created is removed.
    #[error("ended early; nothing was written")]
    Stopped,
    /// The server holds the resource providers of somebody.
    #[error(
        "{endpoint} has resource providers already; say --existing to add more and take only those away again"
    )]
    NotEmpty {
        /// The server.
        endpoint: String,
    },
    /// A request that has to succeed did not.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Not everything that was created could be removed.
    #[error("{count} resource providers named {prefix}* could not be removed")]
    NotCleaned {
        /// How many.
        count: usize,
        /// What their names begin with.
        prefix: String,
        /// The last reason.
        source: RequestError,
    },
}

/// Hears what is done next and says whether to go on.
pub type Progress<'a> = dyn Fn(&str) -> bool + Sync + 'a;

/// Runs the load.
///
/// # Errors
/// See [`Failure`]. What was created is removed first.
pub fn run(options: &Options, command: Vec<String>, progress: &Progress<'_>) -> Result<Report, Failure> {
    let (machine, date) = (Machine::here(), machine::date());
    let client = Client::new(&options.endpoint, &options.token);
    if !options.existing && client.has_providers()? {
        return Err(Failure::NotEmpty { endpoint: options.endpoint.clone() });
    }
    let mut providers = Providers::new(&client, machine::nonce());
    let rows = providers
        .create(options.providers, progress)
        .and_then(|()| load::rows(options, &providers, progress));
    let cleaned = providers.remove(progress);
    let rows = rows?;
    cleaned?;
    Ok(Report { schema: SCHEMA, commit: machine::commit(), command, date, machine, rows })
}

#[cfg(test)]
mod tests;
