//! Kills processes of `berth serve --data` and of agents repeatedly, while clients create, change
//! and delete instances. After each cycle, when nothing is in progress any more, the books must
//! agree: instances, allocations, the actual guests ([`berth_system_tests::books`]), and the
//! responses of the clients.
//!
//! `cargo xtask crash-test --agents` runs many cycles. The agents are this program, started with
//! other arguments, so it has its own `main`.
#![allow(clippy::disallowed_methods, reason = "kills real processes at real times")]

mod agent;
mod client;
mod processes;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use berth_api::v1;
use berth_api::v1::fleet_client::FleetClient;
use berth_compute_agent::{FakeHypervisor, Hypervisor};
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::client::Client;
use crate::processes::{Process, guests_of};
use berth_system_tests::books::Books;
use berth_system_tests::crash_run::CrashRun;

/// Cycles unless more are requested.
const FEW: u64 = 4;

const HOSTS: [&str; 4] = ["h1", "h2", "h3", "h4"];

/// How long everything may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[1..] {
        [role, host, url, directory] if role == "agent" => agent::run(host, url, directory),
        _ => cycles(),
    }
}

#[tokio::main]
async fn cycles() {
    let CrashRun { cycles, seed } = CrashRun::requested_or(FEW);
    let directory = TempDir::new().expect("a temporary directory");
    let mut cloud = Cloud::begin(directory.path(), seed).await;
    for cycle in 1..=cycles {
        cloud.cycle().await;
        if cycle % 10 == 0 || cycle == cycles {
            eprintln!("{cycle} of {cycles} cycles: {}", cloud.figures());
        }
    }
    assert!(cloud.clients.iter().all(|client| client.tally.answers > 0), "somebody was never answered");
    assert!(cloud.clients.iter().any(|client| client.tally.running > 0), "no guest has ever run");
}

struct Cloud {
    directory: PathBuf,
    channel: Channel,
    /// The service is the first.
    processes: Vec<Process>,
    clients: [Client; 4],
    rng: ChaCha8Rng,
    kills: [u64; 2],
    longest: Duration,
}

impl Cloud {
    async fn begin(directory: &Path, seed: u64) -> Self {
        let address = processes::address();
        let mut processes = vec![processes::service(directory, address)];
        processes.extend(HOSTS.map(|host| processes::agent(directory, host, address)));
        processes.iter_mut().for_each(Process::start);
        let channel = Endpoint::new(format!("http://{address}")).expect("a URL").connect_lazy();
        let flavor = v1::Flavor {
            name: "small".to_owned(),
            vcpus: 1,
            memory_mb: 256,
            root_gb: 1,
            ..v1::Flavor::default()
        };
        let mut fleet = FleetClient::new(channel.clone());
        let wanted = v1::CreateFlavorRequest { flavor: Some(flavor) };
        let start = Instant::now();
        while let Err(status) = fleet.create_flavor(wanted.clone()).await {
            assert!(
                start.elapsed() < PATIENCE,
                "the service does not start: {status}\n{}",
                processes[0].said()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let clients = [1, 2, 3, 4].map(|number| Client::new(number, seed, &channel));
        let (rng, kills, longest) = (ChaCha8Rng::seed_from_u64(seed), [0; 2], Duration::ZERO);
        let mut cloud =
            Self { directory: directory.to_owned(), channel, processes, clients, rng, kills, longest };
        cloud.rest().await;
        cloud
    }

    /// Clients are at it while somebody is killed and started again; then all is looked at.
    async fn cycle(&mut self) {
        let stop = AtomicBool::new(false);
        let Self { processes, clients, rng, kills, .. } = self;
        let [a, b, c, d] = clients;
        let asking = async { tokio::join!(a.run(&stop), b.run(&stop), c.run(&stop), d.run(&stop)) };
        let killing = async {
            for _ in 0..rng.random_range(1..=3) {
                tokio::time::sleep(Duration::from_millis(rng.random_range(1..400))).await;
                let is_service = rng.random_bool(0.5);
                let victims = if is_service { 0..1 } else { 1..processes.len() };
                let victim = victims.choose(rng).expect("there are some");
                processes[victim].kill();
                kills[usize::from(!is_service)] += 1;
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..100))).await;
                processes[victim].start();
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(1..300))).await;
            stop.store(true, Ordering::Relaxed);
        };
        tokio::join!(asking, killing);
        self.rest().await;
    }

    /// Waits until everything is at rest, and checks it.
    async fn rest(&mut self) {
        let start = Instant::now();
        let [a, b, c, d] = &mut self.clients;
        let answers = async { tokio::join!(a.finish(), b.finish(), c.finish(), d.finish()) };
        if tokio::time::timeout(PATIENCE, answers).await.is_err() {
            self.fail("what is asked for is not answered");
        }
        let books = loop {
            let wrong = match Books::read(&self.channel, self.guests().await).await {
                Ok(books) => match books.contradictions() {
                    wrong if wrong.is_empty() => break books,
                    wrong => wrong,
                },
                Err(status) => vec![status.to_string()],
            };
            if start.elapsed() > PATIENCE {
                self.fail(&format!("it does not come to rest: {wrong:#?}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        self.longest = self.longest.max(start.elapsed());
        let known: BTreeSet<String> =
            self.clients.iter().flat_map(|client| client.tally.instances.keys().cloned()).collect();
        let unknown = books.instances.iter().filter(|instance| !known.contains(&instance.uuid));
        let mut wrong: Vec<String> = unknown
            .map(|instance| format!("nobody has asked for {} {}", instance.name, instance.uuid))
            .collect();
        wrong.extend(self.clients.iter_mut().flat_map(|client| client.tally.settle(&books)));
        if !wrong.is_empty() {
            self.fail(&format!("{wrong:#?}"));
        }
    }

    async fn guests(&self) -> BTreeMap<String, Vec<berth_compute_agent::Found>> {
        let mut guests = BTreeMap::new();
        for host in HOSTS {
            let directory = guests_of(&self.directory, host);
            let hypervisor = FakeHypervisor::open(directory, agent::facts(host)).expect("guests");
            guests.insert(host.to_owned(), hypervisor.guests().await.expect("the hypervisor answers"));
        }
        guests
    }

    fn fail(&self, what: &str) -> ! {
        for process in &self.processes {
            eprintln!("{}:\n{}", process.name, process.said());
        }
        panic!("{what}");
    }

    fn figures(&self) -> String {
        let answers: u64 = self.clients.iter().map(|client| client.tally.answers).sum();
        let instances: usize = self.clients.iter().map(|client| client.tally.instances.len()).sum();
        let moved: u64 = self.clients.iter().map(|client| client.tally.moved).sum();
        let ([service, agents], longest) = (self.kills, self.longest.as_secs_f64());
        format!(
            "service killed {service} times, agents {agents}; {answers} answers checked, {instances} instances, {moved} moves seen, at rest after {longest:.1} s at most"
        )
    }
}
