//! The agent: one task that owns the guests, and the stream to the service beside it.
//!
//! ```text
//!     service ◄────── outbox ◄──────── ┌───────┐ ◄── notices ─── hypervisor
//!             ──── desired state ────► │ agent │ ── jobs ──────►
//!                                      └───────┘ ◄── outcomes ──
//!                           guests, alarms, heartbeats
//! ```
//!
//! The agent reconciles guests with their desired state whether or not the service is reachable. On
//! a new stream it reports everything it knows. While the hypervisor is unreachable, it sends no
//! heartbeats, so the service considers the host down.

mod backoff;
mod drain;
mod guests;
mod messages;
mod outbox;
mod session;
mod times;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use berth_api::v1::agent_message::Message;
use berth_api::v1::{self, AgentMessage, service_message};
use tokio::sync::mpsc::{self, OwnedPermit, Receiver, Sender, UnboundedReceiver};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::disks::{DiskServer, Offers, Peers};
use crate::guest::Guest;
use crate::{
    AgentHealth, DesiredState, Facts, Fault, Found, GuestRecord, GuestStep, Hypervisor, Notice,
    ObservedState, Offer, StepOutcome, provider_tree,
};
use outbox::{Item, Outbox};
use session::Event;
use times::Times;

/// The number of removed guests whose records are kept, so that outdated desired states of them are
/// refused.
const REMEMBERED: usize = 1024;
/// The pause between attempts to survey a hypervisor that is unreachable when the agent starts.
const STARTING_PAUSE: Duration = Duration::from_secs(1);

/// Settings of an agent.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the host; unique in the fleet.
    pub host: String,
    /// Address at which other hosts reach it.
    pub address: String,
    /// The resources that are offered to guests.
    pub offer: Offer,
    /// How long guests may take to shut down.
    pub shutdown_grace: Duration,
    /// The way to the agents of other hosts.
    pub peers: Peers,
    /// Where disks are offered to them; None to offer none.
    pub disks: Option<Arc<DiskServer>>,
    /// Seed of the jitter of pauses, and the boot nonce that distinguishes agents. It differs at
    /// each start.
    pub seed: u64,
}

/// Runs the agent until `stop` resolves, then shuts down gracefully: it finishes running steps and
/// sends a goodbye. Guests continue to run.
pub async fn run<H: Hypervisor>(
    hypervisor: Arc<H>,
    settings: Settings,
    channel: Channel,
    stop: impl Future<Output = ()>,
) {
    run_observed(hypervisor, settings, channel, stop, watch::Sender::default()).await;
}

/// The same, and publishes the agent's health.
pub async fn run_observed<H: Hypervisor>(
    hypervisor: Arc<H>,
    settings: Settings,
    channel: Channel,
    stop: impl Future<Output = ()>,
    health: watch::Sender<AgentHealth>,
) {
    let mut stop = std::pin::pin!(stop);
    let mut notices = hypervisor.notices();
    let (facts, found) = tokio::select! {
        survey = first_survey(&*hypervisor) => survey,
        () = &mut stop => return,
    };
    let (sender, mut events) = mpsc::channel(1);
    let session = tokio::spawn(session::keep(channel, settings.seed, sender));
    let offers = Offers::default();
    let _serving = settings
        .disks
        .clone()
        .map(|server| Serving(tokio::spawn(server.serve(Arc::clone(&hypervisor), offers.clone()))));
    let mut agent = Agent::new(hypervisor, settings, facts, offers);
    agent.adopt(found);
    agent.publish_health(&health);
    while agent.turn(&mut events, &mut notices, stop.as_mut()).await {
        agent.publish_health(&health);
    }
    agent.drain(&mut events).await;
    session.abort();
}

/// Ends a task with the agent, also if the agent is killed.
struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn first_survey<H: Hypervisor>(hypervisor: &H) -> (Facts, Vec<Found>) {
    loop {
        match survey(hypervisor).await {
            Ok(survey) => return survey,
            Err(fault) => tracing::warn!("the hypervisor does not answer: {fault}"),
        }
        tokio::time::sleep(STARTING_PAUSE).await;
    }
}

async fn survey<H: Hypervisor>(hypervisor: &H) -> Result<(Facts, Vec<Found>), Fault> {
    Ok((hypervisor.facts().await?, hypervisor.guests().await?))
}

