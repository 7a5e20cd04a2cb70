//! A stub of the service: it records the messages of agents and sends the desired states of a test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use berth_api::v1::agent_message::Message;
use berth_api::v1::agents_server::{Agents, AgentsServer};
use berth_api::v1::desired_guest::Goal;
use berth_api::v1::guest_report::State;
use berth_api::v1::{self, AgentMessage, DesiredGuest, GuestReport, ServiceMessage, service_message};
use berth_compute_agent::agent::{self, Settings};
use berth_compute_agent::disks::{DiskServer, Peers};
use berth_compute_agent::service::{self, Certificates};
use berth_compute_agent::{Hypervisor, Offer};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

pub const HEARTBEAT_MS: u32 = 50;
const PATIENCE: Duration = Duration::from_secs(60);

type Outgoing = mpsc::Sender<Result<ServiceMessage, Status>>;

/// The messages that the service has received.
#[derive(Default)]
pub struct Known {
    /// All messages, in order, with the number of their stream.
    pub received: Vec<(usize, Message)>,
    /// The latest report of each guest.
    pub guests: BTreeMap<Uuid, GuestReport>,
    pub streams: usize,
    hosts: BTreeMap<String, Outgoing>,
    /// The host of each stream.
    joined: BTreeMap<usize, String>,
}

impl Known {
    pub fn count(&self, is_meant: impl Fn(&Message) -> bool) -> usize {
        self.received.iter().filter(|(_, message)| is_meant(message)).count()
    }

    /// The heartbeats of a host on streams after this one.
    pub fn heartbeats(&self, host: &str, after: usize) -> usize {
        let is_meant = |(stream, message): &&(usize, Message)| {
            *stream > after
                && self.joined.get(stream).is_some_and(|other| other == host)
                && matches!(message, Message::Heartbeat(_))
        };
        self.received.iter().filter(is_meant).count()
    }

    fn receive(&mut self, stream: usize, message: Message, outgoing: &Outgoing) {
        if let Message::Hello(hello) = &message {
            self.hosts.insert(hello.host.clone(), outgoing.clone());
            self.joined.insert(stream, hello.host.clone());
        }
        if let Message::Guest(report) = &message {
            self.guests.insert(report.instance.parse().expect("a UUID"), report.clone());
        }
        self.received.push((stream, message));
    }
}

#[derive(Clone, Default)]
pub struct Service {
    known: Arc<Mutex<Known>>,
    changed: Arc<Notify>,
    pub url: String,
    refresh_ms: u32,
    heartbeat_ms: u32,
}

impl Service {
    /// Agents refresh their resources and guests at this interval; 0 for never.
    pub async fn start(refresh_ms: u32) -> Self {
        Self::start_with(refresh_ms, HEARTBEAT_MS).await
    }

