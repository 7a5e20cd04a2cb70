//! A service of canned answers.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::net::TcpListener;
use std::path::Path;
use std::pin::Pin;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use berth_api::v1::fleet_server::{Fleet, FleetServer};
use berth_api::v1::instances_server::{Instances, InstancesServer};
use berth_api::v1::scheduler_server::{Scheduler, SchedulerServer};
use berth_api::v1::*;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

/// The service, and what it was asked.
pub(crate) struct Fake {
    pub(crate) url: String,
    book: Book,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Default)]
struct Book(Arc<Mutex<Pages>>);

type Anything = Box<dyn Any + Send>;

#[derive(Default)]
struct Pages {
    asked: BTreeMap<&'static str, VecDeque<Anything>>,
    answers: BTreeMap<&'static str, VecDeque<Result<Anything, Status>>>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        Self::serve("http", Server::builder())
    }

    /// With the certificate `berth` of a directory, for callers with one of its authority.
    pub(crate) fn with_certificates(pki: &Path) -> Self {
        let read = |name: &str| std::fs::read(pki.join(name)).unwrap();
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(read("berth.pem"), read("berth-key.pem")))
            .client_ca_root(Certificate::from_pem(read("ca.pem")));
        Self::serve("https", Server::builder().tls_config(tls).unwrap())
    }

    fn serve(scheme: &str, mut server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let book = Book::default();
        let (stop, stopped) = oneshot::channel::<()>();
        let services = book.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).unwrap());
                let serving = server
                    .add_service(FleetServer::new(services.clone()))
                    .add_service(InstancesServer::new(services.clone()))
                    .add_service(SchedulerServer::new(services))
                    .serve_with_incoming(incoming);
                tokio::select! {
                    ended = serving => ended.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { url, book, stop: Some(stop), thread: Some(thread) }
    }

    /// Prepares the next answer of a method. Watch answers with a [`Watched`].
    pub(crate) fn answers<A: Send + 'static>(&self, method: &'static str, answer: A) -> &Self {
        self.prepare(method, Ok(Box::new(answer)))
    }

    pub(crate) fn refuses(&self, method: &'static str, status: Status) -> &Self {
        self.prepare(method, Err(status))
    }

    fn prepare(&self, method: &'static str, answer: Result<Anything, Status>) -> &Self {
        self.book.0.lock().unwrap().answers.entry(method).or_default().push_back(answer);
        self
    }

    /// The next request that a method was called with.
    #[track_caller]
    pub(crate) fn asked<T: 'static>(&self, method: &str) -> T {
        let mut pages = self.book.0.lock().unwrap();
        let request = pages.asked.get_mut(method).and_then(VecDeque::pop_front);
        let request = request.unwrap_or_else(|| panic!("{method} was not called again"));
        *request.downcast().expect("the method's type of request")
    }

    /// Whether a method was called and its request not looked at.
    pub(crate) fn was_asked(&self, method: &str) -> bool {
        self.book.0.lock().unwrap().asked.get(method).is_some_and(|asked| !asked.is_empty())
    }

    /// Runs a command for this service.
    pub(crate) fn run(&self, line: &str) -> Output {
        let arguments = line.split_whitespace().chain(["--service", &self.url]);
        super::super::run(Path::new("."), arguments)
    }

    #[track_caller]
    pub(crate) fn succeed(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "berth {line}: {}", super::super::stderr(&output));
        super::super::stdout(&output)
    }

    #[track_caller]
    pub(crate) fn fail(&self, code: i32, line: &str) -> String {
        let output = self.run(line);
        let message = super::super::stderr(&output);
        assert_eq!(output.status.code(), Some(code), "berth {line}: {message}");
        message
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(())); // it may have ended by itself
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Book {
    fn reply<T: Send + 'static, A: 'static>(
        &self,
        method: &'static str,
        request: Request<T>,
    ) -> Result<Response<A>, Status> {
        let mut pages = self.0.lock().unwrap();
        pages.asked.entry(method).or_default().push_back(Box::new(request.into_inner()));
        let answer = pages.answers.get_mut(method).and_then(VecDeque::pop_front);
        let answer =
            answer.unwrap_or_else(|| Err(Status::internal(format!("{method}: no answer is left"))))?;
        Ok(Response::new(*answer.downcast().expect("the method's type of answer")))
    }
}

/// The instances that a watch sends, and whether it ends then.
pub(crate) struct Watched {
    pub(crate) shown: Vec<Instance>,
    pub(crate) ends: bool,
}

macro_rules! service {
    ($service:ident { $($name:ident $method:literal: $request:ty => $answer:ty,)* } $($rest:tt)*) => {
        #[tonic::async_trait]
        impl $service for Book {
            $(async fn $name(&self, request: Request<$request>) -> Result<Response<$answer>, Status> {
                self.reply($method, request)
            })*
            $($rest)*
        }
    };
}

