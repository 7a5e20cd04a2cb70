//! Metrics for operators: requests, decisions, the bus and the databases.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use berth_nova_database::{Clock, HostCounts, NovaHosts, ReadStatistics};
use berth_nova_rpc::bus::BusStatistics;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::shadow::{Agreement, DifferenceCause};

/// Upper bounds of the histograms' buckets, in seconds.
const SECONDS: [f64; 14] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConstraintLabel {
    constraint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ComparisonLabel {
    comparison: &'static str,
}

/// The outcome of a request, as its metric names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestOutcome {
    /// Every instance has a host.
    Placed,
    /// No valid host.
    Refused,
    /// Another exception.
    Failed,
}

impl RequestOutcome {
    const fn label(self) -> OutcomeLabel {
        let outcome = match self {
            Self::Placed => "placed",
            Self::Refused => "refused",
            Self::Failed => "failed",
        };
        OutcomeLabel { outcome }
    }
}

/// Counters and histograms of requests, and the collectors of everything that is counted elsewhere.
pub(crate) struct NovaMetrics {
    registry: Registry,
    requests: Family<OutcomeLabel, Counter>,
    refusals: Family<ConstraintLabel, Counter>,
    request_seconds: Histogram,
    refresh_seconds: Histogram,
    decision_seconds: Histogram,
    shadow: Family<ComparisonLabel, Counter>,
}

impl NovaMetrics {
    /// Nothing has happened yet on this bus and these hosts.
    pub(crate) fn new(
        bus: Arc<BusStatistics>,
        hosts: Arc<NovaHosts>,
        reads: Arc<ReadStatistics>,
        clock: Clock,
    ) -> Self {
        let mut registry = Registry::with_prefix("berth_nova");
        let (requests, refusals) = (Family::default(), Family::<ConstraintLabel, Counter>::default());
        registry.register("requests", "Requests for hosts, by outcome", requests.clone());
        let help = "Refused requests for which this constraint removed hosts";
        registry.register("refusals", help, refusals.clone());
        let mut histogram = |name: &str, help: &str| {
            let histogram = Histogram::new(SECONDS);
            registry.register(name, help, histogram.clone());
            histogram
        };
        let request_seconds = histogram("request_seconds", "Time from a request to its reply");
        let refresh_seconds =
            histogram("refresh_seconds", "Time that a request waits for current rows of hosts");
        let decision_seconds = histogram("decision_seconds", "Time to choose hosts and claim them");
        let shadow = Family::<ComparisonLabel, Counter>::default();
        let help = "Requests in shadow mode: the same, a tie, unanswered, or why the answers differ";
        registry.register("shadow_requests", help, shadow.clone());
        registry.register_collector(Box::new(Counted { bus, hosts, reads, clock }));
        Self { registry, requests, refusals, request_seconds, refresh_seconds, decision_seconds, shadow }
    }

    /// Notes a request that is answered.
    pub(crate) fn note(&self, outcome: RequestOutcome, removed: &[(String, usize)], took: Duration) {
        self.requests.get_or_create(&outcome.label()).inc();
        self.request_seconds.observe(took.as_secs_f64());
        for (constraint, _) in removed {
            self.refusals.get_or_create(&ConstraintLabel { constraint: constraint.clone() }).inc();
        }
    }

    /// Notes how long a request waited for current rows.
    pub(crate) fn note_refresh(&self, took: Duration) {
        self.refresh_seconds.observe(took.as_secs_f64());
    }

    /// Notes how long a decision took.
    pub(crate) fn note_decision(&self, took: Duration) {
        self.decision_seconds.observe(took.as_secs_f64());
    }

    /// Notes how a decision compares with that of nova-scheduler.
    pub(crate) fn note_shadow(&self, agreement: Agreement, cause: Option<DifferenceCause>) {
        let comparison = match (agreement, cause) {
            (Agreement::Same, _) => "same",
            (Agreement::Tie, _) => "tie",
            (Agreement::Unanswered, _) => "unanswered",
            (Agreement::Different, Some(DifferenceCause::StaleData)) => "stale_data",
            (Agreement::Different, Some(DifferenceCause::Refusal)) => "refusal",
            (Agreement::Different, Some(DifferenceCause::Filters)) => "filters",
            (Agreement::Different, Some(DifferenceCause::Weights)) => "weights",
            (Agreement::Different, Some(DifferenceCause::Allocations)) => "allocations",
            (Agreement::Different, None) => "different",
        };
        self.shadow.get_or_create(&ComparisonLabel { comparison }).inc();
    }