    pub async fn start_with(refresh_ms: u32, heartbeat_ms: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let service = Self { url, refresh_ms, heartbeat_ms, ..Self::default() };
        let server = tonic::transport::Server::builder().add_service(AgentsServer::new(service.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        service
    }

    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no test panicked with it")
    }

    /// Waits until the received messages satisfy a condition.
    pub async fn wait<T>(&self, what: &str, answer: impl Fn(&Known) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if let Some(value) = answer(&self.known()) {
                    return value;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("{what} did not arrive; guests: {:?}", self.known().guests))
    }

    /// Waits for this many further heartbeats of a host.
    pub async fn beat(&self, host: &str, count: usize) {
        let last = self.known().heartbeats(host, 0) + count;
        self.wait("heartbeats", |known| (known.heartbeats(host, 0) >= last).then_some(())).await;
    }

    /// Waits for a report of the generation, or a later one.
    pub async fn settled(&self, instance: Uuid, generation: u64) -> GuestReport {
        let settled = |known: &Known| {
            known.guests.get(&instance).filter(|report| report.generation >= generation).cloned()
        };
        self.wait("a report", settled).await
    }

    pub async fn wait_for_state(&self, instance: Uuid, state: State) -> GuestReport {
        let has_state =
            |known: &Known| known.guests.get(&instance).filter(|report| report.state() == state).cloned();
        self.wait(&format!("{state:?}"), has_state).await
    }

    pub async fn joined(&self, host: &str) {
        let has_joined = |known: &Known| {
            let has_joined = known.hosts.contains_key(host);
            (has_joined && known.count(|message| matches!(message, Message::AllReported(_))) > 0)
                .then_some(())
        };
        self.wait("an agent", has_joined).await;
    }

    pub async fn send_desired(&self, host: &str, desired: DesiredGuest) {
        self.send(host, service_message::Message::DesiredGuest(desired)).await;
    }

    pub async fn send(&self, host: &str, message: service_message::Message) {
        let outgoing = self.known().hosts.get(host).cloned().expect("the agent has joined");
        let message = Some(message);
        outgoing.send(Ok(ServiceMessage { message })).await.expect("the agent listens");
    }

    /// Sends a desired state, and waits until it is reached or failed.
    pub async fn reconcile(&self, host: &str, desired: DesiredGuest) -> GuestReport {
        let (instance, generation) = (desired.instance.parse().expect("a UUID"), desired.generation);
        self.send_desired(host, desired).await;
        self.settled(instance, generation).await
    }

    /// Ends all streams.
    pub async fn part(&self) {
        let hosts = std::mem::take(&mut self.known().hosts);
        for outgoing in hosts.into_values() {
            let _ = outgoing.send(Err(Status::unavailable("the test ends the stream"))).await;
        }
    }
}

#[tonic::async_trait]
impl Agents for Service {
    type JoinStream = ReceiverStream<Result<ServiceMessage, Status>>;

    async fn join(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::JoinStream>, Status> {
        let mut messages = request.into_inner();
        let (outgoing, receiver) = mpsc::channel(16);
        let stream = {
            let mut known = self.known();
            known.streams += 1;
            known.streams
        };
        let welcome = v1::Welcome { heartbeat_ms: self.heartbeat_ms, refresh_ms: self.refresh_ms };
        let message = Some(service_message::Message::Welcome(welcome));
        outgoing.send(Ok(ServiceMessage { message })).await.expect("the stream has capacity");
        let service = self.clone();
        tokio::spawn(async move {
            while let Ok(Some(AgentMessage { message: Some(message) })) = messages.message().await {
                service.known().receive(stream, message, &outgoing);
                service.changed.notify_waiters();
            }
            service.known().hosts.retain(|_, other| !other.same_channel(&outgoing));
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// An agent in this process.
pub struct Agent {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Agent {
    pub fn start<H: Hypervisor>(host: &str, hypervisor: Arc<H>, service: &Service) -> Self {
        Self::start_with(host, hypervisor, service, None)
    }

    /// An agent that exchanges disks with others by its certificates.
    pub fn start_with<H: Hypervisor>(
        host: &str,
        hypervisor: Arc<H>,
        service: &Service,
        certificates: Option<Certificates>,
    ) -> Self {
        let disks = DiskServer::bind(0, certificates.as_ref()).expect("a port");
        let settings = Settings {
            host: host.to_owned(),
            address: "127.0.0.1".to_owned(),
            offer: Offer::default(),
            shutdown_grace: Duration::from_secs(3),
            peers: Peers::new(certificates),
            disks: Some(Arc::new(disks)),
            seed: 1,
        };
        let channel = service::channel(&service.url, None).expect("loopback");
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        Self { stop, task: tokio::spawn(agent::run(hypervisor, settings, channel, stopped)) }
    }

    /// Shuts it down gracefully, as SIGTERM does.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.expect("it ended well");
    }

    /// Kills it.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub fn desired(instance: Uuid, generation: u64, goal: Goal, boot: u32, spec: &v1::GuestSpec) -> DesiredGuest {
    DesiredGuest {
        instance: instance.to_string(),
        generation,
        goal: goal.into(),
        boot,
        hard: false,
        spec: (goal != Goal::Absent).then(|| spec.clone()),
        must_exist: false,
        disks: None,
        transfer: None,
        rebuild: false,
    }
}
