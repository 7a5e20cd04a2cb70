//! Sends every kind of request on several connections concurrently.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::fleet::Providers;
use super::operation::{Operation, Sender};
use super::{ApiFailure, ApiOptions, Progress, RequestError};
use crate::report::{ReportRow, RowUnit};
use crate::series::{Series, histogram, parameters, record};

/// The largest number of requests per kind, connection and round: memory and time stay bounded on
/// any server.
const MOST_REQUESTS: u32 = 100_000;
/// The number of failed requests per kind, connection and round that ends the run: a server that is
/// down is not measured.
const MOST_ERRORS: u64 = 100;

/// One kind of request on one number of connections.
struct Case {
    operation: Operation,
    connections: u32,
    latency: Series,
    second: Series,
    rate: Series,
}

/// The measurements of one connection.
struct Seen {
    first: Histogram<u64>,
    second: Histogram<u64>,
    conflicts: u64,
    errors: u64,
    last_error: Option<RequestError>,
    took: Duration,
}

/// The rows of a run.
pub(super) struct Loaded {
    pub(super) rows: Vec<ReportRow>,
    /// Whether the run was stopped: the rows have the cases that were measured until then.
    pub(super) ended_early: bool,
}

/// Runs every case in rounds.
pub(super) fn rows(
    options: &ApiOptions,
    providers: &Providers<'_>,
    progress: &Progress<'_>,
) -> Result<Loaded, ApiFailure> {
    let mut cases: Vec<Case> = Operation::ALL
        .into_iter()
        .flat_map(|operation| options.connections.iter().map(move |&connections| (operation, connections)))
        .map(|(operation, connections)| Case::new(operation, connections, options.providers))
        .collect();
    let time = options.duration / options.rounds.max(1);
    let mut ended_early = false;
    'rounds: for round in 1..=options.rounds {
        for case in &mut cases {
            let what = format!(
                "round {round} of {}: {} on {} connections",
                options.rounds,
                case.operation.name(),
                case.connections
            );
            if !progress(&what) {
                ended_early = true;
                break 'rounds;
            }
            case.round(providers, time)?;
        }
    }
    Ok(Loaded { rows: cases.into_iter().flat_map(Case::finish).collect(), ended_early })
}

impl Case {
    fn new(operation: Operation, connections: u32, providers: u32) -> Self {
        let named = parameters([("providers", providers.into()), ("connections", connections.into())]);
        Self {
            operation,
            connections,
            latency: Series::new(operation.name(), &named, RowUnit::Ns),
            second: Series::new(operation.second_name(), &named, RowUnit::Ns),
            rate: Series::new(&operation.rate_name(), &named, RowUnit::PerSecond),
        }
    }

    fn round(&mut self, providers: &Providers<'_>, time: Duration) -> Result<(), ApiFailure> {
        let barrier = Barrier::new(self.connections as usize);
        let (barrier, operation, connections) = (&barrier, self.operation, self.connections);
        let seen: Vec<Seen> = std::thread::scope(|scope| {
            let start = |number| {
                scope.spawn(move || {
                    let mut sender = Sender::new(operation, providers, number, connections);
                    // The first request opens the connection.
                    let opened = sender.send();
                    barrier.wait();
                    let mut seen = Seen::nothing();
                    match opened {
                        Err(error) if !error.is_conflict() => seen.failed(error),
                        _ => seen.collect(&mut sender, time),
                    }
                    seen
                })
            };
            let threads: Vec<_> = (0..connections).map(start).collect();
            threads.into_iter().map(|thread| thread.join().expect("a sender does not panic")).collect()
        });
        self.gather(seen)
    }

    fn gather(&mut self, seen: Vec<Seen>) -> Result<(), ApiFailure> {
        let (mut requests, mut longest) = (0, Duration::ZERO);
        for seen in seen {
            requests += seen.first.len() + seen.second.len();
            longest = longest.max(seen.took);
            self.latency.merge(&seen.first);
            self.second.merge(&seen.second);
            self.rate.count("conflicts", seen.conflicts);
            self.rate.count("errors", seen.errors);
            if let Some(error) = seen.last_error
                && (seen.errors > MOST_ERRORS || seen.first.is_empty())
            {
                return Err(error.into());
            }
        }
        if requests > 0 {
            self.rate.rate(requests * self.operation.consumers(), longest);
        }
        [&mut self.latency, &mut self.second, &mut self.rate].into_iter().for_each(Series::end_round);
        Ok(())
    }

    fn finish(self) -> impl Iterator<Item = ReportRow> {
        [self.latency, self.second, self.rate].into_iter().filter_map(Series::finish)
    }
}

impl Seen {
    fn nothing() -> Self {
        let (first, second) = (histogram(), histogram());
        Self { first, second, conflicts: 0, errors: 0, last_error: None, took: Duration::ZERO }
    }

    /// Sends requests for `time`, or until the limit of requests or errors.
    fn collect(&mut self, sender: &mut Sender<'_>, time: Duration) {
        let started = Instant::now();
        for _ in 0..MOST_REQUESTS {
            match sender.send() {
                Ok(sent) => {
                    record(&mut self.first, sent.first);
                    sent.second.into_iter().for_each(|second| record(&mut self.second, second));
                }
                Err(error) if error.is_conflict() => self.conflicts += 1,
                Err(error) => self.failed(error),
            }
            if started.elapsed() >= time || self.errors > MOST_ERRORS {
                break;
            }
        }
        self.took = started.elapsed();
    }

    fn failed(&mut self, error: RequestError) {
        self.errors += 1;
        self.last_error = Some(error);
    }
}
