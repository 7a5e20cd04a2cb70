//! Clients of the scheduler, and how long they wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use berth_api::v1;
use berth_api::v1::placement_client::PlacementClient;
use berth_api::v1::schedule_request::Size;
use berth_api::v1::scheduler_client::SchedulerClient;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::latencies::Latencies;

/// Requests for new instances, a number of them in each. Whatever was given is released at the end.
pub(crate) struct Requests {
    channels: Vec<Channel>,
    batch: usize,
    given: Vec<String>,
}

impl Requests {
    pub(crate) const fn new(channels: Vec<Channel>, batch: usize) -> Self {
        Self { channels, batch, given: Vec::new() }
    }

    /// So many clients ask one after the other.
    pub(crate) async fn by_clients(&mut self, clients: usize, time: Duration) -> Latencies {
        let (end, mut asking) = (Instant::now() + time, JoinSet::new());
        for client in 0..clients {
            let (channel, batch) = (self.channels[client % self.channels.len()].clone(), self.batch);
            asking.spawn(async move {
                let mut asked = Vec::new();
                while Instant::now() < end {
                    asked.push(ask(channel.clone(), batch, Instant::now()).await);
                }
                asked
            });
        }
        self.collect(asking.join_all().await.into_iter().flatten())
    }

    /// So many instances a second, whether earlier requests have been answered or not; each waits
    /// from the moment when it is due.
    pub(crate) async fn at_rate(&mut self, a_second: f64, time: Duration) -> Latencies {
        let between = Duration::from_secs_f64(self.batch as f64 / a_second);
        let (start, mut asking) = (Instant::now(), JoinSet::new());
        for number in 0.. {
            let due = start + between * number;
            if due >= start + time {
                break;
            }
            tokio::time::sleep_until(due.into()).await;
            let channel = self.channels[number as usize % self.channels.len()].clone();
            asking.spawn(ask(channel, self.batch, due));
        }
        self.collect(asking.join_all().await)
    }

    fn collect(&mut self, asked: impl IntoIterator<Item = (Duration, Vec<String>)>) -> Latencies {
        let (latencies, given): (Vec<Duration>, Vec<Vec<String>>) = asked.into_iter().unzip();
        self.given.extend(given.into_iter().flatten());
        Latencies::new(latencies)
    }

    pub(crate) async fn release(self) {
        let mut placement = PlacementClient::new(self.channels[0].clone());
        for consumers in self.given.chunks(5_000) {
            let consumers = consumers.to_vec();
            placement.release(v1::ReleaseRequest { consumers }).await.expect("released");
        }
    }
}

/// How long it took since it was due, and which instances have a host now.
async fn ask(channel: Channel, batch: usize, due: Instant) -> (Duration, Vec<String>) {
    let instances: Vec<String> = (0..batch).map(|_| new_instance()).collect();
    let request = v1::ScheduleRequest {
        instances: instances.clone(),
        size: Some(Size::Flavor(flavor())),
        project: "p".to_owned(),
        ..v1::ScheduleRequest::default()
    };
    SchedulerClient::new(channel).schedule(request).await.expect("the fleet has capacity");
    (due.elapsed(), instances)
}

/// A UUID that no run has had, if clocks go on.
pub(crate) fn new_instance() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970").as_millis();
    Uuid::from_u128(now << 64 | u128::from(NEXT.fetch_add(1, Ordering::Relaxed))).to_string()
}

pub(crate) fn flavor() -> v1::Flavor {
    v1::Flavor {
        name: "m1.small".to_owned(),
        vcpus: 1,
        memory_mb: 2048,
        root_gb: 20,
        ..v1::Flavor::default()
    }
}
