//! A service with its store, and agents on hypervisors that outlive them. Each is a process of its
//! own, as far as a runtime of its own can be one: when it is killed, nothing of it happens any
//! more, and only the store and the hypervisors are left.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::fleet_client::FleetClient;
use berth_compute_agent::agent::{self, Settings};
use berth_compute_agent::disks::{DiskServer, Peers};
use berth_compute_agent::{
    Facts, FakeHypervisor, FakeNetwork, FakeStorage, Found, Hypervisor, Offer, service,
};
use berth_server::{DataDir, DurabilityOptions, FleetOptions, Grpc, Keeper, ServiceOptions};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use crate::cut::Cut;
use crate::hypervisor::MortalAgent;
use crate::store::MortalStore;
use berth_system_tests::books::Books;

/// The limit of every wait. Everything happens at once, so a longer wait would not succeed either.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// After how long a host that is evacuated is down.
const SHORT: Duration = Duration::from_secs(1);

/// How long the threads of a process that is killed may take to notice.
const END: Duration = Duration::from_secs(10);

pub(crate) struct World {
    pub(crate) channel: Channel,
    pub(crate) commits: Arc<Cut>,
    pub(crate) calls: Arc<Cut>,
    pub(crate) machines: Vec<Machine>,
    data: TempDir,
    address: SocketAddr,
    serving: Option<Serving>,
    options: ServiceOptions,
}

struct Serving {
    runtime: Runtime,
    keeper: Keeper,
    cut: Arc<Cut>,
}

/// A host: what is on it, and its agent.
pub(crate) struct Machine {
    pub(crate) hypervisor: Arc<FakeHypervisor>,
    name: String,
    /// The port where its agent offers disks: the same in each life.
    disks: Arc<DiskServer>,
    running: Option<(Arc<MortalAgent>, Runtime)>,
    /// Makes the agent shut down gracefully.
    stop: Option<oneshot::Sender<()>>,
    is_off: bool,
}

impl World {
    /// As many hosts, the first of them the largest. To be called on a runtime. Hosts that may die
    /// share storage, and may be down for long.
    pub(crate) async fn new(hosts: u32, may_die: bool, share_storage: bool) -> Self {
        static WORLDS: AtomicU16 = AtomicU16::new(1);
        // An address of its own: no other program takes the port while the service is away.
        let [high, low] = WORLDS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let data = tempfile::tempdir().expect("a temporary directory");
        let (commits, calls) = (Arc::new(Cut::new()), Arc::new(Cut::new()));
        let any_port = SocketAddr::from((Ipv4Addr::new(127, 77, high, low), 0));
        let options = options(may_die);
        let (serving, address) = Serving::start(&data, any_port, options.clone(), Arc::clone(&commits));
        let channel = Endpoint::new(format!("http://{address}")).expect("a URL").connect_lazy();
        let mut machines: Vec<_> = (1..=hosts).map(Machine::new).collect();
        let network = FakeNetwork::default();
        machines.iter().for_each(|machine| network.add(&machine.name, &machine.hypervisor));
        if share_storage || may_die {
            let storage = FakeStorage::default();
            machines.iter().for_each(|machine| machine.hypervisor.share(&storage, Uuid::from_u128(5)));
        }
        machines.iter_mut().for_each(|machine| machine.start(address, Arc::clone(&calls)));
        Self { channel, commits, calls, machines, data, address, serving: Some(serving), options }
    }

