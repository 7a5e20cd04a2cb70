//! A service of the test's own, and clients of it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::fleet_client::FleetClient;
use berth_api::v1::instances_client::InstancesClient;
use berth_api::v1::scheduler_client::SchedulerClient;
use berth_api::v1::server_group::Policy;
use berth_scheduler::FilterName;
use berth_server::{DataDir, DurabilityOptions, FleetOptions, Grpc, Keeper, Service, ServiceOptions};
use berth_store::{EmbeddedStore, Store};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt;

use crate::scripted_agent::ScriptedAgent;

pub(crate) struct Cloud {
    pub(crate) fleet: FleetClient<Channel>,
    pub(crate) instances: InstancesClient<Channel>,
    pub(crate) scheduler: SchedulerClient<Channel>,
    pub(crate) channel: Channel,
    pub(crate) service: Arc<Service>,
    keeper: Option<Keeper>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

fn options() -> ServiceOptions {
    let second = Duration::from_secs(1);
    let scheduler = scheduler_options();
    let fleet =
        FleetOptions { heartbeat: second / 5, down_after: second, scheduler, ..FleetOptions::default() };
    ServiceOptions { fleet, ..ServiceOptions::noauth2() }
}

/// Nova's defaults, and a filter that looks at aggregates.
pub(crate) fn scheduler_options() -> berth_scheduler::Options {
    let mut options = berth_scheduler::Options::default();
    options.filter_scheduler.enabled_filters.push(FilterName::AggregateInstanceExtraSpecsFilter);
    options
}

impl Cloud {
    /// A service that keeps nothing.
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// A service that keeps nothing, with other options for its fleet.
    pub(crate) async fn with(change: impl FnOnce(&mut FleetOptions)) -> Self {
        let mut options = options();
        change(&mut options.fleet);
        Self::over(Arc::new(Service::new(options)), None).await
    }

    /// A service that keeps nothing, and fences hosts with this command.
    pub(crate) async fn fencing(command: Vec<String>) -> Self {
        let options = ServiceOptions { fence_command: command, ..options() };
        Self::over(Arc::new(Service::new(options)), None).await
    }

    /// A service that stores its state in the directory.
    pub(crate) async fn at(directory: &Path) -> Self {
        Self::at_with(directory, DurabilityOptions::default()).await
    }

    /// As [`Self::at`], with other options for its fleet.
    pub(crate) async fn at_of(directory: &Path, change: impl FnOnce(&mut FleetOptions)) -> Self {
        let mut options = options();
        change(&mut options.fleet);
        let data = DataDir::open(directory).unwrap();
        let (service, keeper) = Keeper::start(data, options, DurabilityOptions::default()).unwrap();
        Self::over(service, Some(keeper)).await
    }

    pub(crate) async fn at_with(directory: &Path, durability: DurabilityOptions) -> Self {
        let data = DataDir::open(directory).unwrap();
        let (service, keeper) = Keeper::start(data, options(), durability).unwrap();
        Self::over(service, Some(keeper)).await
    }

    /// As [`Self::at_with`], with something between the service and its store.
    pub(crate) async fn through(
        directory: &Path,
        durability: DurabilityOptions,
        through: impl Fn(EmbeddedStore) -> Box<dyn Store> + Send + 'static,
    ) -> Self {
        let data = DataDir::open(directory).unwrap();
        let (service, keeper) = Keeper::start_through(data, options(), durability, through).unwrap();
        Self::over(service, Some(keeper)).await
    }

    async fn over(service: Arc<Service>, keeper: Option<Keeper>) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let grpc = Grpc::bind(any_port, None, Arc::clone(&service)).await.unwrap();
        let address = grpc.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = grpc.run(async { drop(stopped.await) }, Duration::from_secs(5));
        let fleet = Arc::clone(&service).run_fleet();
        let task = tokio::spawn(async {
            tokio::select! {
                () = serving => {}
                () = fleet => unreachable!("it runs until it is dropped"),
            }
        });
        let channel = Endpoint::new(format!("http://{address}")).unwrap().connect().await.unwrap();
        Self {
            fleet: FleetClient::new(channel.clone()),
            instances: InstancesClient::new(channel.clone()),
            scheduler: SchedulerClient::new(channel.clone()),
            channel,
            service,
            keeper,
            stop: Some(stop),
            task,
        }
    }