service!(Fleet {
    list_hosts "ListHosts": ListHostsRequest => ListHostsResponse,
    get_host "GetHost": GetHostRequest => Host,
    fence_host "FenceHost": FenceHostRequest => Host,
    evacuate_host "EvacuateHost": EvacuateHostRequest => HostEvacuation,
    get_host_evacuation "GetHostEvacuation": GetHostEvacuationRequest => HostEvacuation,
    approve_host "ApproveHost": ApproveHostRequest => Host,
    set_host "SetHost": SetHostRequest => Host,
    delete_host "DeleteHost": DeleteHostRequest => DeleteHostResponse,
    get_statistics "GetStatistics": GetStatisticsRequest => Statistics,
    list_aggregates "ListAggregates": ListAggregatesRequest => ListAggregatesResponse,
    get_aggregate "GetAggregate": GetAggregateRequest => Aggregate,
    create_aggregate "CreateAggregate": CreateAggregateRequest => Aggregate,
    update_aggregate "UpdateAggregate": UpdateAggregateRequest => Aggregate,
    delete_aggregate "DeleteAggregate": DeleteAggregateRequest => DeleteAggregateResponse,
    list_zones "ListZones": ListZonesRequest => ListZonesResponse,
    list_flavors "ListFlavors": ListFlavorsRequest => ListFlavorsResponse,
    get_flavor "GetFlavor": GetFlavorRequest => Flavor,
    create_flavor "CreateFlavor": CreateFlavorRequest => Flavor,
    delete_flavor "DeleteFlavor": DeleteFlavorRequest => DeleteFlavorResponse,
    list_server_groups "ListServerGroups": ListServerGroupsRequest => ListServerGroupsResponse,
    get_server_group "GetServerGroup": GetServerGroupRequest => ServerGroup,
    create_server_group "CreateServerGroup": CreateServerGroupRequest => ServerGroup,
    delete_server_group "DeleteServerGroup": DeleteServerGroupRequest => DeleteServerGroupResponse,
    list_key_pairs "ListKeyPairs": ListKeyPairsRequest => ListKeyPairsResponse,
    get_key_pair "GetKeyPair": GetKeyPairRequest => KeyPair,
    create_key_pair "CreateKeyPair": CreateKeyPairRequest => KeyPair,
    delete_key_pair "DeleteKeyPair": DeleteKeyPairRequest => DeleteKeyPairResponse,
    get_quota "GetQuota": GetQuotaRequest => Quota,
    set_quota "SetQuota": SetQuotaRequest => Quota,
});

service!(Instances {
    create "Create": CreateInstancesRequest => CreateInstancesResponse,
    delete "Delete": InstanceRequest => DeleteInstanceResponse,
    start "Start": InstanceRequest => Instance,
    stop "Stop": InstanceRequest => Instance,
    reboot "Reboot": RebootRequest => Instance,
    pause "Pause": InstanceRequest => Instance,
    unpause "Unpause": InstanceRequest => Instance,
    suspend "Suspend": InstanceRequest => Instance,
    resume "Resume": InstanceRequest => Instance,
    shelve "Shelve": InstanceRequest => Instance,
    unshelve "Unshelve": InstanceRequest => Instance,
    rescue "Rescue": RescueInstanceRequest => Instance,
    unrescue "Unrescue": InstanceRequest => Instance,
    rebuild "Rebuild": RebuildInstanceRequest => Instance,
    resize "Resize": ResizeInstanceRequest => Instance,
    migrate "Migrate": MigrateInstanceRequest => Instance,
    live_migrate "LiveMigrate": LiveMigrateInstanceRequest => Instance,
    abort_migration "AbortMigration": GetMigrationRequest => Migration,
    force_complete_migration "ForceCompleteMigration": GetMigrationRequest => Migration,
    evacuate "Evacuate": EvacuateInstanceRequest => Instance,
    confirm_resize "ConfirmResize": InstanceRequest => Instance,
    revert_resize "RevertResize": InstanceRequest => Instance,
    list_migrations "ListMigrations": ListMigrationsRequest => ListMigrationsResponse,
    get_migration "GetMigration": GetMigrationRequest => Migration,
    lock "Lock": LockRequest => Instance,
    unlock "Unlock": InstanceRequest => Instance,
    get "Get": InstanceRequest => Instance,
    list "List": ListInstancesRequest => ListInstancesResponse,
    list_events "ListEvents": InstanceRequest => ListEventsResponse,
    get_console_log "GetConsoleLog": GetConsoleLogRequest => ConsoleLog,
}
    type WatchStream = Pin<Box<dyn Stream<Item = Result<Instance, Status>> + Send>>;

    async fn watch(&self, request: Request<WatchInstancesRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let Watched { shown, ends } = self.reply("Watch", request)?.into_inner();
        let shown = tokio_stream::iter(shown.into_iter().map(Ok));
        Ok(Response::new(if ends { Box::pin(shown) } else { Box::pin(shown.chain(tokio_stream::pending())) }))
    }
);

service!(Scheduler {
    select "Select": ScheduleRequest => ScheduleResponse,
    schedule "Schedule": ScheduleRequest => ScheduleResponse,
    explain "Explain": ExplainRequest => ExplainResponse,
    list_requests "ListRequests": ListRequestsRequest => ListRequestsResponse,
}
    type ScheduleStreamStream = Pin<Box<dyn Stream<Item = Result<TaggedScheduleResponse, Status>> + Send>>;

    async fn schedule_stream(
        &self,
        _: Request<Streaming<TaggedScheduleRequest>>,
    ) -> Result<Response<Self::ScheduleStreamStream>, Status> {
        Err(Status::internal("no command streams"))
    }
);
