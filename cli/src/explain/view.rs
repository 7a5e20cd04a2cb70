//! Explanations as read from JSON, whether computed here or returned by a service.

use std::fmt;

use anyhow::{Context, Result};
use berth_scheduler::nova::explain::Change;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The operator's view.
#[derive(Deserialize)]
pub(super) struct OperatorView {
    pub(super) hosts: usize,
    pub(super) ending: Ending,
    pub(super) removed: Vec<Removed>,
    pub(super) not_judged: Vec<String>,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) standings: Vec<Standing>,
    pub(super) relaxations: Option<Relaxations>,
}

#[derive(Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub(super) enum Ending {
    Found { host: String },
    NoHost,
    Blocked { by: String, error: String },
}

#[derive(Deserialize)]
pub(super) struct Removed {
    pub(super) constraint: String,
    pub(super) removed: usize,
}

#[derive(Deserialize)]
pub(super) struct Verdict {
    pub(super) host: String,
    pub(super) constraint: Option<String>,
    pub(super) text: String,
    pub(super) rank: Option<usize>,
}

#[derive(Deserialize)]
pub(super) struct Standing {
    pub(super) host: String,
    pub(super) weight: Weight,
    pub(super) scores: Vec<Score>,
}

#[derive(Deserialize)]
pub(super) struct Score {
    pub(super) weigher: String,
    pub(super) score: Weight,
}

/// A weight; none for what is no finite number in JSON.
#[derive(Clone, Copy, PartialEq, Deserialize)]
pub(super) struct Weight(pub(super) Option<f64>);

impl fmt::Display for Weight {
    /// Six decimals distinguish hosts; JSON has all of them.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => write!(out, "{number:.6}"),
            None => out.write_str("–"),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Relaxations {
    pub(super) found: Vec<Relaxation>,
    pub(super) cut_short: bool,
}

#[derive(Deserialize)]
pub(super) struct Relaxation {
    pub(super) changes: Vec<Change>,
    pub(super) opens: usize,
    #[serde(default)]
    pub(super) example: String,
}

/// The tenant's view.
#[derive(Deserialize)]
pub(super) struct TenantView {
    pub(super) hosts: usize,
    pub(super) result: String,
    pub(super) blocked_by: Option<String>,
    pub(super) removed: Vec<Removed>,
    pub(super) relaxations: Vec<Relaxation>,
}

/// Reads an explanation from its JSON form.
pub(super) fn view<T: DeserializeOwned>(explanation: &impl Serialize) -> Result<T> {
    let value = serde_json::to_value(explanation).context("cannot write JSON")?;
    serde_json::from_value(value).context("cannot read the explanation")
}
