//! The agent against a service, on a hypervisor in memory.

use std::sync::Arc;
use std::time::Duration;

use berth_api::v1::agent_message::Message;
use berth_api::v1::desired_guest::Goal;
use berth_api::v1::guest_report::State;
use berth_api::v1::{ConsoleRequest, DesiredGuest, Failure, GuestReport, GuestSpec, service_message};
use berth_compute_agent::agent::{self, Settings};
use berth_compute_agent::disks::Peers;
use berth_compute_agent::{
    AgentHealth, Facts, FakeHypervisor, Fault, GuestRecord, GuestStep, ObservedState, Offer,
};
use berth_test_support::agents_service::{self, Agent, Known, Service};
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

const HOST: &str = "h1";
const GUEST: Uuid = Uuid::from_u128(0xa);

fn hypervisor() -> Arc<FakeHypervisor> {
    Arc::new(FakeHypervisor::new(Facts::plain(Uuid::from_u128(1), 8, 16384, 100)))
}

/// Another host, whose heartbeats show that time passes.
const OTHER: &str = "h2";

async fn other_agent(service: &Service) -> Agent {
    let agent = Agent::start(OTHER, hypervisor(), service);
    service.beat(OTHER, 1).await;
    agent
}

/// Waits until a condition holds.
async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("the condition holds in time");
}

async fn start() -> (Service, Arc<FakeHypervisor>, Agent) {
    let (service, hypervisor) = (Service::start(100).await, hypervisor());
    let agent = Agent::start(HOST, Arc::clone(&hypervisor), &service);
    service.joined(HOST).await;
    (service, hypervisor, agent)
}

fn desired(generation: u64, goal: Goal, boot: u32) -> DesiredGuest {
    agents_service::desired(GUEST, generation, goal, boot, &GuestSpec::default())
}

fn reported(report: &GuestReport) -> (u64, State, u32, &str) {
    (report.generation, report.state(), report.boot, &report.error)
}

fn is_heartbeat(message: &Message) -> bool {
    matches!(message, Message::Heartbeat(_))
}

#[tokio::test]
async fn an_agent_introduces_itself_and_stays_in_touch() {
    let (service, _, agent) = start().await;
    service.wait("heartbeats", |known| (known.count(is_heartbeat) >= 3).then_some(())).await;
    agent.stop().await;
    service
        .wait("goodbye", |known| {
            matches!(known.received.last(), Some((_, Message::Goodbye(_)))).then_some(())
        })
        .await;

    let known = service.known();
    let messages: Vec<_> = known.received.iter().map(|(_, message)| message).collect();
    let [Message::Hello(hello), Message::Providers(tree), ..] = messages[..] else { panic!("{messages:?}") };
    assert_eq!((hello.host.as_str(), hello.host_uuid.parse()), (HOST, Ok(Uuid::from_u128(1))));
    assert_eq!(tree.providers[0].inventories["VCPU"].total, 8);
    let facts = hello.hypervisor.as_ref().expect("reported");
    assert_eq!(
        (facts.address.as_str(), facts.agent_version.as_str()),
        ("127.0.0.1", env!("CARGO_PKG_VERSION"))
    );
    let Some(Message::Heartbeat(heartbeat)) = messages.into_iter().find(|message| is_heartbeat(message))
    else {
        panic!()
    };
    assert_eq!(heartbeat.disk_available_gb, 100);
}

#[tokio::test]
async fn a_guest_reaches_each_goal() {
    let (service, hypervisor, agent) = start().await;
    hypervisor.keep_steps();
    let goals = [
        (Goal::Running, 1, State::Running),
        (Goal::Paused, 1, State::Paused),
        (Goal::Running, 1, State::Running),
        (Goal::Suspended, 1, State::Saved),
        (Goal::Running, 1, State::Running),
        (Goal::Running, 2, State::Running),
        (Goal::Stopped, 2, State::ShutDown),
        (Goal::Shelved, 2, State::Shelved),
        (Goal::Running, 3, State::Running),
        (Goal::Absent, 3, State::Absent),
    ];
    for (generation, (goal, boot, state)) in (1..).zip(goals) {
        let report = service.reconcile(HOST, desired(generation, goal, boot)).await;
        assert_eq!(reported(&report), (generation, state, boot, ""), "{goal:?}");
    }
    let steps: Vec<_> = hypervisor.steps().into_iter().map(|(_, step)| step).collect();
    let [first, second, third, ..] = steps[..] else { panic!("{steps:?}") };
    assert_eq!([first, second, third], [GuestStep::Prepare, GuestStep::Define, GuestStep::Start]);
    assert_eq!(steps.iter().filter(|step| **step == GuestStep::Start).count(), 3, "{steps:?}");
    agent.stop().await;
}

