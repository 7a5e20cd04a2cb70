//! Metrics that are counted when they are read: the index, the fleet, the process.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use berth_placement::Index;
use procfs::process::{LimitValue, Process};

use crate::service::Service;

/// How long sums over all providers and hosts are kept: `/metrics` needs no token, so reading it
/// often must not cost much.
const KEPT: Duration = Duration::from_secs(5);

/// The latest sums over all providers and hosts.
#[derive(Default)]
pub(crate) struct Sums(Mutex<Option<(Instant, String)>>);

impl Sums {
    /// The sums as text, at most [`KEPT`] old.
    #[expect(clippy::disallowed_methods, reason = "this is the edge: the age of the sums")]
    fn text(&self, service: &Service) -> String {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((counted, text)) = &*kept
            && counted.elapsed() < KEPT
        {
            return text.clone();
        }
        let mut text = String::new();
        stock(&mut text, &service.index());
        fleet(&mut text, service);
        *kept = Some((Instant::now(), text.clone()));
        text
    }
}

/// Appends everything in the OpenMetrics format, without the end of the document.
pub(crate) fn append_to(text: &mut String, service: &Service) {
    let build = service.options.build;
    let labels = format!("_info{{version=\"{}\",commit=\"{}\"}}", build.version, build.commit);
    family(text, "berth_build", "info", "What the program was built from", [(labels, 1)]);
    index(text, &service.index());
    let help = "Bytes of request bodies that arrive and of responses that clients have not received yet";
    gauge(text, "berth_in_flight_bytes", help, service.in_flight.in_use());
    let checks = service.health().checks;
    let checks = checks.iter().map(|check| (label("check", &check.name), u8::from(check.is_ok)));
    family(text, "berth_healthy", "gauge", "Whether a part works; /readyz has the reason", checks);
    text.push_str(&service.sums.text(service));
    process(text);
}

fn index(text: &mut String, index: &Index) {
    let topology = index.topology();
    let rows = "Rows of the index, also of providers that were removed";
    let sizes = [
        ("providers", "Resource providers", topology.providers().count()),
        ("provider_rows", rows, topology.rows()),
        ("consumers", "Consumers", index.consumers()),
        ("traits", "Traits, standard and custom", topology.traits().iter().count()),
        ("resource_classes", "Resource classes, standard and custom", topology.classes().iter().count()),
    ];
    for (name, help, size) in sizes {
        gauge(text, &format!("berth_index_{name}"), help, size);
    }
}

/// The capacity and the use of all providers.
fn stock(text: &mut String, index: &Index) {
    let topology = index.topology();
    let (mut capacity, mut used) = (BTreeMap::<u16, i128>::new(), BTreeMap::<u16, i128>::new());
    for (row, _) in topology.providers() {
        for (class, inventory) in index.inventories(row).1 {
            *capacity.entry(class.0).or_default() += i128::from(inventory.capacity());
            *used.entry(class.0).or_default() += i128::from(index.used(row, class));
        }
    }
    let by_class = |sums: BTreeMap<u16, i128>| {
        let named =
            |(class, sum): (u16, i128)| Some((topology.classes().name(class.into())?.to_string(), sum));
        sums.into_iter().filter_map(named).map(|(name, sum)| (label("resource_class", &name), sum))
    };
    let help = "Capacity of all providers: the total without what is reserved, times the allocation ratio";
    family(text, "berth_capacity", "gauge", help, by_class(capacity));
    family(text, "berth_used", "gauge", "Amounts that are allocated on all providers", by_class(used));
}

/// The hosts and servers of Berth's own fleet.
fn fleet(text: &mut String, service: &Service) {
    let (hosts, servers) = service.epoch().fleet.read(|fleet| (fleet.count_hosts(), fleet.count_servers()));
    let states =
        [("up", hosts.up), ("down", hosts.down)].map(|(state, count)| (label("state", state), count));
    family(text, "berth_hosts", "gauge", "Hosts by whether their agents report", states);
    let help = "Hosts that an operator disabled or put into maintenance";
    gauge(text, "berth_hosts_disabled", help, hosts.disabled);
    let servers = servers.into_iter().map(|(status, count)| (label("status", status), count));
    family(text, "berth_servers", "gauge", "Servers by status", servers);
}

/// The metrics of the process, by the names that all exporters use. What the system does not know
/// is left out.
#[expect(clippy::cast_precision_loss, reason = "a metric needs no more")]
fn process(text: &mut String) {
    let Ok(this) = Process::myself() else { return };
    if let Ok(stat) = this.stat() {
        let ticks = procfs::ticks_per_second() as f64;
        let seconds = (stat.utime + stat.stime) as f64 / ticks;
        let cpu = [("_total".to_owned(), seconds)];
        family(text, "process_cpu_seconds", "counter", "Processor time", cpu);
        gauge(text, "process_resident_memory_bytes", "Resident memory", stat.rss * procfs::page_size());
        gauge(text, "process_virtual_memory_bytes", "Virtual memory", stat.vsize);
        gauge(text, "process_threads", "Threads", stat.num_threads);
        if let Ok(boot) = procfs::boot_time_secs() {
            let start = boot as f64 + stat.starttime as f64 / ticks;
            gauge(text, "process_start_time_seconds", "Start of the process, in seconds since 1970", start);
        }
    }
    if let Ok(open) = this.fd_count() {
        gauge(text, "process_open_fds", "Open file descriptors", open);
    }
    if let Ok(limits) = this.limits()
        && let LimitValue::Value(most) = limits.max_open_files.soft_limit
    {
        gauge(text, "process_max_fds", "The limit of open file descriptors", most);
    }
}

fn label(name: &str, value: &str) -> String {
    format!("{{{name}=\"{value}\"}}")
}

fn gauge(text: &mut String, name: &str, help: &str, value: impl Display) {
    family(text, name, "gauge", help, [(String::new(), value)]);
}

/// Appends a family: its samples are what follows the name, suffix and labels, with a value.
fn family<V: Display>(
    text: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    samples: impl IntoIterator<Item = (String, V)>,
) {
    write!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}\n").expect("a string takes everything");
    for (suffix, value) in samples {
        writeln!(text, "{name}{suffix} {value}").expect("a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::ServiceOptions;

    #[test]
    fn a_family_has_help_type_and_samples() {
        let service = Service::new(ServiceOptions::noauth2());
        let mut text = String::new();
        append_to(&mut text, &service);
        for line in [
            "# HELP berth_hosts Hosts by whether their agents report.",
            "# TYPE berth_hosts gauge",
            "berth_hosts{state=\"up\"} 0",
            "berth_healthy{check=\"store\"} 1",
            "# TYPE process_cpu_seconds counter",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing from\n{text}");
        }
        let memory = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        assert!(
            memory.and_then(|bytes| bytes.parse::<u64>().ok()).is_some_and(|bytes| bytes > 1 << 20),
            "{text}"
        );
    }
}