struct Agent<H> {
    hypervisor: Arc<H>,
    settings: Settings,
    facts: Facts,
    providers: v1::ProviderTree,
    guests: BTreeMap<Uuid, Guest>,
    /// Removed guests, in order of removal.
    gone: VecDeque<Uuid>,
    /// The disks that other hosts may fetch.
    offers: Offers,
    tasks: JoinSet<Finished>,
    times: Times,
    outbox: Outbox,
    link: Option<Sender<AgentMessage>>,
    is_away: bool,
    /// The service refused the last provider tree.
    is_refused: bool,
    /// Why it refused one, until another was applied.
    refusal: Option<String>,
}

enum Finished {
    Step(Uuid, StepOutcome),
    Survey(Result<Box<(Facts, Vec<Found>)>, Fault>),
    Console(v1::ConsoleReply),
    Forgotten,
}

impl<H: Hypervisor> Agent<H> {
    fn new(hypervisor: Arc<H>, settings: Settings, facts: Facts, offers: Offers) -> Self {
        Self {
            providers: provider_tree(&settings.host, &facts, &settings.offer),
            hypervisor,
            settings,
            facts,
            guests: BTreeMap::new(),
            gone: VecDeque::new(),
            offers,
            tasks: JoinSet::new(),
            times: Times::new(),
            outbox: Outbox::default(),
            link: None,
            is_away: false,
            is_refused: false,
            refusal: None,
        }
    }

    /// Waits for one event and handles it. Returns false to stop.
    async fn turn(
        &mut self,
        events: &mut Receiver<Event>,
        notices: &mut UnboundedReceiver<Notice>,
        stop: impl Future<Output = ()>,
    ) -> bool {
        let link = self.link.clone().filter(|_| !self.outbox.is_empty());
        tokio::select! {
            () = stop => return false,
            Some(event) = events.recv() => self.on_event(event),
            Some(done) = self.tasks.join_next() => self.on_finished(done),
            Some(notice) = notices.recv() => self.on_notice(notice),
            Some(permit) = reserve(link) => self.send_next(permit),
            () = self.times.next() => self.on_timer(),
        }
        true
    }

