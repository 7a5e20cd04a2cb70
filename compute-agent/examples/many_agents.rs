//! Thousands of agents on one service, and what it costs the service: joining, being there, deciding.
//!
//!     berth serve --data FOLDER &
//!     cargo run --release -p berth-compute-agent --no-default-features --example many_agents -- AGENTS SECONDS PID
//!
//! Each agent is the real one over a hypervisor in memory, with a connection of its own to the service at 127.0.0.1:8779, whose process
//! is PID. Every instance that is scheduled is released again, so a run can be repeated.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock and its arguments")]
#![allow(clippy::print_stdout, reason = "its result")]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_api::v1;
use berth_api::v1::fleet_client::FleetClient;
use berth_api::v1::placement_client::PlacementClient;
use berth_api::v1::schedule_request::Size;
use berth_api::v1::scheduler_client::SchedulerClient;
use berth_compute_agent::agent::{Settings, run};
use berth_compute_agent::{Facts, FakeHypervisor, Offer, service};
use tokio::task::JoinSet;
use tonic::transport::Channel;
use uuid::Uuid;

const SERVICE: &str = "http://127.0.0.1:8779";

/// Connections of schedulers' clients.
const CONNECTIONS: usize = 8;

#[tokio::main]
async fn main() {
    let numbers: Vec<u32> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [agents, seconds, process] = numbers[..] else { panic!("give AGENTS SECONDS PID") };
    let time = Duration::from_secs(seconds.into());
    let start = Instant::now();
    let before = Process::of(process);
    let mut joined = JoinSet::new();
    for number in 0..agents {
        joined.spawn(agent(number));
    }
    until_up(agents).await;
    println!("{agents} agents up after {:.1?}", start.elapsed());
    Process::of(process).tell("joining", &before, start.elapsed());

    // Those that were begun meanwhile.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let (idle, start) = (Process::of(process), Instant::now());
    tokio::time::sleep(time).await;
    Process::of(process).tell("idle", &idle, start.elapsed());

    for (tasks, batch) in [(CONNECTIONS, 1), (64, 1), (CONNECTIONS, 50), (2, 500)] {
        let (before, start) = (Process::of(process), Instant::now());
        let mut latencies = schedule(tasks, batch, time).await;
        let took = start.elapsed();
        latencies.sort_unstable();
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
        let rate = (latencies.len() * batch) as f64 / took.as_secs_f64();
        println!(
            "schedule, {tasks} at a time, batches of {batch}: {rate:.0} VMs/s, p50 {:.2?}, p99 {:.2?}",
            at(0.5),
            at(0.99)
        );
        Process::of(process).tell("scheduling", &before, took);
    }
}

async fn agent(number: u32) {
    let host_uuid = Uuid::from_u128(0xbe_u128 << 120 | u128::from(number));
    let hypervisor = Arc::new(FakeHypervisor::new(Facts::plain(host_uuid, 64, 262_144, 10_000)));
    let settings = Settings {
        host: format!("host-{number:05}"),
        address: "127.0.0.1".to_owned(),
        offer: Offer::default(),
        shutdown_grace: Duration::from_secs(60),
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

/// How long each request took. So many clients ask one after the other, and release what they were given.
async fn schedule(tasks: usize, batch: usize, time: Duration) -> Vec<Duration> {
    let channels: Vec<Channel> = (0..CONNECTIONS.min(tasks)).map(|_| channel()).collect();
    let mut asking = JoinSet::new();
    for task in 0..tasks {
        let channel = channels[task % channels.len()].clone();
        asking.spawn(ask(channel, task, batch, time));
    }
    let mut all = Vec::new();
    let mut given = Vec::new();
    while let Some(asked) = asking.join_next().await {
        let (latencies, instances) = asked.expect("it ends");
        all.extend(latencies);
        given.extend(instances);
    }
    let mut placement = PlacementClient::new(channels[0].clone());
    for consumers in given.chunks(5_000) {
        let consumers = consumers.to_vec();
        placement.release(v1::ReleaseRequest { consumers }).await.expect("released");
    }
    all
}

async fn ask(channel: Channel, task: usize, batch: usize, time: Duration) -> (Vec<Duration>, Vec<String>) {
    let mut scheduler = SchedulerClient::new(channel);
    let (mut latencies, mut given) = (Vec::new(), Vec::new());
    let end = Instant::now() + time;
    let flavor = v1::Flavor {
        name: "m1.small".to_owned(),
        vcpus: 1,
        memory_mb: 2048,
        root_gb: 20,
        ..v1::Flavor::default()
    };
    for number in 0.. {
        let start = Instant::now();
        if start >= end {
            break;
        }
        let instance = |place: usize| {
            let number = (task as u128) << 64 | (number as u128) << 16 | place as u128;
            Uuid::from_u128(0xc << 124 | (batch as u128) << 96 | number).to_string()
        };
        let instances: Vec<String> = (0..batch).map(instance).collect();
        given.extend(instances.iter().cloned());
        let request = v1::ScheduleRequest {
            instances,
            size: Some(Size::Flavor(flavor.clone())),
            project: "p".to_owned(),
            ..v1::ScheduleRequest::default()
        };
        scheduler.schedule(request).await.expect("there is room");
        latencies.push(start.elapsed());
    }
    (latencies, given)
}

/// What the kernel says of a process.
struct Process {
    /// Seconds of processor time.
    cpu: f64,
    resident_mb: u64,
}

impl Process {
    fn of(process: u32) -> Self {
        // A hundredth of a second, on every Linux of today.
        const TICK: f64 = 0.01;
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the service runs");
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields[place].parse::<f64>().expect("a number");
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the service runs");
        let resident =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let resident_kb: u64 = resident.and_then(|kb| kb.trim().parse().ok()).expect("a number");
        Self { cpu: (ticks(11) + ticks(12)) * TICK, resident_mb: resident_kb / 1024 }
    }

    fn tell(&self, what: &str, before: &Self, took: Duration) {
        let share = 100.0 * (self.cpu - before.cpu) / took.as_secs_f64();
        println!("  the service, {what}: {share:.1} % of one core, {} MiB", self.resident_mb);
    }
}
