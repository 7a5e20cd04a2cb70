//! The outcome of a run as a table for people.

use std::time::Duration;

use berth_simulator::{Share, SimulationOutcome};

use crate::table::Grid;

/// The table, with how long the run took.
#[allow(clippy::cast_precision_loss)] // for people
pub(crate) fn table(outcome: &SimulationOutcome, trace: &str, fleet: &str, took: Duration) -> String {
    let totals = &outcome.totals;
    let seconds = took.as_secs_f64();
    let partial = if outcome.complete { "" } else { " (partial: ended early)" };
    let mut facts = Grid::indented::<&str>([]);
    let rows = [
        ["trace".to_owned(), format!("{trace}{partial}")],
        ["fleet".to_owned(), fleet.to_owned()],
        ["capacity".to_owned(), capacity(outcome)],
        ["policy".to_owned(), outcome.policy.clone()],
        ["VMs placed".to_owned(), count(totals.placed)],
        [
            "VMs rejected".to_owned(),
            format!("{} ({})", count(totals.rejected), percent(totals.rejected, totals.vms)),
        ],
        ["hosts in use".to_owned(), hosts_in_use(outcome)],
        [
            "took".to_owned(),
            format!("{seconds:.2} s, {} VMs/s", count((totals.vms as f64 / seconds.max(1e-6)) as u64)),
        ],
    ];
    rows.into_iter().for_each(|row| facts.row(row));
    let mut use_table = Grid::indented(["used", "mean", "peak", "at the end"]);
    let rows = [("vCPU", 0), ("memory", 1), ("disk", 2)];
    for (name, class) in rows {
        let of_capacity = |used: u64| percent(used, outcome.capacity.amounts()[class]);
        let at = |share: &Share| of_capacity(share.amounts()[class]);
        use_table.row([
            name.to_owned(),
            at(&outcome.mean_used),
            at(&outcome.peak_used),
            at(&outcome.end().used),
        ]);
    }
    use_table.align_right(1..4);
    format!("{}\n{}", facts.text(), use_table.text())
}

fn capacity(outcome: &SimulationOutcome) -> String {
    let Share { vcpus, memory_mb, disk_gb } = outcome.capacity;
    let disk = if disk_gb == 0 { String::new() } else { format!(", {} GiB disk", count(disk_gb)) };
    format!("{} vCPU, {} GiB memory{disk}", count(vcpus), count(memory_mb / 1024))
}

fn hosts_in_use(outcome: &SimulationOutcome) -> String {
    let end = outcome.end();
    format!(
        "{} of {} at most, {} at the end with {} of their vCPUs used",
        count(outcome.peak_busy_hosts),
        count(outcome.hosts),
        count(end.busy_hosts),
        percent(end.used.vcpus, end.busy_vcpus)
    )
}

fn count(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

#[allow(clippy::cast_precision_loss)] // for people
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{:.2} %", 100.0 * part as f64 / whole as f64) }
}
