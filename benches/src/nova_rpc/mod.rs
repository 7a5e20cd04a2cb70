//! Generates load on any scheduler that serves `select_destinations` on Nova's bus.
//!
//! Callers ask for one host each, again and again, as nova-conductor does, and release what was
//! claimed in the Placement service that the scheduler uses. The rows have the format of any suite,
//! so two schedulers can be compared like two builds.

mod load;
mod mixture;
mod request;

use std::time::Duration;

use berth_nova_rpc::bus::{BusError, CallError};

use crate::Progress;
use crate::api::RequestError;
use crate::machine::{self, Machine};
use crate::report::{Report, SCHEMA};

pub use berth_nova_rpc::transport::{BusOptions, RabbitOptions, TransportUrl};

/// The options of a run.
#[derive(Debug, Clone)]
pub struct NovaRpcOptions {
    /// The bus.
    pub bus: BusOptions,
    /// The root URL of the Placement service in which the scheduler claims.
    pub placement: String,
    /// Its `X-Auth-Token`.
    pub token: String,
    /// The numbers of callers.
    pub callers: Vec<u32>,
    /// The duration for each number of callers, all rounds together.
    pub duration: Duration,
    /// The number of rounds.
    pub rounds: u32,
    /// vCPUs, MiB of memory and GiB of disk of each instance.
    pub amounts: [u32; 3],
    /// The seed of requests that differ from each other, of which each caller holds the latest
    /// claims; none for equal requests of `amounts`, each released at once.
    pub mixture: Option<u64>,
}

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum NovaRpcFailure {
    /// The run was stopped; what was claimed is released.
    #[error("ended early; nothing was written")]
    Stopped,
    /// There is no connection to the bus.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A call was not answered.
    #[error(transparent)]
    Call(#[from] CallError),
    /// No call found a host.
    #[error("no request found a host; the last was refused: {0}")]
    Refused(String),
    /// What was claimed could not be released.
    #[error("cannot release an allocation: {0}")]
    Release(#[from] RequestError),
    /// The threads cannot be started.
    #[error("cannot start the threads: {0}")]
    Threads(#[from] std::io::Error),
}

/// Runs the load.
///
/// # Errors
/// See [`NovaRpcFailure`].
pub fn run(
    options: &NovaRpcOptions,
    command: Vec<String>,
    progress: &Progress<'_>,
) -> Result<Report, NovaRpcFailure> {
    let (machine, date) = (Machine::here(), machine::date());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rows = runtime.block_on(load::rows(options, progress))?;
    Ok(Report { schema: SCHEMA, commit: machine::commit(), command, date, machine, ended_early: false, rows })
}
