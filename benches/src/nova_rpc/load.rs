//! Callers that ask at the same time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use berth_nova_rpc::bus::Caller;
use hdrhistogram::Histogram;

use super::mixture::Mixture;
use super::request::{Asked, arguments};
use super::{NovaRpcFailure, NovaRpcOptions, Progress};
use crate::api::client::{Client, uuid_of_run};
use crate::machine;
use crate::report::{ReportRow, RowUnit};
use crate::series::{Series, histogram, parameters, record};

/// The longest that a call may take: what oslo.messaging calls `long_rpc_timeout`.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// The number of requests per caller and round: memory and time stay bounded with any scheduler.
const MOST_REQUESTS: u32 = 100_000;

/// Requests whose claims a caller of a mixture holds, so that hosts differ from each other.
const HELD: usize = 8;

struct Case {
    callers: u32,
    latency: Series,
    rate: Series,
}

#[derive(Debug)]
struct Seen {
    latency: Histogram<u64>,
    refused: u64,
    last_refusal: String,
    took: Duration,
}

/// Runs every number of callers in rounds.
pub(super) async fn rows(
    options: &NovaRpcOptions,
    progress: &Progress<'_>,
) -> Result<Vec<ReportRow>, NovaRpcFailure> {
    let mut cases: Vec<Case> = options.callers.iter().map(|&callers| Case::new(callers)).collect();
    let time = options.duration / options.rounds.max(1);
    for round in 1..=options.rounds {
        for case in &mut cases {
            if !progress(&format!("round {round} of {}: {} callers", options.rounds, case.callers)) {
                return Err(NovaRpcFailure::Stopped);
            }
            case.round(options, time).await?;
        }
    }
    Ok(cases.into_iter().flat_map(|case| [case.latency, case.rate]).filter_map(Series::finish).collect())
}

impl Case {
    fn new(callers: u32) -> Self {
        let named = parameters([("callers", callers.into())]);
        Self {
            callers,
            latency: Series::new("nova-rpc/select_destinations", &named, RowUnit::Ns),
            rate: Series::new("nova-rpc/select_destinations/rate", &named, RowUnit::PerSecond),
        }
    }

    async fn round(&mut self, options: &NovaRpcOptions, time: Duration) -> Result<(), NovaRpcFailure> {
        let options = Arc::new(options.clone());
        let (mut tasks, nonce) = (Vec::new(), machine::nonce());
        let placement = Client::new(&options.placement, &options.token);
        for _ in 0..self.callers {
            let caller = (Caller::connect(&options.bus).await?, placement.another());
            tasks.push(tokio::spawn(ask(Arc::clone(&options), caller, nonce, time)));
        }
        let (mut requests, mut longest, mut refusal) = (0, Duration::ZERO, String::new());
        for task in tasks {
            let seen = task.await.expect("a caller does not panic")?;
            requests += seen.latency.len();
            longest = longest.max(seen.took);
            self.latency.merge(&seen.latency);
            self.rate.count("refused", seen.refused);
            if !seen.last_refusal.is_empty() {
                refusal = seen.last_refusal;
            }
        }
        if requests == 0 {
            return Err(NovaRpcFailure::Refused(refusal));
        }
        self.rate.rate(requests, longest);
        [&mut self.latency, &mut self.rate].into_iter().for_each(Series::end_round);
        Ok(())
    }
}

/// One caller: asks, and releases what was claimed, which is not part of the time.
async fn ask(
    options: Arc<NovaRpcOptions>,
    (caller, placement): (Caller, Client),
    nonce: u64,
    time: Duration,
) -> Result<Seen, NovaRpcFailure> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let placement = Arc::new(placement);
    let mut seen =
        Seen { latency: histogram(), refused: 0, last_refusal: String::new(), took: Duration::ZERO };
    let started = Instant::now();
    let mut mixture = options.mixture.map(|seed| Mixture::new(seed ^ NEXT.fetch_add(1, Ordering::Relaxed)));
    let (mut held, most_held) = (VecDeque::new(), if mixture.is_some() { HELD } else { 0 });
    for _ in 0..MOST_REQUESTS {
        let count = mixture.as_mut().map_or(1, Mixture::instances);
        let uuid = |_| uuid_of_run(nonce, NEXT.fetch_add(1, Ordering::Relaxed)).to_string();
        let instances: Vec<String> = (0..count).map(uuid).collect();
        let request = match &mut mixture {
            Some(mixture) => mixture.draw(instances.clone()),
            None => Asked { instances: instances.clone(), amounts: options.amounts, ..Asked::default() },
        };
        let asked = Instant::now();
        match caller.call("scheduler", "select_destinations", "4.5", arguments(&request), PATIENCE).await? {
            Ok(answer) => {
                record(&mut seen.latency, asked.elapsed());
                mixture.iter_mut().for_each(|mixture| mixture.observe(&answer));
                held.push_back(instances);
                if held.len() > most_held {
                    release(&placement, held.pop_front().into_iter()).await?;
                }
            }
            Err(exception) => {
                seen.refused += 1;
                seen.last_refusal = exception["message"].as_str().unwrap_or_default().to_owned();
            }
        }
        if started.elapsed() >= time {
            break;
        }
    }
    seen.took = started.elapsed();
    release(&placement, held.into_iter()).await?;
    Ok(seen)
}

/// Releases what was claimed for the instances of some requests.
async fn release(
    placement: &Arc<Client>,
    requests: impl Iterator<Item = Vec<String>>,
) -> Result<(), NovaRpcFailure> {
    for instance in requests.flatten() {
        let placement = Arc::clone(placement);
        let release = move || placement.delete(&format!("/allocations/{instance}"));
        tokio::task::spawn_blocking(release).await.expect("a request does not panic")?;
    }
    Ok(())
}
