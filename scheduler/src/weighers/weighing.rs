//! The exhaustive pass: every weigher over every host that is left.

use super::{WeighError, Weigher, WeigherName, normalize};
use crate::filters::Scene;
use crate::hosts::{HostRow, HostTable};

/// A host and its weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weighed {
    /// The host.
    pub row: HostRow,
    /// The sum of multipliers times normalised weights.
    pub weight: f64,
}

/// The weights that one weigher gave to the remaining hosts, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct WeigherColumn {
    /// The weigher.
    pub weigher: WeigherName,
    /// Raw weights, raised to the weigher's least.
    pub raw: Vec<f64>,
    /// Parts of the range.
    pub normalized: Vec<f64>,
    /// How much they count.
    pub multiplier: Vec<f64>,
}

/// A weigher that could not weigh a host. Nova fails the whole request then.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{weigher}: {error}")]
pub struct WeighFailure {
    /// The weigher.
    pub weigher: WeigherName,
    /// Why it could not.
    pub error: WeighError,
}

/// The hosts, best first. Hosts of the same weight keep their order. A single host is not weighed
/// at all.
///
/// # Errors
///
/// [`WeighFailure`] of the first weigher that cannot weigh a host.
pub fn weigh(scene: &Scene<'_>, rows: &[HostRow]) -> Result<Vec<Weighed>, WeighFailure> {
    weigh_in_detail(scene, rows, |_| ())
}

/// The same, showing each weigher's columns.
///
/// # Errors
///
/// [`WeighFailure`] of the first weigher that cannot weigh a host.
pub fn weigh_in_detail(
    scene: &Scene<'_>,
    rows: &[HostRow],
    mut show: impl FnMut(WeigherColumn),
) -> Result<Vec<Weighed>, WeighFailure> {
    let mut weights = vec![0.0; rows.len()];
    if rows.len() > 1 {
        for &name in &scene.options.filter_scheduler.weight_classes {
            let column = column(scene, name, rows).map_err(|error| WeighFailure { weigher: name, error })?;
            add_scores(&mut weights, &column);
            show(column);
        }
    }
    let mut weighed: Vec<_> =
        rows.iter().zip(weights).map(|(&row, weight)| Weighed { row, weight }).collect();
    weighed.sort_by(|a, b| sort_key(b.weight).total_cmp(&sort_key(a.weight)));
    Ok(weighed)
}

/// One multiplication and one addition, each rounded: a fused operation would give other last bits.
fn add_scores(weights: &mut [f64], column: &WeigherColumn) {
    let scores =
        column.multiplier.iter().zip(&column.normalized).map(|(multiplier, weight)| multiplier * weight);
    weights.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
}

/// Zeros are equal whatever their sign, and what is not a number comes last.
fn sort_key(weight: f64) -> f64 {
    if weight.is_nan() { f64::NEG_INFINITY } else { weight + 0.0 }
}

fn column(scene: &Scene<'_>, name: WeigherName, rows: &[HostRow]) -> Result<WeigherColumn, WeighError> {
    let weigher = name.prepare(scene);
    let least = weigher.least();
    let raw = rows.iter().map(|&row| weigher.raised(row)).collect::<Result<Vec<_>, _>>()?;
    let normalized = normalize(&raw, least);
    Ok(WeigherColumn {
        weigher: name,
        normalized,
        multiplier: multipliers(&*weigher, scene.hosts, rows),
        raw,
    })
}

/// The multiplier of each host, computed once for each class.
fn multipliers(weigher: &dyn Weigher, hosts: &HostTable, rows: &[HostRow]) -> Vec<f64> {
    let multiplier = weigher.multiplier();
    let mut memo: Vec<Option<f64>> = vec![None; hosts.class_count()];
    let mut of = |row: &HostRow| {
        let known = &mut memo[hosts.class_ids()[row.0 as usize].0 as usize];
        *known.get_or_insert_with(|| multiplier.of(&hosts.class(*row).aggregates))
    };
    rows.iter().map(&mut of).collect()
}