    fn publish_health(&self, health: &watch::Sender<AgentHealth>) {
        let now = AgentHealth {
            is_joined: self.link.is_some(),
            has_hypervisor: !self.is_away,
            refusal: self.refusal.clone(),
        };
        health.send_if_modified(|known| {
            let is_new = *known != now;
            *known = now;
            is_new
        });
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Joined(link) => {
                self.link = Some(link);
                let is_reported = |(_, guest): &(&Uuid, &Guest)| !guest.is_over();
                let guests = self.guests.iter().filter(is_reported).map(|(&instance, _)| instance);
                self.outbox = Outbox::everything(guests.collect());
            }
            Event::Parted => {
                self.link = None;
                self.times.no_heartbeats();
            }
            Event::Message(message) => match *message {
                service_message::Message::Welcome(welcome) => {
                    tracing::info!(host = self.settings.host, "joined the service");
                    self.times.welcome(&welcome);
                }
                service_message::Message::DesiredGuest(desired) => self.apply_desired(desired),
                service_message::Message::Console(request) => self.read_console(request),
                service_message::Message::ProvidersRefused(failure) => {
                    tracing::error!("the service refuses the resources of this host: {}", failure.message);
                    self.is_refused = true;
                    self.refusal = Some(failure.message);
                }
            },
        }
    }

    fn read_console(&mut self, request: v1::ConsoleRequest) {
        let hypervisor = Arc::clone(&self.hypervisor);
        self.tasks.spawn(async move {
            let v1::ConsoleRequest { request, instance, most_bytes } = request;
            let read = match instance.parse() {
                Ok(guest) => hypervisor.console(guest, most_bytes).await.map_err(|fault| fault.to_string()),
                Err(_) => Err(format!("{instance:?} is no UUID")),
            };
            let (output, error) = match read {
                Ok(output) => (output, String::new()),
                Err(error) => (Vec::new(), error),
            };
            Finished::Console(v1::ConsoleReply { request, output: output.into(), error })
        });
    }

    fn apply_desired(&mut self, message: v1::DesiredGuest) {
        let instance = match DesiredState::instance(&message) {
            Ok(instance) => instance,
            // A report needs the UUID of a guest.
            Err(error) => return tracing::warn!("{error}"),
        };
        let now = self.times.now();
        let grace = self.grace();
        let unknown = || Guest::new(ObservedState::Absent, GuestRecord::default(), grace);
        let guest = self.guests.entry(instance).or_insert_with(unknown);
        let generation = message.generation;
        let reaction = match DesiredState::read(message) {
            Ok(desired) => guest.apply(desired, now),
            Err(error) => guest.refuse(generation, Fault::permanent(error.to_string())),
        };
        self.offer(instance);
        self.react(instance, reaction);
    }

    fn on_finished(&mut self, done: Result<Finished, tokio::task::JoinError>) {
        match done {
            Ok(Finished::Step(instance, outcome)) => {
                if let Err(fault) = &outcome.result {
                    tracing::warn!(%instance, "{fault}");
                }
                let now = self.times.now();
                let step = self.guests.get(&instance).and_then(Guest::step);
                if let Some(other) = step.and_then(GuestStep::other_guest) {
                    self.disturb_other(other);
                }
                self.with_guest(instance, |guest| guest.done(outcome, now));
            }
            Ok(Finished::Survey(Ok(survey))) => {
                let (facts, found) = *survey;
                self.apply_facts(facts);
                self.compare(found);
            }
            Ok(Finished::Survey(Err(fault))) => tracing::warn!("the hypervisor does not answer: {fault}"),
            Ok(Finished::Console(reply)) => self.outbox.add_console(reply),
            Ok(Finished::Forgotten) => {}
            // A bug. After a restart, the agent observes the guest's state.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Disturbed(instance) => self.with_guest(instance, Guest::disturbed),
            Notice::Lost => {
                tracing::warn!("the hypervisor is unreachable");
                self.is_away = true;
            }
            Notice::Back => {
                tracing::info!("the hypervisor is reachable again");
                self.is_away = false;
                self.times.hasten_heartbeat();
                self.begin_survey();
            }
        }
    }

    fn on_timer(&mut self) {
        let due = self.times.take_due();
        if due.heartbeat && !self.is_away {
            self.outbox.add_heartbeat();
        }
        if due.refresh && !self.is_away {
            self.begin_survey();
        }
        let now = self.times.now();
        for instance in due.guests {
            self.with_guest(instance, |guest| guest.wake(now));
        }
    }

    fn apply_facts(&mut self, facts: Facts) {
        let providers = provider_tree(&self.settings.host, &facts, &self.settings.offer);
        // The conflict that the service refused may be resolved by now.
        if std::mem::take(&mut self.is_refused) || providers != self.providers {
            self.providers = providers;
            self.refusal = None; // it will be refused again, if it has to be
            self.outbox.add_providers();
        }
        self.facts = facts;
    }

    fn begin_survey(&mut self) {
        let hypervisor = Arc::clone(&self.hypervisor);
        self.tasks.spawn(async move { Finished::Survey(survey(&*hypervisor).await.map(Box::new)) });
    }

    fn send_next(&mut self, permit: OwnedPermit<AgentMessage>) {
        let message = match self.outbox.take() {
            Some(Item::Hello) => Message::Hello(self.hello()),
            Some(Item::Providers) => Message::Providers(self.providers.clone()),
            Some(Item::AllReported) => Message::AllReported(v1::AllReported {}),
            Some(Item::Heartbeat) => {
                let disk_available_gb = self.hypervisor.disk_available_gb();
                Message::Heartbeat(v1::Heartbeat { disk_available_gb })
            }
            Some(Item::Console(reply)) => Message::Console(reply),
            Some(Item::Guest(instance)) => match self.guests.get(&instance) {
                Some(guest) => {
                    messages::report(instance, guest, self.hypervisor.missing_cpu_features(instance))
                }
                None => return,
            },
            None => return,
        };
        permit.send(messages::message(message));
    }

    fn hello(&self) -> v1::Hello {
        let hypervisor = v1::Hypervisor {
            address: self.settings.address.clone(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            disks_port: self.settings.disks.as_ref().map_or(0, |server| server.port().into()),
            ..self.facts.hypervisor.clone()
        };
        v1::Hello {
            host: self.settings.host.clone(),
            host_uuid: self.facts.host_uuid.to_string(),
            hypervisor: Some(hypervisor),
            boot_nonce: format!("{:016x}", self.settings.seed),
        }
    }

    fn grace(&self) -> u64 {
        u64::try_from(self.settings.shutdown_grace.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Waits for capacity to send one message. None without a stream.
async fn reserve(link: Option<Sender<AgentMessage>>) -> Option<OwnedPermit<AgentMessage>> {
    link?.reserve_owned().await.ok()
}
