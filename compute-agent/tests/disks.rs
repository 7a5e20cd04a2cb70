//! Disks that follow their guest from one agent to another, with and without certificates.

use std::sync::Arc;

use berth_api::v1::desired_guest::Goal;
use berth_api::v1::disk_move::Role;
use berth_api::v1::guest_report::State;
use berth_api::v1::{DesiredGuest, DiskMove, GuestSpec};
use berth_compute_agent::service::Certificates;
use berth_compute_agent::{Facts, FakeHypervisor, Fault, GuestStep, ObservedState};
use berth_test_support::agents_service::{self, Agent, Service};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use uuid::Uuid;

const GUEST: Uuid = Uuid::from_u128(0xa);
const MIGRATION: Uuid = Uuid::from_u128(0xb);
const TICKET: &str = "3f2c1d60-0000-4000-8000-000000000001";

/// Two hosts with their agents, and the service that steers both.
struct Hosts {
    service: Service,
    source: Arc<FakeHypervisor>,
    target: Arc<FakeHypervisor>,
    port: u32,
    _agents: [Agent; 2],
}

fn certificates(authority: &CertifiedIssuer<'_, KeyPair>, name: &str) -> Certificates {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("signed");
    Certificates {
        authority: authority.pem().into_bytes(),
        certificate: certificate.pem().into_bytes(),
        key: key.serialize_pem().into_bytes(),
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

impl Hosts {
    async fn start(source: Option<Certificates>, target: Option<Certificates>) -> Self {
        let service = Service::start(0).await;
        let host =
            |number| Arc::new(FakeHypervisor::new(Facts::plain(Uuid::from_u128(number), 8, 16384, 100)));
        let hypervisors = [host(1), host(2)];
        let [one, two] = &hypervisors;
        let first = Agent::start_with("h1", Arc::clone(one), &service, source);
        service.joined("h1").await;
        let port = service.wait("hello", disks_port).await;
        let second = Agent::start_with("h2", Arc::clone(two), &service, target);
        service.wait("the other agent", |known| (known.streams == 2).then_some(())).await;
        service.joined("h2").await;
        let [source, target] = hypervisors;
        Self { service, source, target, port, _agents: [first, second] }
    }

    /// Sets the disks of a running guest aside and offers them.
    async fn leave(&self) {
        let running = desired(GUEST, 1, Goal::Running, None);
        assert_eq!(self.service.reconcile("h1", running).await.state(), State::Running);
        let disks = DiskMove { migration: MIGRATION.to_string(), ..role(Role::SetAside) };
        let left = self.service.reconcile("h1", desired(GUEST, 2, Goal::Outgoing, Some(disks))).await;
        assert_eq!((left.state(), left.error.as_str()), (State::Absent, ""));
    }

    async fn offer(&self, generation: u64, ticket: Option<&str>) {
        let disks = ticket.map(|ticket| DiskMove { ticket: ticket.to_owned(), ..role(Role::Offer) });
        let kept = DesiredGuest { must_exist: true, ..desired(MIGRATION, generation, Goal::Shelved, disks) };
        let kept = self.service.reconcile("h1", kept).await;
        assert_eq!((kept.state(), kept.error.as_str()), (State::Shelved, ""));
    }

    fn fetching(&self, generation: u64, ticket: &str, host: &str) -> DesiredGuest {
        let disks = DiskMove {
            migration: MIGRATION.to_string(),
            ticket: ticket.to_owned(),
            source_host: host.to_owned(),
            source_address: "127.0.0.1".to_owned(),
            source_port: self.port,
            ..role(Role::Fetch)
        };
        desired(GUEST, generation, Goal::Running, Some(disks))
    }
}

fn disks_port(known: &agents_service::Known) -> Option<u32> {
    use berth_api::v1::agent_message::Message;
    known.received.iter().find_map(|(_, message)| match message {
        Message::Hello(hello) => hello.hypervisor.as_ref().map(|of| of.disks_port),
        _ => None,
    })
}

fn role(role: Role) -> DiskMove {
    DiskMove { role: role.into(), ..DiskMove::default() }
}

fn desired(guest: Uuid, generation: u64, goal: Goal, disks: Option<DiskMove>) -> DesiredGuest {
    DesiredGuest { disks, ..agents_service::desired(guest, generation, goal, 1, &GuestSpec::default()) }
}

#[tokio::test]
async fn disks_follow_the_guest_and_come_back() {
    let authority = authority();
    let with_certificates = [Some(certificates(&authority, "h1")), Some(certificates(&authority, "h2"))];
    for [source, target] in [[None, None], with_certificates] {
        let hosts = Hosts::start(source, target).await;
        hosts.leave().await;
        let data = hosts.source.data(MIGRATION);
        assert_ne!(data, 0);
        assert_eq!(
            (hosts.source.guest(GUEST).0, hosts.source.guest(MIGRATION).0),
            (ObservedState::Absent, ObservedState::Shelved)
        );
        hosts.offer(3, Some(TICKET)).await;
        let arrived = hosts.service.reconcile("h2", hosts.fetching(3, TICKET, "h1")).await;
        assert_eq!((arrived.state(), arrived.error.as_str()), (State::Running, ""));
        assert_eq!((hosts.target.data(GUEST), hosts.source.data(MIGRATION)), (data, data));

        // Back: the target's are removed, the source's are taken back.
        let gone = hosts.service.reconcile("h2", desired(GUEST, 4, Goal::Absent, None)).await;
        assert_eq!(gone.state(), State::Absent);
        let disks = DiskMove { migration: MIGRATION.to_string(), ..role(Role::TakeBack) };
        let back = hosts.service.reconcile("h1", desired(GUEST, 5, Goal::Running, Some(disks))).await;
        assert_eq!((back.state(), back.error.as_str()), (State::Running, ""));
        assert_eq!(hosts.source.data(GUEST), data);
        // The agent notices that the disks of the migration have gone.
        hosts.service.wait_for_state(MIGRATION, State::Absent).await;
        assert_eq!(hosts.source.guest(MIGRATION).0, ObservedState::Absent);
    }
}

#[tokio::test]
async fn disks_need_the_ticket_while_they_are_offered() {
    let hosts = Hosts::start(None, None).await;
    hosts.leave().await;
    hosts.offer(3, Some(TICKET)).await;
    let refused = hosts.service.reconcile("h2", hosts.fetching(3, "another", "h1")).await;
    assert!(refused.error.contains("not offered with this ticket"), "{}", refused.error);
    assert!(refused.is_transient && refused.state() == State::Absent);
    hosts.offer(4, None).await;
    let refused = hosts.service.reconcile("h2", hosts.fetching(4, TICKET, "h1")).await;
    assert!(refused.error.contains("not offered"), "{}", refused.error);
    assert_eq!(hosts.target.data(GUEST), 0);
    // An offer that comes late is found: the fetch is tried again.
    hosts.service.send_desired("h2", hosts.fetching(5, TICKET, "h1")).await;
    hosts.offer(5, Some(TICKET)).await;
    assert_eq!(hosts.service.settled(GUEST, 5).await.state(), State::Running);
}

#[tokio::test]
async fn the_source_has_to_be_the_host_that_it_says_it_is() {
    let (own, foreign) = (authority(), authority());
    let target = certificates(&own, "h2");
    for (source, name) in
        [(certificates(&own, "h9"), "not valid for"), (certificates(&foreign, "h1"), "certificate")]
    {
        let hosts = Hosts::start(Some(source), Some(target.clone())).await;
        hosts.leave().await;
        hosts.offer(3, Some(TICKET)).await;
        let refused = hosts.service.reconcile("h2", hosts.fetching(3, TICKET, "h1")).await;
        assert!(refused.error.contains(name), "{}", refused.error);
        assert_eq!(hosts.target.data(GUEST), 0);
    }
}

#[tokio::test]
async fn a_guest_whose_disks_cannot_be_had_is_reported() {
    let hosts = Hosts::start(None, None).await;
    let nowhere =
        DiskMove { migration: MIGRATION.to_string(), source_host: "h1".to_owned(), ..role(Role::Fetch) };
    let refused = hosts.service.reconcile("h2", desired(GUEST, 1, Goal::Running, Some(nowhere))).await;
    assert_eq!(refused.error, "desired_guest.disks: host \"h1\" offers no disks");
    let disks = DiskMove { migration: MIGRATION.to_string(), ..role(Role::TakeBack) };
    let refused = hosts.service.reconcile("h1", desired(GUEST, 2, Goal::Running, Some(disks))).await;
    assert_eq!((refused.state(), refused.error.as_str()), (State::Absent, "no disks are set aside"));
    // A step that fails leaves the disks where they are.
    let hosts = Hosts::start(None, None).await;
    hosts.source.fail_next(GuestStep::SetAside(MIGRATION), Fault::permanent("the disk is full"));
    hosts.service.reconcile("h1", desired(GUEST, 1, Goal::Running, None)).await;
    let disks = DiskMove { migration: MIGRATION.to_string(), ..role(Role::SetAside) };
    let kept = hosts.service.reconcile("h1", desired(GUEST, 2, Goal::Outgoing, Some(disks))).await;
    assert_eq!((kept.state(), kept.error.as_str()), (State::Shelved, "the disk is full"));
    let missing = hosts.service.reconcile("h1", desired(Uuid::from_u128(9), 1, Goal::Outgoing, None)).await;
    assert_eq!(
        missing.error,
        "desired_guest.disks: missing; the goal OUTGOING sets them aside, or returns them"
    );
}