    /// Appends everything in the OpenMetrics format, without the end of the document.
    pub(crate) fn append_to(&self, text: &mut String) {
        encode_registry(text, &self.registry).expect("a string takes everything");
    }
}

/// The counts of bus, hosts and databases.
struct Counted {
    bus: Arc<BusStatistics>,
    hosts: Arc<NovaHosts>,
    reads: Arc<ReadStatistics>,
    clock: Clock,
}

impl fmt::Debug for Counted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Counted").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CellLabel {
    cell: String,
}

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let connected = i64::from(self.bus.is_connected());
        gauge(&mut encoder, "bus_connected", "Whether a connection to a broker exists", connected)?;
        for (name, count) in self.bus.counts() {
            counter(&mut encoder, &format!("bus_{name}"), "Events on the message bus", count)?;
        }
        for (name, count) in self.reads.counts() {
            counter(&mut encoder, &format!("database_{name}"), "Readings of Nova's databases", count)?;
        }
        let HostCounts { cells, cells_down, hosts, instances, aggregates } = self.hosts.counts();
        let known = [
            ("cells", cells),
            ("cells_down", cells_down),
            ("hosts", hosts),
            ("instances", instances),
            ("aggregates", aggregates),
        ];
        for (name, count) in known {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            gauge(&mut encoder, name, "What is known of Nova's cells", count)?;
        }
        let help = "Seconds since the rows of a cell were read";
        let mut ages = encoder.encode_descriptor("cell_age_seconds", help, None, MetricType::Gauge)?;
        for (cell, age) in self.hosts.ages((self.clock)()) {
            let seconds = Duration::from_micros(u64::try_from(age).unwrap_or_default()).as_secs_f64();
            ConstGauge::new(seconds).encode(ages.encode_family(&CellLabel { cell })?)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_refusals_and_what_others_count_are_shown() {
        let metrics =
            NovaMetrics::new(Arc::default(), Arc::new(NovaHosts::new(60)), Arc::default(), || 5_000_000);
        let removed = [("placement".to_owned(), 3), ("ComputeFilter".to_owned(), 1)];
        metrics.note(RequestOutcome::Placed, &[], Duration::from_micros(60));
        metrics.note(RequestOutcome::Refused, &removed, Duration::from_millis(2));
        metrics.note(RequestOutcome::Refused, &removed[..1], Duration::from_millis(2));
        metrics.note_refresh(Duration::from_millis(2));
        metrics.note_shadow(Agreement::Tie, None);
        metrics.note_shadow(Agreement::Different, Some(DifferenceCause::Weights));
        metrics.note_decision(Duration::from_micros(40));
        let mut text = String::new();
        metrics.append_to(&mut text);
        for line in [
            "berth_nova_requests_total{outcome=\"placed\"} 1",
            "berth_nova_requests_total{outcome=\"refused\"} 2",
            "berth_nova_refusals_total{constraint=\"placement\"} 2",
            "berth_nova_refusals_total{constraint=\"ComputeFilter\"} 1",
            "berth_nova_request_seconds_bucket{le=\"0.0001\"} 1",
            "berth_nova_decision_seconds_bucket{le=\"0.00005\"} 1",
            "berth_nova_refresh_seconds_count 1",
            "berth_nova_shadow_requests_total{comparison=\"tie\"} 1",
            "berth_nova_shadow_requests_total{comparison=\"weights\"} 1",
            "berth_nova_bus_connected 0",
            "berth_nova_bus_duplicates_total 0",
            "berth_nova_database_refreshes_total 0",
            "berth_nova_hosts 0",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is missing from\n{text}");
        }
        assert!(!text.contains("# EOF"), "{text}");
    }
}
