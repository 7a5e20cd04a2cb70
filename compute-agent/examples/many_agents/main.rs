//! Measures what thousands of agents cost the service: joining, heartbeats, scheduling.
//!
//!     berth serve --data DIRECTORY &
//!     cargo run --release -p berth-compute-agent --no-default-features --example many_agents -- AGENTS SECONDS PID
//!
//! Each agent is the real one on a fake hypervisor, with its own connection to the service at
//! 127.0.0.1:8779, whose process ID is PID. Every scheduled instance is released again, so a run
//! can be repeated.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock and its arguments")]
#![allow(clippy::print_stdout, reason = "its result")]

mod guests;
mod latencies;
mod process;
mod requests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_api::v1;
use berth_api::v1::fleet_client::FleetClient;
use berth_api::v1::schedule_request::Size;
use berth_api::v1::scheduler_client::SchedulerClient;
use berth_compute_agent::agent::{Settings, run};
use berth_compute_agent::disks::Peers;
use berth_compute_agent::{Facts, FakeHypervisor, Offer, service};
use tokio::task::AbortHandle;
use tonic::transport::Channel;
use uuid::Uuid;

use latencies::Latencies;
use process::Process;
use requests::{Requests, flavor, new_instance};

const SERVICE: &str = "http://127.0.0.1:8779";

/// Connections of schedulers' clients.
const CONNECTIONS: usize = 8;

const GUESTS: usize = 500;
const NEWCOMERS: u32 = 20;

#[tokio::main]
async fn main() {
    let numbers: Vec<u32> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [agents, seconds, process] = numbers[..] else { panic!("give AGENTS SECONDS PID") };
    let (time, start) = (Duration::from_secs(seconds.into()), Instant::now());
    let before = Process::of(process);
    let mut running: Vec<AbortHandle> = (0..agents).map(start_agent).collect();
    until_up(agents).await;
    println!("{agents} agents up after {:.1?}", start.elapsed());
    before.print_since("joining", start);

    // The last surveys and heartbeats of the start.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let (idle, start) = (Process::of(process), Instant::now());
    tokio::time::sleep(time).await;
    idle.print_since("idle", start);

    for (clients, batch) in [(CONNECTIONS, 1), (64, 1), (CONNECTIONS, 50), (2, 500)] {
        let mut requests = Requests::new(channels(), batch);
        let (before, start) = (Process::of(process), Instant::now());
        let latencies = requests.by_clients(clients, time).await;
        let rate = (latencies.len() * batch) as f64 / start.elapsed().as_secs_f64();
        println!("schedule, {clients} at a time, batches of {batch}: {rate:.0} VMs/s, {latencies}");
        before.print_since("scheduling", start);
        let latencies = requests.at_rate(rate / 2.0, time).await;
        println!("  at half that rate: {latencies}");
        requests.release().await;
    }

    println!("from a request to a running guest: {}", guests::create(channel(), GUESTS).await);
    println!("from its start, an agent's host can be chosen after {}", newcomers(agents).await);

    let (before, start) = (Process::of(process), Instant::now());
    let mut requests = Requests::new(channels(), 1);
    let coming_and_going = async {
        let mut every = tokio::time::interval(Duration::from_millis(20));
        for agent in (0..agents).cycle() {
            every.tick().await;
            running[agent as usize].abort();
            running[agent as usize] = start_agent(agent);
        }
    };
    let latencies = tokio::select! {
        latencies = requests.at_rate(1_000.0, time) => latencies,
        () = coming_and_going => unreachable!("it does not end"),
    };
    println!("1,000 requests a second while 50 agents a second leave and come back: {latencies}");
    before.print_since("meanwhile", start);
    requests.release().await;
}

/// How long it takes until a new agent's host can be chosen.
async fn newcomers(agents: u32) -> Latencies {
    let mut scheduler = SchedulerClient::new(channel());
    let mut latencies = Vec::new();
    for number in agents..agents + NEWCOMERS {
        let start = Instant::now();
        start_agent(number);
        let request = v1::ScheduleRequest {
            instances: vec![new_instance()],
            size: Some(Size::Flavor(flavor())),
            project: "p".to_owned(),
            availability_zone: format!("nova:{}", host_name(number)),
            ..v1::ScheduleRequest::default()
        };
        while scheduler.select(request.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        latencies.push(start.elapsed());
    }
    Latencies::new(latencies)
}

fn start_agent(number: u32) -> AbortHandle {
    tokio::spawn(agent(number)).abort_handle()
}

fn host_name(number: u32) -> String {
    format!("host-{number:05}")
}

async fn agent(number: u32) {
    let host_uuid = Uuid::from_u128(0xbe_u128 << 120 | u128::from(number));
    let hypervisor = Arc::new(FakeHypervisor::new(Facts::plain(host_uuid, 64, 262_144, 10_000)));
    let settings = Settings {
        host: host_name(number),
        address: "127.0.0.1".to_owned(),
        offer: Offer::default(),
        shutdown_grace: Duration::from_secs(60),
        peers: Peers::default(),
        disks: None,
        seed: number.into(),
    };
    let channel = service::channel(SERVICE, None).expect("a good URL");
    run(hypervisor, settings, channel, std::future::pending()).await;
}

async fn until_up(agents: u32) {
    let mut fleet = FleetClient::new(channel());
    loop {
        let sums = fleet.get_statistics(v1::GetStatisticsRequest {}).await;
        if sums.is_ok_and(|sums| sums.get_ref().hosts_up >= agents) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn channel() -> Channel {
    service::channel(SERVICE, None).expect("a good URL")
}

fn channels() -> Vec<Channel> {
    (0..CONNECTIONS).map(|_| channel()).collect()
}
