//! Raw weights, normalised weights, multipliers and the order of hosts.

use berth_scheduler::hosts::{HostRow, HostTable};
use berth_scheduler::weighers::{RawColumns, WeigherColumn, weigh_in_detail};
use serde_json::{Map, Value, json};

use super::answer::{Answer, staged};
use super::case::Case;
use super::difference::Differences;
use super::filtering::indices;

/// Answers what the weighers make of the hosts that are left. Nothing is weighed after an error.
pub(crate) fn answer(
    case: &Case,
    hosts: &HostTable,
    left: Option<Vec<HostRow>>,
    answer: &mut Answer,
    out: &mut Differences,
) {
    let Some(rows) = left else { return };
    if case.options().filter_scheduler.weight_classes.is_empty() {
        return answer.insert("weighing", Value::Null);
    }
    let mut columns = Vec::new();
    let scene = case.scene(hosts);
    let weighed = weigh_in_detail(&scene, &rows, |column| columns.push(column));
    kept_columns(case, hosts, &rows, &columns, out);
    let mut weighers: Vec<Value> = columns.iter().map(entry).collect();
    let mut weighing = Map::new();
    weighing.insert("hosts".to_owned(), indices(&rows));
    weighing.insert("skipped".to_owned(), json!(rows.len() <= 1));
    match weighed {
        Ok(weighed) => {
            let order = weighed.iter().map(|host| json!([host.row.0, host.weight])).collect();
            weighing.insert("order".to_owned(), order);
        }
        Err(failure) => {
            let (name, exception) = (failure.weigher.to_string(), failure.error.nova_exception());
            weighers.push(json!({"weigher": name, "error": exception.class}));
            answer.insert("error", staged("weigh", &name, &exception));
        }
    }
    weighing.insert("weighers".to_owned(), weighers.into());
    answer.insert("weighing", weighing.into());
}

fn entry(column: &WeigherColumn) -> Value {
    json!({
        "weigher": column.weigher.to_string(),
        "raw": column.raw,
        "normalized": column.normalized,
        "multiplier": column.multiplier,
    })
}

/// Columns that are kept between requests hold what a request finds.
fn kept_columns(
    case: &Case,
    hosts: &HostTable,
    rows: &[HostRow],
    columns: &[WeigherColumn],
    out: &mut Differences,
) {
    let kept = RawColumns::new(hosts, case.options());
    for column in columns {
        if let Some(all) = kept.column(column.weigher) {
            let raw: Vec<f64> = rows.iter().map(|row| all[row.0 as usize]).collect();
            out.expect(&column.weigher.to_string(), "kept column", &json!(column.raw), &json!(raw));
        }
    }
}
