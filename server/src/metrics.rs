//! Metrics for operators, in the text format of Prometheus.

use std::time::Duration;

use berth_fleet::MoveNotice;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::auth::KeystoneCounters;

/// One kind of request and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Outcome {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    pub(crate) status: u16,
}

/// One kind of request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Kind {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
}

/// One gRPC method and how a call of it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Called {
    pub(crate) path: String,
    /// The name of the status code, such as `NOT_FOUND`.
    pub(crate) code: &'static str,
}

/// One gRPC method.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Path {
    path: String,
}

/// How a move of an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndedMove {
    kind: &'static str,
    outcome: &'static str,
}

/// A kind of moves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MoveKind {
    kind: &'static str,
}

/// Upper bounds of the buckets for moves, in seconds.
const MOVES: [f64; 12] = [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0];

/// Upper bounds of the latency histogram's buckets, in seconds.
const LATENCIES: [f64; 14] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Upper bounds of the buckets for the sizes of commits, in records.
const GROUPS: [f64; 9] = [1.0, 2.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0];

type Latencies = Family<Kind, Histogram, fn() -> Histogram>;

/// Counters and histograms of a service.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Outcome, Counter>,
    latencies: Latencies,
    conflicts: Family<Kind, Counter>,
    calls: Family<Called, Counter>,
    call_latencies: Family<Path, Histogram, fn() -> Histogram>,
    refused_calls: Counter,
    commit_seconds: Histogram,
    commit_records: Histogram,
    store_failures: Counter,
    other_agents: Counter,
    migrations: Family<EndedMove, Counter>,
    migration_seconds: Family<MoveKind, Histogram, fn() -> Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("berth");
        let requests = Family::default();
        let latencies: Latencies = Family::new_with_constructor(|| Histogram::new(LATENCIES));
        let conflicts = Family::default();
        registry.register("requests", "Requests by route and status", requests.clone());
        registry.register("request_seconds", "Time to serve a request", latencies.clone());
        registry.register("conflicts", "Requests answered by 409: a generation was old, a name taken, something in use, or the capacity too small", conflicts.clone());
        let calls = Family::default();
        let call_latencies: Family<Path, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(LATENCIES));
        let refused_calls = Counter::default();
        registry.register("calls", "gRPC calls by method and status code", calls.clone());
        registry.register(
            "call_seconds",
            "Time until the answer to a gRPC call begins",
            call_latencies.clone(),
        );
        let help = "gRPC calls by unknown callers, by callers without the right, or of unknown methods";
        registry.register("refused_calls", help, refused_calls.clone());
        let (commit_seconds, commit_records) = (Histogram::new(LATENCIES), Histogram::new(GROUPS));
        registry.register(
            "commit_seconds",
            "Time to make a group of changes durable",
            commit_seconds.clone(),
        );
        registry.register("commit_records", "Records in a group of changes", commit_records.clone());
        let store_failures = Counter::default();
        let help = "Failures of the store; each rolled back the changes that were not on disk";
        registry.register("store_failures", help, store_failures.clone());
        let other_agents = Counter::default();
        let help = "Agents that were refused because another one speaks for their host: two machines have one name and UUID";
        registry.register("other_agents", help, other_agents.clone());
        let migrations = Family::default();
        registry.register(
            "migrations",
            "Moves of instances that have ended, by kind and outcome",
            migrations.clone(),
        );
        let migration_seconds: Family<MoveKind, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(MOVES));
        let help = "Time from the request of a move until the target reports the guest";
        registry.register("migration_seconds", help, migration_seconds.clone());
        Self {
            registry,
            requests,
            latencies,
            conflicts,
            calls,
            call_latencies,
            refused_calls,
            commit_seconds,
            commit_records,
            store_failures,
            other_agents,
            migrations,
            migration_seconds,
        }
    }
}

impl Metrics {
    /// Also shows what requests with tokens came to.
    pub(crate) fn watch_keystone(&mut self, counters: &KeystoneCounters) {
        let (asked, cached) = (counters.asked.clone(), counters.cached.clone());
        self.registry.register("keystone_validations", "Questions to Keystone, by outcome", asked);
        self.registry.register("keystone_cached", "Requests whose token was known already", cached);
    }

    /// Notes a request that was answered.
    pub(crate) fn note(&self, outcome: &Outcome, seconds: f64) {
        const CONFLICT: u16 = 409;
        let kind = Kind { method: outcome.method, route: outcome.route };
        self.requests.get_or_create(outcome).inc();
        if outcome.status == CONFLICT {
            self.conflicts.get_or_create(&kind).inc();
        }
        self.latencies.get_or_create(&kind).observe(seconds);
    }

    /// Notes a gRPC call whose answer begins.
    pub(crate) fn note_call(&self, called: Called, seconds: f64) {
        self.calls.get_or_create(&called).inc();
        self.call_latencies.get_or_create(&Path { path: called.path }).observe(seconds);
    }

    /// Notes a gRPC call that came to no service.
    pub(crate) fn note_refused_call(&self) {
        self.refused_calls.inc();
    }

    /// Notes that changes were made durable.
    #[expect(clippy::cast_precision_loss, reason = "a histogram needs no more")]
    pub(crate) fn note_commit(&self, records: usize, took: Duration) {
        self.commit_records.observe(records as f64);
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// Notes that the store failed.
    pub(crate) fn note_store_failure(&self) {
        self.store_failures.inc();
    }

    /// Notes that a second agent of a host was refused.
    pub(crate) fn note_other_agent(&self) {
        self.other_agents.inc();
    }

    /// Notes that a move has arrived or ended.
    pub(crate) fn note_move(&self, notice: MoveNotice) {
        match notice {
            MoveNotice::Arrived { kind, micros } => {
                let seconds = Duration::from_micros(micros).as_secs_f64();
                self.migration_seconds.get_or_create(&MoveKind { kind }).observe(seconds);
            }
            MoveNotice::Ended { kind, outcome } => {
                self.migrations.get_or_create(&EndedMove { kind, outcome }).inc();
            }
        }
    }

    /// Appends everything in the OpenMetrics format, with the end of the document.
    pub(crate) fn append_to(&self, text: &mut String) {
        encode(text, &self.registry).expect("a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_are_counted_by_kind_and_outcome() {
        let metrics = Metrics::default();
        let (kind, outcome) = ("resize", "confirmed");
        metrics.note_move(MoveNotice::Arrived { kind, micros: 1_500_000 });
        metrics.note_move(MoveNotice::Ended { kind, outcome });
        let mut text = String::new();
        metrics.append_to(&mut text);
        for line in [
            "berth_migrations_total{kind=\"resize\",outcome=\"confirmed\"} 1",
            "berth_migration_seconds_sum{kind=\"resize\"} 1.5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
