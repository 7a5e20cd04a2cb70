//! Raw weights, normalised weights, multipliers and the order of hosts.

use berth_placement::Row;
use berth_scheduler::nova::hosts::HostTable;
use berth_scheduler::nova::weighers::{RawColumns, WeigherColumn, weigh_in_detail};
use serde_json::{Value, json};

use super::case::Case;
use super::difference::Differences;
use super::filtering::indices;

/// Compares what the weighers make of the hosts that are left.
pub(crate) fn compare(
    case: &Case,
    hosts: &HostTable,
    left: Option<Vec<Row>>,
    expected: &Value,
    out: &mut Differences,
) {
    let nova = &expected["weighing"];
    let has_weighers = !case.options().filter_scheduler.weight_classes.is_empty();
    let Some(rows) = left.filter(|_| has_weighers) else {
        return out.expect("weighing", "weighing", nova, &Value::Null);
    };
    out.expect("weighing", "hosts", &nova["hosts"], &indices(&rows));
    out.expect("weighing", "skipped", &nova["skipped"], &json!(rows.len() <= 1));
    let mut columns = Vec::new();
    let scene = case.scene(hosts);
    let weighed = weigh_in_detail(&scene, &rows, |column| columns.push(column));
    for (column, nova) in columns.iter().zip(nova["weighers"].as_array().into_iter().flatten()) {
        compare_column(column, nova, out);
    }
    kept_columns(case, hosts, &rows, &columns, out);
    match weighed {
        Ok(weighed) => {
            let order: Value = weighed.iter().map(|host| json!([host.row.0, host.weight])).collect();
            out.expect("weighing", "order", &nova["order"], &order);
        }
        Err(failure) => {
            let failing = nova["weighers"].as_array().and_then(|weighers| weighers.get(columns.len()));
            let found = failing
                .filter(|entry| entry.get("error").is_some())
                .map_or(Value::Null, |one| one["weigher"].clone());
            out.expect("weighing", "failing weigher", &found, &json!(failure.weigher.to_string()));
        }
    }
}

fn compare_column(column: &WeigherColumn, nova: &Value, out: &mut Differences) {
    let name = column.weigher.to_string();
    out.expect(&name, "weigher", &nova["weigher"], &json!(name));
    out.expect(&name, "raw", &nova["raw"], &json!(column.raw));
    out.expect(&name, "normalized", &nova["normalized"], &json!(column.normalized));
    out.expect(&name, "multiplier", &nova["multiplier"], &json!(column.multiplier));
}

/// Columns that are kept between requests hold what a request finds.
fn kept_columns(
    case: &Case,
    hosts: &HostTable,
    rows: &[Row],
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
