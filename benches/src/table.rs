//! A report as a text table.

use comfy_table::{CellAlignment, Table, presets};

use crate::report::{Report, ReportRow, RowUnit};

/// The rows as a table, below a line about the machine.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut table = grid(&["what", "parameters", "n", "p50", "p90", "p99", "p99.9", "max", "counted"]);
    for row in &report.rows {
        let value = |value| amount(row.unit, value);
        let numbers = [row.p50, row.p90, row.p99, row.p999, row.max].map(value);
        let words = [row.name.clone(), row.parameters_text(), row.n.to_string()];
        table.add_row(words.into_iter().chain(numbers).chain([counters(row)]));
    }
    align_numbers(&mut table, 2..8);
    let machine = &report.machine;
    let commit = report.commit.as_deref().unwrap_or("unknown commit");
    format!(
        "{} × {}, {}, load {:.2}, clock {:.0} ns; {commit}; {}\n\n{table}\n",
        machine.cores, machine.cpu, machine.kernel, machine.load, machine.clock_ns, report.date
    )
}

fn counters(row: &ReportRow) -> String {
    let words: Vec<String> = row.counters.iter().map(|(name, count)| format!("{name}={count}")).collect();
    words.join(" ")
}

pub(crate) fn grid(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table
}

pub(crate) fn align_numbers(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// An amount with about three digits and its unit.
pub(crate) fn amount(unit: RowUnit, value: f64) -> String {
    let scaled = |steps: [(f64, &str); 3], base: &str| {
        let step = steps.into_iter().find(|(factor, _)| value >= *factor);
        let (value, name) = step.map_or((value, base), |(factor, name)| (value / factor, name));
        let digits = if value >= 100.0 || (step.is_none() && value.fract() == 0.0) { 0 } else { 2 };
        format!("{value:.digits$} {name}")
    };
    match unit {
        RowUnit::Ns => scaled([(1e9, "s"), (1e6, "ms"), (1e3, "µs")], "ns"),
        RowUnit::Bytes => scaled([(GIB, "GiB"), (1024.0 * 1024.0, "MiB"), (1024.0, "KiB")], "B"),
        RowUnit::PerSecond => scaled([(1e9, "G/s"), (1e6, "M/s"), (1e3, "k/s")], "/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        let ns = [7.0, 640.0, 1_234.0, 123_456.0, 2e9].map(|value| amount(RowUnit::Ns, value));
        assert_eq!(ns, ["7 ns", "640 ns", "1.23 µs", "123 µs", "2.00 s"]);
        assert_eq!(amount(RowUnit::Bytes, 3.0 * 1024.0 * 1024.0), "3.00 MiB");
        assert_eq!(amount(RowUnit::PerSecond, 312_345.0), "312 k/s");
    }
}