#[tokio::test]
async fn a_stale_desired_state_is_refused_before_and_after_a_restart_of_the_agent() {
    let (service, hypervisor, agent) = start().await;
    service.reconcile(HOST, desired(5, Goal::Running, 1)).await;
    hypervisor.keep_steps();
    service.known().guests.clear();
    service.send_desired(HOST, desired(4, Goal::Absent, 1)).await;
    let report = service.wait_for_state(GUEST, State::Running).await;
    assert_eq!(report.generation, 5);
    agent.kill().await;

    let agent = restart(&service, &hypervisor).await;
    assert_eq!(reported(&service.settled(GUEST, 5).await), (5, State::Running, 1, ""));
    service.known().guests.clear();
    service.send_desired(HOST, desired(4, Goal::Absent, 1)).await;
    service.wait_for_state(GUEST, State::Running).await;
    assert_eq!(hypervisor.steps(), []);
    agent.stop().await;
}

async fn restart(service: &Service, hypervisor: &Arc<FakeHypervisor>) -> Agent {
    service.part().await;
    service.known().received.clear();
    let agent = Agent::start(HOST, Arc::clone(hypervisor), service);
    service.joined(HOST).await;
    agent
}

#[tokio::test]
async fn a_new_stream_reports_everything_again() {
    let (service, _, agent) = start().await;
    service.reconcile(HOST, desired(1, Goal::Running, 1)).await;
    service.known().received.clear();
    service.part().await;
    let all = |known: &Known| {
        known.received.iter().any(|(_, m)| matches!(m, Message::AllReported(_))).then_some(())
    };
    service.wait("everything", all).await;
    check_last_stream(&service.known());
    agent.stop().await;
}

fn check_last_stream(known: &Known) {
    let last = known.received.last().expect("received").0;
    let messages: Vec<_> =
        known.received.iter().filter(|(stream, m)| *stream == last && !is_heartbeat(m)).collect();
    let [(_, Message::Hello(_)), (_, Message::Providers(_)), (_, Message::Guest(report)), ..] = messages[..]
    else {
        panic!("{messages:?}")
    };
    assert_eq!(reported(report), (1, State::Running, 1, ""));
}

#[tokio::test]
async fn reconciling_continues_while_the_service_is_away() {
    let (service, hypervisor, agent) = start().await;
    hypervisor.hold(GuestStep::Prepare);
    service.send_desired(HOST, desired(1, Goal::Running, 1)).await;
    until(|| hypervisor.is_holding()).await;
    service.part().await;
    hypervisor.release();
    let report = service.settled(GUEST, 1).await;
    assert_eq!(reported(&report), (1, State::Running, 1, ""));
    agent.stop().await;
}

#[tokio::test]
async fn failures_are_reported_as_transient_or_permanent() {
    let (service, hypervisor, agent) = start().await;
    hypervisor.fail_next(GuestStep::Prepare, Fault::permanent("image.name: there is none"));
    let report = service.reconcile(HOST, desired(1, Goal::Running, 1)).await;
    assert_eq!(reported(&report), (1, State::Absent, 0, "image.name: there is none"));
    assert!(!report.is_transient);
    assert_eq!(service.reconcile(HOST, desired(2, Goal::Absent, 1)).await.error, "");

    hypervisor.fail_next(GuestStep::Start, Fault::transient("no memory just now"));
    let report = service.reconcile(HOST, desired(3, Goal::Running, 1)).await;
    assert_eq!(reported(&report), (3, State::Running, 1, ""), "retried");
    agent.stop().await;
}

