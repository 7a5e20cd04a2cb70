//! The record of a request in shadow mode.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::stale::StaleState;

/// A request that nova-scheduler and Berth decided.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct ShadowRecord {
    /// When it arrived, microseconds since 1970.
    pub at: i64,
    /// The id of the request to Nova's API.
    pub request_id: String,
    /// The project.
    pub project: String,
    /// The flavor.
    pub flavor: String,
    /// How many instances need a host.
    pub instances: usize,
    /// How long Berth's decision took, microseconds.
    pub berth_us: u64,
    /// How long nova-scheduler took to answer, microseconds.
    pub nova_us: u64,
    /// Berth's decision, which is not claimed.
    pub berth: ShadowAnswer,
    /// The reply of nova-scheduler, which the caller received.
    pub nova: ShadowAnswer,
    /// Whether both are the same.
    pub agreement: Agreement,
    /// Why they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<DifferenceCause>,
    /// For [`DifferenceCause::StaleData`], what both may have seen differently, and how old it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<StaleState>,
    /// For a difference, why Berth decided as it did: an explanation as `berth explain --json`
    /// prints it, with verdicts on all hosts that one of both chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Value>,
}

/// An answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShadowAnswer {
    /// The host of each instance; the node as well where it has another name.
    Hosts(Vec<String>),
    /// An exception.
    Exception {
        /// Its class.
        class: String,
        /// Its message.
        message: String,
    },
    /// No answer came.
    Nothing {
        /// Why.
        problem: String,
    },
}

/// Whether two answers are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// The same hosts, or the same exception.
    Same,
    /// Other hosts, among which chance decides: their weights are equal, or `host_subset_size` is
    /// more than 1.
    Tie,
    /// Something else.
    Different,
    /// nova-scheduler did not answer.
    Unanswered,
}

/// Why two answers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceCause {
    /// Both did not look at the same state: other requests were decided or hosts reported
    /// meanwhile, or a host has decisions that its row does not show yet, of which each worker of
    /// nova-scheduler knows only its own.
    StaleData,
    /// Only one of both found hosts, or they raised different exceptions.
    Refusal,
    /// nova-scheduler chose a host that a constraint of Berth removes.
    Filters,
    /// nova-scheduler chose a host to which Berth gives a lower weight.
    Weights,
    /// The same hosts, but other amounts or other providers are claimed there.
    Allocations,
}
