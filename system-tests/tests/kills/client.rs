//! A client that makes instances, does things to them and deletes them, whether or not it is
//! answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::fleet_client::FleetClient;
use berth_api::v1::instances_client::InstancesClient;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::tally::{Deletion, Order, Tally};
use berth_system_tests::books::Action;

/// Instances of one client, about.
const MANY: usize = 8;

/// After an answer, and after none.
const PAUSE: Duration = Duration::from_millis(5);

pub(crate) struct Client {
    instances: InstancesClient<Channel>,
    fleet: FleetClient<Channel>,
    pub(crate) tally: Tally,
    rng: ChaCha8Rng,
    number: u64,
    orders: u64,
}

/// What can be done to an instance with this status.
fn possible(status: &str) -> &'static [Action] {
    match status {
        "ACTIVE" => {
            &[Action::Stop, Action::Pause, Action::Suspend, Action::Reboot, Action::Shelve, Action::Migrate]
        }
        "VERIFY_RESIZE" => &[Action::Confirm, Action::Revert],
        "SHUTOFF" => &[Action::Start, Action::Shelve],
        "PAUSED" => &[Action::Unpause],
        "SUSPENDED" => &[Action::Resume],
        "SHELVED_OFFLOADED" => &[Action::Unshelve],
        _ => &[],
    }
}

/// What an answer, or none, says of what was asked for.
enum Outcome {
    Done,
    Refused,
    Unknown,
}

impl Outcome {
    fn of<T>(answer: &Result<T, Status>) -> Self {
        match answer.as_ref().map_err(Status::code) {
            Ok(_) => Self::Done,
            Err(Code::FailedPrecondition | Code::ResourceExhausted | Code::NotFound) => Self::Refused,
            Err(
                Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal | Code::DeadlineExceeded,
            ) => Self::Unknown,
            Err(code) => panic!("nobody asked for anything that is {code:?}"),
        }
    }
}

impl Client {
    pub(crate) fn new(number: u64, seed: u64, channel: &Channel) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed ^ (number << 32));
        let (instances, fleet) = (InstancesClient::new(channel.clone()), FleetClient::new(channel.clone()));
        Self { instances, fleet, tally: Tally::default(), rng, number, orders: 0 }
    }

    /// Asks for one thing after another.
    pub(crate) async fn run(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.ask().await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks again for what was not answered, until it is.
    pub(crate) async fn finish(&mut self) {
        while self.tally.order.is_some() {
            self.ask().await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask(&mut self) {
        if let Some(order) = self.tally.order.clone() {
            return self.create(&order).await;
        }
        if self.tally.instances.len() < MANY && self.rng.random_bool(0.3) {
            self.orders += 1;
            let name = format!("c{}-{}", self.number, self.orders);
            let (count, apart) = (self.rng.random_range(1..=3), self.rng.random_bool(0.5));
            let order = Order { name, count, apart };
            self.tally.order = Some(order.clone());
            return self.create(&order).await;
        }
        let uuids: Vec<String> = self.tally.instances.keys().cloned().collect();
        let Some(uuid) = uuids.choose(&mut self.rng) else { return };
        if self.rng.random_bool(0.15) { self.delete(uuid).await } else { self.act(uuid).await }
    }

    async fn create(&mut self, order: &Order) {
        let Some(group) = self.group(order).await else { return };
        let hints = group.map(|group| ("group".to_owned(), v1::Hints { values: vec![group] }));
        let wanted = v1::CreateInstancesRequest {
            name: order.name.clone(),
            flavor: "small".to_owned(),
            project: "p".to_owned(),
            user: "u".to_owned(),
            min_count: order.count,
            hints: hints.into_iter().collect(),
            idempotency_key: order.name.clone(),
            ..v1::CreateInstancesRequest::default()
        };
        let answer = self.instances.create(wanted).await;
        match Outcome::of(&answer) {
            Outcome::Done => {
                let made = answer.expect("it is done").into_inner().instances;
                assert_eq!(made.len(), order.count as usize, "{order:?}");
                made.into_iter().for_each(|instance| self.tally.add(instance.uuid));
            }
            Outcome::Refused => {}
            Outcome::Unknown => return,
        }
        self.tally.order = None;
        self.tally.answers += 1;
    }

    /// The group of an order that wants one; nothing if nobody answers.
    async fn group(&mut self, order: &Order) -> Option<Option<String>> {
        if !order.apart {
            return Some(None);
        }
        let all = v1::ListServerGroupsRequest { page_size: 1000, ..v1::ListServerGroupsRequest::default() };
        let known = self.fleet.list_server_groups(all).await.ok()?.into_inner().groups;
        if let Some(group) = known.into_iter().find(|group| group.name == order.name) {
            return Some(Some(group.uuid));
        }
        let wanted = v1::CreateServerGroupRequest {
            name: order.name.clone(),
            policy: v1::server_group::Policy::AntiAffinity.into(),
            project: "p".to_owned(),
            ..v1::CreateServerGroupRequest::default()
        };
        Some(Some(self.fleet.create_server_group(wanted).await.ok()?.into_inner().uuid))
    }

    async fn delete(&mut self, uuid: &str) {
        let answer = Action::Delete.ask(&mut self.instances, uuid).await;
        let outcome = Outcome::of(&answer);
        let fate = self.tally.instances.get_mut(uuid).expect("it is known");
        match outcome {
            Outcome::Done => {
                fate.deletion = Deletion::Answered;
                self.tally.answers += 1;
            }
            Outcome::Unknown if fate.deletion == Deletion::None => fate.deletion = Deletion::Asked,
            Outcome::Unknown => {}
            Outcome::Refused => panic!("a deletion is refused: {:?}", answer.err()),
        }
    }

    async fn act(&mut self, uuid: &str) {
        let fate = &self.tally.instances[uuid];
        let known: Vec<&str> = fate.statuses.iter().copied().collect();
        // Of one that may be this or that, it is not known what can be done.
        let ([status], Deletion::None) = (&known[..], fate.deletion) else { return };
        let Some(&action) = possible(status).choose(&mut self.rng) else { return };
        let goal = action.leads_to().expect("the instance stays");
        let answer = action.ask(&mut self.instances, uuid).await;
        let fate = self.tally.instances.get_mut(uuid).expect("it is known");
        match Outcome::of(&answer) {
            Outcome::Done => {
                fate.statuses = [goal].into();
                if action == Action::Migrate {
                    fate.statuses.insert("ACTIVE"); // no target could build it, because agents were killed
                }
                self.tally.answers += 1;
            }
            Outcome::Unknown => drop(fate.statuses.insert(goal)),
            Outcome::Refused => self.tally.answers += 1, // it is busy, or the fleet has no capacity
        }
    }
}
