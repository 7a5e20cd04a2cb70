//! The weights of the best hosts.

use serde::{Deserialize, Deserializer, Serialize};

use super::question::Question;
use crate::hosts::HostRow;
use crate::weighers::{Weighed, WeigherColumn, WeigherName};

/// A host and how its weight came about.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Standing {
    /// Host, and node where it has another name.
    pub host: String,
    /// The sum of the scores.
    #[serde(deserialize_with = "number")]
    pub weight: f64,
    /// One for each weigher, in the order in which they are added. A single host is not weighed.
    pub scores: Vec<Score>,
}

/// The weight that one weigher gave to a host.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Score {
    /// The weigher.
    pub weigher: WeigherName,
    /// The raw weight, raised to the weigher's least.
    #[serde(deserialize_with = "number")]
    pub raw: f64,
    /// Its part of the range of all hosts.
    #[serde(deserialize_with = "number")]
    pub normalized: f64,
    /// How much that counts.
    #[serde(deserialize_with = "number")]
    pub multiplier: f64,
    /// Multiplier times normalised weight.
    #[serde(deserialize_with = "number")]
    pub score: f64,
}

/// A number; JSON has `null` for what is none.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// These hosts with their part of the weighers' columns, which stand in the order of `rows`.
pub(super) fn standings(
    question: &Question<'_>,
    rows: &[HostRow],
    best: &[Weighed],
    columns: &[WeigherColumn],
) -> Vec<Standing> {
    let scores = |host: &Weighed| {
        let at = rows.iter().position(|row| *row == host.row)?;
        Some(columns.iter().map(|column| score(column, at)).collect())
    };
    let standing = |host: &Weighed| Standing {
        host: question.name(host.row),
        weight: host.weight,
        scores: scores(host).unwrap_or_default(),
    };
    best.iter().map(standing).collect()
}

fn score(column: &WeigherColumn, at: usize) -> Score {
    let (normalized, multiplier) = (column.normalized[at], column.multiplier[at]);
    Score {
        weigher: column.weigher,
        raw: column.raw[at],
        normalized,
        multiplier,
        score: multiplier * normalized,
    }
}
