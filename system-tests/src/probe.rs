//! A client that sends a cheap request all the time, as another client of the service would.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::http::Client;

/// The time between two requests.
const PAUSE: Duration = Duration::from_millis(5);

/// A thread that sends cheap requests until it is stopped.
#[derive(Debug)]
pub struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Histogram<u64>>,
}

/// The latencies of the cheap requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latencies {
    /// The number of requests.
    pub requests: u64,
    /// Half of them took at most this long.
    pub p50: Duration,
    /// 99 of 100 took at most this long.
    pub p99: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Probe {
    /// Sends GET requests for this path, one at a time, with this token.
    pub fn start(address: &str, token: &str, path: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut client = Client::with_token(address, token).expect("it listens");
        let thread = thread::spawn(move || {
            let mut latencies = Histogram::new(3).expect("three digits are valid");
            while !stopped.load(Relaxed) {
                let start = Instant::now();
                client.ask("GET", path, None).expect("a cheap request is answered").expect(200);
                let micros = u64::try_from(start.elapsed().as_micros()).expect("it is short");
                latencies.record(micros.max(1)).expect("the histogram grows");
                thread::sleep(PAUSE);
            }
            latencies
        });
        Self { stop, thread }
    }

    /// Stops, and returns what was measured.
    pub fn stop(self) -> Latencies {
        self.stop.store(true, Relaxed);
        let latencies = self.thread.join().expect("each cheap request was answered");
        let at = |quantile| Duration::from_micros(latencies.value_at_quantile(quantile));
        Latencies {
            requests: latencies.len(),
            p50: at(0.5),
            p99: at(0.99),
            longest: Duration::from_micros(latencies.max()),
        }
    }
}