    /// The first host loses its power. Its agent takes leave first, so that the service notices at
    /// once.
    pub(crate) async fn power_off(&mut self) {
        let machine = &mut self.machines[0];
        drop(machine.stop.take());
        let mut fleet = FleetClient::new(self.channel.clone());
        let start = Instant::now();
        loop {
            let wanted = v1::GetHostRequest { name: machine.name.clone() };
            if !fleet.get_host(wanted).await.expect("it is known").get_ref().is_up {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "the host stays up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        machine.kill();
        machine.hypervisor.lose_power();
        machine.is_off = true;
    }

    /// Waits until the service, which may have been started again, answers.
    pub(crate) async fn until_it_answers(&self) {
        let start = Instant::now();
        let mut fleet = FleetClient::new(self.channel.clone());
        while fleet.list_hosts(v1::ListHostsRequest::default()).await.is_err() {
            assert!(start.elapsed() < PATIENCE, "the service does not answer");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A host without power gets it back; returns whether there was one.
    pub(crate) fn power_on(&mut self) -> bool {
        let Some(machine) = self.machines.iter_mut().find(|machine| machine.is_off) else { return false };
        machine.is_off = false;
        machine.start(self.address, Arc::new(Cut::new()));
        true
    }

    /// The service that died at a commit starts again from what is durable.
    pub(crate) fn restart_service(&mut self) {
        self.serving.take().expect("it ran").kill();
        let (serving, _) =
            Serving::start(&self.data, self.address, self.options.clone(), Arc::new(Cut::new()));
        self.serving = Some(serving);
    }

    /// The agent that died at a call starts again on what the hypervisor has.
    pub(crate) fn restart_dead_agent(&mut self) {
        let is_dead =
            |machine: &&mut Machine| machine.running.as_ref().is_some_and(|(agent, _)| agent.is_dead());
        let machine = self.machines.iter_mut().find(is_dead).expect("one has died");
        machine.kill();
        machine.start(self.address, Arc::new(Cut::new()));
    }

    /// Waits until everything is at rest and all that is written down fits together.
    pub(crate) async fn rest(&self) -> Books {
        let start = Instant::now();
        loop {
            let wrong = match Books::read(&self.channel, self.guests().await).await {
                Ok(books) => match books.contradictions() {
                    wrong if wrong.is_empty() => return books,
                    wrong => wrong,
                },
                Err(status) => vec![status.to_string()],
            };
            assert!(start.elapsed() < PATIENCE, "it does not come to rest: {wrong:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn guests(&self) -> BTreeMap<String, Vec<Found>> {
        let mut guests = BTreeMap::new();
        for Machine { name, hypervisor, .. } in &self.machines {
            guests.insert(name.clone(), hypervisor.guests().await.expect("the hypervisor answers"));
        }
        guests
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.machines.iter_mut().for_each(Machine::kill);
        self.serving.take().into_iter().for_each(Serving::kill);
    }
}

fn options(hosts_go_down: bool) -> ServiceOptions {
    // No process is down for long, and no result may depend on how long it is down. A host that is
    // evacuated is: after a start of the service, that is certain when it has sent no heartbeat for
    // so long.
    let fleet = match hosts_go_down {
        true => FleetOptions { down_after: SHORT, heartbeat: SHORT / 10, ..FleetOptions::default() },
        false => FleetOptions { down_after: PATIENCE, ..FleetOptions::default() },
    };
    ServiceOptions { fleet, ..ServiceOptions::noauth2() }
}

fn process(threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("threads")
}

impl Serving {
    fn start(
        data: &TempDir,
        address: SocketAddr,
        options: ServiceOptions,
        cut: Arc<Cut>,
    ) -> (Self, SocketAddr) {
        let store_cut = Arc::clone(&cut);
        let mortal = move |store| Box::new(MortalStore::new(store, Arc::clone(&store_cut))) as _;
        let directory = DataDir::open(data.path()).expect("nobody else has it");
        let durability = DurabilityOptions { stepwise: true, ..DurabilityOptions::default() };
        let started = Keeper::start_through(directory, options, durability, mortal);
        let (service, keeper) = started.expect("what is durable is a state");
        let runtime = process(2);
        let (ready, bound) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let grpc = Grpc::bind(address, None, Arc::clone(&service)).await.expect("the port is free");
            ready.send(grpc.address().expect("it listens")).expect("somebody waits");
            tokio::join!(grpc.run(std::future::pending(), Duration::ZERO), service.run_fleet());
        });
        let address = bound.recv_timeout(PATIENCE).expect("it listens");
        (Self { runtime, keeper, cut }, address)
    }

    /// A dead service sends nothing any more. The cut ends first, because threads may wait for the
    /// next commit.
    fn kill(self) {
        self.cut.end();
        self.keeper.stop();
        kill(self.runtime);
    }
}

impl Machine {
    fn new(number: u32) -> Self {
        // Weighers prefer the larger ones.
        let memory_mb = 32_768 - 4096 * number;
        let facts = Facts::plain(Uuid::from_u128(0xa << 64 | u128::from(number)), 8, memory_mb, 100);
        let disks = Arc::new(DiskServer::bind(0, None).expect("a port"));
        let hypervisor = Arc::new(FakeHypervisor::new(facts));
        Self { name: format!("h{number}"), hypervisor, disks, running: None, stop: None, is_off: false }
    }

    fn start(&mut self, service: SocketAddr, cut: Arc<Cut>) {
        let settings = Settings {
            host: self.name.clone(),
            address: "127.0.0.1".to_owned(),
            offer: Offer::default(),
            shutdown_grace: PATIENCE,
            peers: Peers::default(),
            disks: Some(Arc::clone(&self.disks)),
            seed: 1,
        };
        let agent = Arc::new(MortalAgent::new(Arc::clone(&self.hypervisor), cut));
        let (stop, stopped) = oneshot::channel();
        let (runtime, mortal, url) = (process(1), Arc::clone(&agent), format!("http://{service}"));
        runtime.spawn(async move {
            let channel = service::channel(&url, None).expect("loopback");
            agent::run(mortal, settings, channel, async { drop(stopped.await) }).await;
        });
        self.stop = Some(stop);
        self.running = Some((agent, runtime));
    }

    fn kill(&mut self) {
        if let Some((_, runtime)) = self.running.take() {
            kill(runtime);
        }
    }
}

/// Ends all tasks of a process where they are. That blocks, so it is done on a thread that may.
fn kill(process: Runtime) {
    let ended = std::thread::spawn(move || process.shutdown_timeout(END)).join();
    ended.expect("no task panics when it is dropped");
}