    /// Ends the service in order.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.task).await.unwrap();
        if let Some(keeper) = self.keeper.take() {
            tokio::task::spawn_blocking(move || keeper.stop()).await.unwrap();
        }
    }

    /// The agent of a host, which has joined.
    pub(crate) async fn agent(&self, host: &str) -> ScriptedAgent {
        ScriptedAgent::join(self.channel.clone(), host).await
    }

    /// Hosts of 8 vCPUs and 8 GiB each, up and known to the scheduler.
    pub(crate) async fn hosts<const N: usize>(&mut self, names: [&str; N]) -> [ScriptedAgent; N] {
        let mut agents = Vec::new();
        for name in names {
            agents.push(ScriptedAgent::join(self.channel.clone(), name).await);
        }
        for name in names {
            self.until_host(name, |host| host.is_up && !host.inventories.is_empty()).await;
        }
        agents.try_into().unwrap_or_else(|_| unreachable!())
    }

    pub(crate) async fn until_host(&mut self, name: &str, is_so: impl Fn(&v1::Host) -> bool) -> v1::Host {
        for _ in 0..1000 {
            let wanted = v1::GetHostRequest { name: name.to_owned() };
            if let Ok(host) = self.fleet.get_host(wanted).await
                && is_so(host.get_ref())
            {
                return host.into_inner();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("host {name} does not become so")
    }

    /// Deletes a host as soon as its agent is gone.
    pub(crate) async fn until_deleted(&mut self, host: v1::DeleteHostRequest) {
        for _ in 0..1000 {
            match self.fleet.delete_host(host.clone()).await {
                Ok(_) => return,
                Err(refused) => assert_eq!(reason(&refused), "AGENT_CONNECTED"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the agent of {} stays connected", host.name)
    }

    pub(crate) async fn until(
        &mut self,
        instance: &str,
        is_so: impl Fn(&v1::Instance) -> bool,
    ) -> v1::Instance {
        let mut last = None;
        for _ in 0..1000 {
            last = self.instance(instance).await.ok();
            if let Some(found) = last.clone().filter(&is_so) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("instance {instance} does not become so: {last:?}")
    }

    pub(crate) async fn until_status(&mut self, instance: &str, status: &str) -> v1::Instance {
        self.until(instance, |found| found.status == status && found.task_state.is_empty()).await
    }

    pub(crate) async fn until_gone(&mut self, instance: &str) {
        for _ in 0..1000 {
            if self.instance(instance).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("instance {instance} stays: {:?}", self.instance(instance).await)
    }

    pub(crate) async fn instance(&mut self, instance: &str) -> Result<v1::Instance, Status> {
        self.instances.get(named(instance)).await.map(tonic::Response::into_inner)
    }

    /// A new server group; returns its UUID.
    pub(crate) async fn server_group(&mut self, name: &str, project: &str, policy: Policy) -> String {
        let wanted = v1::CreateServerGroupRequest {
            name: name.to_owned(),
            policy: policy.into(),
            project: project.to_owned(),
            ..v1::CreateServerGroupRequest::default()
        };
        self.fleet.create_server_group(wanted).await.unwrap().into_inner().uuid
    }

    pub(crate) async fn flavor(&mut self, name: &str, vcpus: u32, extra_specs: &[(&str, &str)]) {
        let extra_specs =
            extra_specs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let flavor = v1::Flavor {
            name: name.to_owned(),
            vcpus,
            memory_mb: 512,
            root_gb: 1,
            extra_specs,
            ..v1::Flavor::default()
        };
        self.fleet.create_flavor(v1::CreateFlavorRequest { flavor: Some(flavor) }).await.unwrap();
    }

    /// Makes one instance of a flavor; returns its UUID.
    pub(crate) async fn create(&mut self, name: &str, flavor: &str) -> String {
        let made = self.instances.create(creation(name, flavor)).await.unwrap().into_inner().instances;
        made.into_iter().next().unwrap().uuid
    }

    pub(crate) async fn events(&mut self, instance: &str) -> Vec<(String, String)> {
        let events = self.instances.list_events(named(instance)).await.unwrap().into_inner().events;
        events.into_iter().map(|event| (event.action, event.message)).collect()
    }

    /// vCPUs in use on the host.
    pub(crate) async fn used(&mut self, host: &str) -> u64 {
        let wanted = v1::GetHostRequest { name: host.to_owned() };
        self.fleet.get_host(wanted).await.unwrap().into_inner().usages["VCPU"]
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn creation(name: &str, flavor: &str) -> v1::CreateInstancesRequest {
    v1::CreateInstancesRequest {
        name: name.to_owned(),
        flavor: flavor.to_owned(),
        project: "p".to_owned(),
        user: "u".to_owned(),
        ..v1::CreateInstancesRequest::default()
    }
}

pub(crate) fn named(instance: &str) -> v1::InstanceRequest {
    v1::InstanceRequest { instance: instance.to_owned(), ..v1::InstanceRequest::default() }
}

/// The reason that a refusal gives to programs.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The fields that a refusal names.
pub(crate) fn fields(status: &Status) -> Vec<String> {
    let bad = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    bad.into_iter().map(|violation| violation.field).collect()
}