#[tokio::test]
async fn an_invalid_desired_guest_is_an_error_of_its_guest() {
    let (service, _, agent) = start().await;
    let without_spec = DesiredGuest { spec: None, ..desired(1, Goal::Running, 1) };
    assert_eq!(
        service.reconcile(HOST, without_spec).await.error,
        "desired_guest.spec: missing; only the goal ABSENT has none"
    );
    let unknown_goal = DesiredGuest { goal: 99, ..desired(2, Goal::Running, 1) };
    assert!(service.reconcile(HOST, unknown_goal).await.error.starts_with("desired_guest.goal: 99"));
    service.send_desired(HOST, DesiredGuest { instance: "x".into(), ..desired(1, Goal::Running, 1) }).await;
    assert_eq!(service.reconcile(HOST, desired(3, Goal::Running, 1)).await.error, "");
    agent.stop().await;
}

#[tokio::test]
async fn changes_without_a_request_are_reported() {
    let (service, hypervisor, agent) = start().await;
    service.reconcile(HOST, desired(1, Goal::Running, 1)).await;
    hypervisor.disturb(GUEST, ObservedState::Crashed);
    let report = service.wait_for_state(GUEST, State::Crashed).await;
    assert_eq!(reported(&report), (1, State::Crashed, 1, ""));

    let richer = Facts::plain(Uuid::from_u128(1), 16, 16384, 100);
    hypervisor.set_facts(richer);
    let is_richer = |message: &Message| matches!(message, Message::Providers(tree) if tree.providers[0].inventories["VCPU"].total == 16);
    service.wait("the new tree", |known| (known.count(is_richer) == 1).then_some(())).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_refused_tree_is_reported_again() {
    let (service, _, agent) = start().await;
    let is_tree = |message: &Message| matches!(message, Message::Providers(_));
    assert_eq!(service.known().count(is_tree), 1);
    let failure = Failure { message: "providers[0].name: is taken".to_owned(), ..Failure::default() };
    service.send(HOST, service_message::Message::ProvidersRefused(failure)).await;
    service.wait("the tree again", |known| (known.count(is_tree) == 2).then_some(())).await;
    // The service accepted it now, so it is not sent again.
    service.beat(HOST, 6).await;
    assert_eq!(service.known().count(is_tree), 2);
    agent.stop().await;
}

#[tokio::test]
async fn without_its_hypervisor_an_agent_sends_no_heartbeats_and_then_continues() {
    let (service, hypervisor, agent) = start().await;
    let other = other_agent(&service).await;
    service.reconcile(HOST, desired(1, Goal::Running, 1)).await;
    hypervisor.set_away(true);
    service.send_desired(HOST, desired(2, Goal::Stopped, 1)).await;
    service.beat(OTHER, 2).await;
    let before = service.known().heartbeats(HOST, 0);
    service.beat(OTHER, 4).await;
    assert_eq!(service.known().heartbeats(HOST, 0), before);
    hypervisor.set_away(false);
    assert_eq!(reported(&service.settled(GUEST, 2).await), (2, State::ShutDown, 1, ""));
    service.beat(HOST, 1).await;
    agent.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_stream_that_begins_without_the_hypervisor_has_no_heartbeats_until_it_is_back() {
    let (service, hypervisor, agent) = start().await;
    let other = other_agent(&service).await;
    let begun = service.known().streams;
    let has_beaten = move |known: &Known| (known.heartbeats(HOST, begun) > 0).then_some(());
    hypervisor.set_away(true);
    service.part().await;
    service.known().received.clear();
    service.joined(HOST).await;
    service.beat(OTHER, 4).await;
    assert_eq!(has_beaten(&service.known()), None);
    hypervisor.set_away(false);
    service.wait("heartbeats", has_beaten).await;
    agent.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn the_first_heartbeat_is_sent_at_once() {
    const HOUR_MS: u32 = 3_600_000;
    let (service, hypervisor) = (Service::start_with(0, HOUR_MS).await, hypervisor());
    let agent = Agent::start(HOST, Arc::clone(&hypervisor), &service);
    let beats = |count: usize| move |known: &Known| (known.count(is_heartbeat) == count).then_some(());
    service.wait("the first heartbeat", beats(1)).await;
    hypervisor.set_away(true);
    hypervisor.set_away(false);
    service.wait("another when the hypervisor is back", beats(2)).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_graceful_shutdown_finishes_the_running_step_and_starts_none() {
    let (service, hypervisor, agent) = start().await;
    hypervisor.keep_steps();
    hypervisor.hold(GuestStep::Prepare);
    service.send_desired(HOST, desired(1, Goal::Running, 1)).await;
    until(|| hypervisor.is_holding()).await;
    let stopping = tokio::spawn(agent.stop());
    // On one thread, every task that can run does so in turn: the agent observes the request before
    // the step ends.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    hypervisor.release();
    stopping.await.expect("it ended well");
    assert_eq!(hypervisor.steps(), [(GUEST, GuestStep::Prepare)]);
    assert_eq!(
        hypervisor.guest(GUEST),
        (
            ObservedState::Shelved,
            GuestRecord { known: 1, fulfilled: 0, boot: 0, rebuilt: 0, is_rescue: false }
        )
    );

    let agent = restart(&service, &hypervisor).await;
    let report = service.reconcile(HOST, desired(1, Goal::Running, 1)).await;
    assert_eq!(reported(&report), (1, State::Running, 1, ""));
    agent.stop().await;
}

#[tokio::test]
async fn records_of_removed_guests_are_limited() {
    let (service, hypervisor, agent) = start().await;
    for id in 1..=1100 {
        let instance = Uuid::from_u128(id);
        service
            .send_desired(HOST, agents_service::desired(instance, 1, Goal::Absent, 0, &GuestSpec::default()))
            .await;
    }
    service.settled(Uuid::from_u128(1100), 1).await;
    service.wait("all of them", |known| (known.guests.len() == 1100).then_some(())).await;
    agent.stop().await;
    assert_eq!(hypervisor.guest(Uuid::from_u128(1)).1, GuestRecord::default());
    assert_eq!(hypervisor.guest(Uuid::from_u128(1100)).1.known, 1);
}

#[tokio::test]
async fn console_output_is_sent_on_request() {
    let (service, _, agent) = start().await;
    service.reconcile(HOST, desired(1, Goal::Running, 1)).await;
    let answer = async |request: u64, instance: &str, most_bytes| {
        let instance = instance.to_owned();
        let wanted = ConsoleRequest { request, instance, most_bytes };
        service.send(HOST, service_message::Message::Console(wanted)).await;
        let reply = move |known: &Known| {
            known.received.iter().find_map(|(_, message)| match message {
                Message::Console(reply) if reply.request == request => Some(reply.clone()),
                _ => None,
            })
        };
        let reply = service.wait("the output", reply).await;
        (String::from_utf8(reply.output.to_vec()).unwrap(), reply.error)
    };
    assert_eq!(answer(7, &GUEST.to_string(), 100).await, ("boot 1\n".to_owned(), String::new()));
    assert_eq!(answer(8, &GUEST.to_string(), 2).await.0, "1\n");
    assert_eq!(answer(9, &Uuid::from_u128(9).to_string(), 100).await.1, "the guest is not on this host");
    assert!(answer(10, "x", 100).await.1.contains("no UUID"));
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_knows_what_it_waits_for() {
    let (service, hypervisor) = (Service::start(100).await, hypervisor());
    let settings = Settings {
        host: HOST.to_owned(),
        address: "127.0.0.1".to_owned(),
        offer: Offer::default(),
        shutdown_grace: Duration::from_secs(3),
        peers: Peers::new(None),
        disks: None,
        seed: 1,
    };
    let channel = berth_compute_agent::service::channel(&service.url, None).unwrap();
    let (health, mut observed) = watch::channel(AgentHealth::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let agent =
        tokio::spawn(agent::run_observed(Arc::clone(&hypervisor), settings, channel, stopped, health));
    let mut until = async |words: &str| {
        let waiting = observed.wait_for(|health| health.to_string().contains(words));
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("in time").expect("it runs");
    };
    until("running").await;
    hypervisor.set_away(true);
    until("hypervisor: the hypervisor does not answer").await;
    hypervisor.set_away(false);
    until("running").await;
    let failure = Failure { message: "providers[0].name: is taken".to_owned(), ..Failure::default() };
    service.send(HOST, service_message::Message::ProvidersRefused(failure)).await;
    until("is taken").await;
    drop(stop);
    agent.await.unwrap();
}
