//! A service under attack, and what the attack costs.

use std::path::Path;
use std::time::Duration;

use berth_system_tests::probe::{Latencies, Probe};
use berth_system_tests::service::{Service, command};

/// Whether the long form was asked for.
pub(crate) fn is_long() -> bool {
    std::env::var("BERTH_ATTACK_LONG").is_ok_and(|value| value == "1")
}

/// A number of the short form, or of the long one.
pub(crate) fn sized(short: usize, long: usize) -> usize {
    if is_long() { long } else { short }
}

/// A service without a store.
pub(crate) fn service() -> Service {
    Service::start(command(Path::new("none"))).unwrap_or_else(|log| panic!("it does not start: {log}"))
}

/// A service without a store, with another limit.
pub(crate) fn service_with(limit: &str, value: usize) -> Service {
    let mut command = command(Path::new("none"));
    command.env(format!("BERTH_SERVE__LIMITS__{limit}"), value.to_string());
    Service::start(command).unwrap_or_else(|log| panic!("it does not start: {log}"))
}

/// The 99th percentile that cheap requests may have. Builds without optimisation, on machines that
/// run other tests as well, show no more than that nothing stands still.
pub(crate) fn p99(optimised: Duration) -> Duration {
    if cfg!(debug_assertions) { Duration::from_secs(1) } else { optimised }
}

/// What an attack may cost.
pub(crate) struct Ceiling {
    /// Additional memory of the process, at its peak.
    pub(crate) memory_mib: u64,
    /// The 99th percentile of a cheap request of another client.
    pub(crate) p99: Duration,
}

/// Runs an attack beside cheap requests of another client, reports what it cost, and checks that
/// against the ceiling.
#[track_caller]
pub(crate) fn attack<T>(
    name: &str,
    service: &Service,
    ceiling: &Ceiling,
    run: impl FnOnce() -> T,
) -> (T, Latencies) {
    let before = service.resources();
    let probe = Probe::start(&service.address, "admin", "/resource_providers?name=nobody");
    let outcome = run();
    let latencies = probe.stop();
    let after = service.resources();
    let grown_mib = after.peak_kib.saturating_sub(before.resident_kib) / 1024;
    println!(
        "{name}: peak {} MiB (+{grown_mib}), {} threads, {} descriptors, cheap GET p50 {:?} p99 {:?} longest {:?} of {}",
        after.peak_kib / 1024,
        after.threads,
        after.descriptors,
        latencies.p50,
        latencies.p99,
        latencies.longest,
        latencies.requests
    );
    assert!(
        grown_mib <= ceiling.memory_mib,
        "{name}: {grown_mib} MiB more, {} are allowed",
        ceiling.memory_mib
    );
    assert!(
        latencies.p99 <= ceiling.p99,
        "{name}: p99 is {:?}, {:?} are allowed",
        latencies.p99,
        ceiling.p99
    );
    (outcome, latencies)
}

/// A runtime for clients over gRPC.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("the system has threads")
}
