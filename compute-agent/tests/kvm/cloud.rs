//! The real service before real hosts: from a request to a guest that states its identity.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::fleet_client::FleetClient;
use berth_api::v1::instances_client::InstancesClient;
use berth_scheduler::FilterName;
use berth_server::{DataDir, DurabilityOptions, FleetOptions, Grpc, Keeper, ServiceOptions};
use berth_test_support::process::without_settings;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use crate::host::{Host, pause};
use crate::lab::{CANARY, build_canary};

/// A service with its state on disk, and hosts whose agents are programs of their own.
pub(crate) struct Cloud {
    pub(crate) fleet: FleetClient<Channel>,
    pub(crate) instances: InstancesClient<Channel>,
    pub(crate) machines: Vec<Machine>,
    serving: Option<Serving>,
    address: SocketAddr,
    data: TempDir,
}

struct Serving {
    keeper: Keeper,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// A host and its agent.
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    pub(crate) host: Host,
    agent: Option<Child>,
    /// Further options of the agent.
    pub(crate) options: Vec<String>,
    /// The directory of the guests' disks.
    instances: PathBuf,
}

impl Machine {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.host.path(name)
    }

    /// The guests with disks in its directory, and what operations left there.
    pub(crate) fn directories(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.instances).expect("there");
        let names = entries.map(|entry| entry.expect("there").file_name().to_string_lossy().into_owned());
        names.filter(|name| name != ".berth-storage").collect()
    }

    pub(crate) fn start_agent(&mut self, service: SocketAddr) {
        let mut agent = without_settings(Command::new(env!("CARGO_BIN_EXE_berth-agent")));
        for directory in ["images", "state"] {
            agent.arg(format!("--{directory}")).arg(self.path(directory));
        }
        agent.arg("--instances").arg(&self.instances);
        let url = format!("http://{service}");
        agent.args(["--service", &url, "--libvirt-uri", &self.host.uri(), "--host-name", self.name]);
        agent.args(["--migration-uri", &self.host.uri()]);
        // Twenty guests on a machine with two cores.
        agent.args(["--cpu-allocation-ratio", "16"]).args(&self.options);
        self.agent = Some(agent.spawn().expect("it starts"));
    }

    /// Kills the agent.
    pub(crate) fn kill_agent(&mut self) {
        let mut agent = self.agent.take().expect("it runs");
        agent.kill().expect("it runs");
        agent.wait().expect("it ends");
    }

    pub(crate) fn console(&self, instance: &str) -> String {
        let log = self.instances.join(instance).join("console.log");
        String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(agent) = &mut self.agent {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

impl Cloud {
    pub(crate) async fn new(names: &[&'static str]) -> Self {
        Self::with(names, None).await
    }

    /// Hosts that share this directory for the disks of guests.
    pub(crate) async fn sharing(names: &[&'static str], instances: &Path) -> Self {
        Self::with(names, Some(instances)).await
    }

    async fn with(names: &[&'static str], instances: Option<&Path>) -> Self {
        let data = TempDir::new().expect("a directory");
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let (serving, address) = serve(&data, any_port).await;
        let channel = Endpoint::new(format!("http://{address}")).expect("a URL").connect_lazy();
        let machines = names.iter().map(|name| machine(name, instances)).collect();
        let mut cloud = Self {
            fleet: FleetClient::new(channel.clone()),
            instances: InstancesClient::new(channel),
            machines,
            serving: Some(serving),
            address,
            data,
        };
        for number in 0..cloud.machines.len() {
            cloud.machines[number].start_agent(address);
        }
        for name in names {
            cloud.until_host(name, |host| host.is_up && !host.inventories.is_empty()).await;
        }
        cloud.flavor("tiny", &[]).await;
        cloud
    }

    /// Ends the service as a crash of its process does for its clients, and starts it again on the
    /// same directory.
    pub(crate) async fn restart_service(&mut self) {
        self.stop_service().await;
        let (serving, _) = serve(&self.data, self.address).await;
        self.serving = Some(serving);
    }

    async fn stop_service(&mut self) {
        let Serving { keeper, stop, task } = self.serving.take().expect("it runs");
        drop(stop);
        task.await.expect("it ends");
        tokio::task::spawn_blocking(move || keeper.stop()).await.expect("it ends");
    }

    pub(crate) async fn end(mut self) {
        self.machines.clear();
        self.stop_service().await;
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn machine(&mut self, name: &str) -> &mut Machine {
        self.machines.iter_mut().find(|machine| machine.name == name).expect("a machine of this name")
    }

    pub(crate) async fn flavor(&mut self, name: &str, extra_specs: &[(&str, &str)]) {
        let extra_specs =
            extra_specs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let flavor = v1::Flavor {
            name: name.to_owned(),
            vcpus: 1,
            memory_mb: 16,
            extra_specs,
            ..v1::Flavor::default()
        };
        self.fleet.create_flavor(v1::CreateFlavorRequest { flavor: Some(flavor) }).await.expect("made");
    }

    /// A flavor with a root disk, which is empty for a guest that boots its ROM.
    pub(crate) async fn flavor_with_disk(&mut self, name: &str, root_gb: u32) {
        let flavor =
            v1::Flavor { name: name.to_owned(), vcpus: 1, memory_mb: 16, root_gb, ..v1::Flavor::default() };
        self.fleet.create_flavor(v1::CreateFlavorRequest { flavor: Some(flavor) }).await.expect("made");
    }

    pub(crate) async fn create(&mut self, wanted: v1::CreateInstancesRequest) -> Vec<v1::Instance> {
        self.instances.create(wanted).await.expect("made").into_inner().instances
    }

    pub(crate) async fn until_host(&mut self, name: &str, is_so: impl Fn(&v1::Host) -> bool) -> v1::Host {
        let mut last = None;
        for _ in 0..600 {
            let found = self.fleet.get_host(v1::GetHostRequest { name: name.to_owned() }).await;
            last = found.ok().map(tonic::Response::into_inner);
            if let Some(host) = last.clone().filter(&is_so) {
                return host;
            }
            rest().await;
        }
        panic!("host {name} does not become so: {last:?}")
    }

    /// Waits until the instance has the status and nothing is being done.
    pub(crate) async fn until(&mut self, instance: &str, status: &str) -> v1::Instance {
        let mut last = None;
        for _ in 0..1200 {
            last = self.instances.get(named(instance)).await.ok().map(tonic::Response::into_inner);
            let is_so = |found: &v1::Instance| found.status == status && found.task_state.is_empty();
            if let Some(found) = last.clone().filter(is_so) {
                return found;
            }
            rest().await;
        }
        panic!("instance {instance} does not become {status}: {last:?}")
    }

    /// Waits until the instance has the status and its guest the power state.
    pub(crate) async fn until_power(&mut self, instance: &str, status: &str, power: &str) -> v1::Instance {
        let mut last = None;
        for _ in 0..1200 {
            last = self.instances.get(named(instance)).await.ok().map(tonic::Response::into_inner);
            let is_so = |found: &v1::Instance| {
                (found.status.as_str(), found.power_state.as_str()) == (status, power)
                    && found.task_state.is_empty()
            };
            if let Some(found) = last.clone().filter(is_so) {
                return found;
            }
            rest().await;
        }
        panic!("instance {instance} does not become {status} and {power}: {last:?}")
    }

    pub(crate) async fn until_gone(&mut self, instance: &str) {
        for _ in 0..1200 {
            if self.instances.get(named(instance)).await.is_err() {
                return;
            }
            rest().await;
        }
        panic!("instance {instance} stays")
    }

    /// Waits until the guest has said something so many times.
    pub(crate) async fn until_said(&mut self, host: &str, instance: &str, what: &str, times: usize) {
        for _ in 0..600 {
            if self.machine(host).console(instance).matches(what).count() >= times {
                return;
            }
            rest().await;
        }
        panic!("{what:?} was not said {times} times: {}", self.machine(host).console(instance));
    }

    /// What the host's VCPU inventory has in use, and the guests that libvirt knows there.
    pub(crate) async fn books(&mut self, host: &str) -> (u64, usize) {
        let found = self.fleet.get_host(v1::GetHostRequest { name: host.to_owned() }).await.expect("known");
        let guests = self.machine(host).host.virsh(&["list", "--all", "--uuid"]);
        (found.into_inner().usages["VCPU"], guests.split_whitespace().count())
    }
}

async fn serve(data: &TempDir, address: SocketAddr) -> (Serving, SocketAddr) {
    let second = Duration::from_secs(1);
    let mut fleet = FleetOptions {
        heartbeat: second,
        down_after: 5 * second,
        allow_resize_to_same_host: true,
        ..FleetOptions::default()
    };
    fleet.scheduler.filter_scheduler.enabled_filters.push(FilterName::AggregateInstanceExtraSpecsFilter);
    let options = ServiceOptions { fleet, ..ServiceOptions::noauth2() };
    let directory = DataDir::open(data.path()).expect("a directory");
    let (service, keeper) =
        Keeper::start(directory, options, DurabilityOptions::default()).expect("it starts");
    let grpc = Grpc::bind(address, None, Arc::clone(&service)).await.expect("a port");
    let address = grpc.address().expect("bound");
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        tokio::select! {
            () = grpc.run(async { drop(stopped.await) }, second) => {}
            () = service.run_fleet() => unreachable!("it runs until it is dropped"),
        }
    });
    (Serving { keeper, stop, task }, address)
}

fn machine(name: &'static str, instances: Option<&Path>) -> Machine {
    let host = Host::start(name, Uuid::new_v5(&Uuid::NAMESPACE_DNS, name.as_bytes()));
    for directory in ["images", "state"] {
        fs::create_dir(host.path(directory)).expect("a directory");
    }
    build_canary(&host.path("images"));
    let instances = instances.map_or_else(|| host.path("instances"), Path::to_owned);
    Machine { name, host, agent: None, options: Vec::new(), instances }
}

pub(crate) fn canary(name: &str, flavor: &str) -> v1::CreateInstancesRequest {
    let properties = [("firmware".to_owned(), CANARY.to_owned())].into();
    v1::CreateInstancesRequest {
        name: name.to_owned(),
        flavor: flavor.to_owned(),
        image: Some(v1::Image { name: CANARY.to_owned(), properties }),
        project: "p".to_owned(),
        ..v1::CreateInstancesRequest::default()
    }
}

pub(crate) fn named(instance: &str) -> v1::InstanceRequest {
    v1::InstanceRequest { instance: instance.to_owned(), ..v1::InstanceRequest::default() }
}

pub(crate) async fn rest() {
    tokio::task::spawn_blocking(pause).await.expect("rested");
}
