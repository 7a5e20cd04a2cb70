//! Generates load on any server of the Placement API.
//!
//! The run creates providers over REST and always removes them at the end. In between it sends
//! every kind of request on several numbers of connections concurrently, for a bounded time, in
//! rounds. The rows have the format of any suite, so two servers can be compared like two builds.

pub(crate) mod client;
mod fleet;
mod load;
mod operation;

use std::time::Duration;

use crate::Progress;
use crate::machine::{self, Machine};
use crate::report::{Report, SCHEMA};
use client::Client;
use fleet::Providers;
use load::Loaded;

pub use client::RequestError;

/// The options of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiOptions {
    /// The server's root URL.
    pub endpoint: String,
    /// The number of resource providers to create.
    pub providers: u32,
    /// The numbers of connections.
    pub connections: Vec<u32>,
    /// The duration of each kind of request on each number of connections, all rounds together.
    pub duration: Duration,
    /// The number of rounds.
    pub rounds: u32,
    /// The `X-Auth-Token`.
    pub token: String,
    /// Whether the server may have other resource providers.
    pub existing: bool,
}

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum ApiFailure {
    /// The run was stopped before anything was measured; everything that was created is removed.
    #[error("ended early, before anything was measured")]
    Stopped,
    /// The server has resource providers already.
    #[error(
        "{endpoint} has resource providers already; use --existing to add more and remove only those at the end"
    )]
    NotEmpty {
        /// The server.
        endpoint: String,
    },
    /// A required request failed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Not everything that was created could be removed.
    #[error("{count} resource providers named {prefix}* could not be removed")]
    NotCleaned {
        /// The number of providers.
        count: usize,
        /// The prefix of their names.
        prefix: String,
        /// The last reason.
        source: RequestError,
    },
}

/// Runs the load.
///
/// # Errors
/// See [`ApiFailure`]. Everything that was created is removed first.
pub fn run(
    options: &ApiOptions,
    command: Vec<String>,
    progress: &Progress<'_>,
) -> Result<Report, ApiFailure> {
    let (machine, date) = (Machine::here(), machine::date());
    let client = Client::new(&options.endpoint, &options.token);
    if !options.existing && client.has_providers()? {
        return Err(ApiFailure::NotEmpty { endpoint: options.endpoint.clone() });
    }
    let mut providers = Providers::new(&client, machine::nonce());
    let rows = providers
        .create(options.providers, progress)
        .and_then(|()| load::rows(options, &providers, progress));
    let cleaned = providers.remove(progress);
    let Loaded { rows, ended_early } = rows?;
    cleaned?;
    if ended_early && rows.is_empty() {
        return Err(ApiFailure::Stopped);
    }
    Ok(Report { schema: SCHEMA, commit: machine::commit(), command, date, machine, ended_early, rows })
}

#[cfg(test)]
mod tests;
