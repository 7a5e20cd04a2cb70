//! A client with a list of actions. It requests one, waits until it is done, and requests the next.
//! After a crash it continues with the first action that it has not seen done, and repeats a
//! request without a response.

use std::time::Duration;

use berth_api::v1;
use berth_api::v1::fleet_client::FleetClient;
use berth_api::v1::instances_client::InstancesClient;
use tonic::Code;
use tonic::transport::Channel;

use crate::world::PATIENCE;
use berth_system_tests::books::named;
use berth_system_tests::books::{Action, Books};

pub(crate) struct Client {
    instances: InstancesClient<Channel>,
    actions: Vec<Action>,
    /// Of these, seen done.
    done: usize,
    /// Whether the next was answered.
    answered: bool,
    group: String,
    uuids: Vec<String>,
    /// The host that evacuations leave.
    source: String,
    /// Whether all evacuations fail.
    in_vain: bool,
}

impl Client {
    /// Makes a flavor and a group whose members are apart.
    pub(crate) async fn new(channel: &Channel) -> Self {
        let mut fleet = FleetClient::new(channel.clone());
        let flavor = v1::Flavor {
            name: "small".to_owned(),
            vcpus: 2,
            memory_mb: 512,
            root_gb: 1,
            ..v1::Flavor::default()
        };
        let wanted = v1::CreateFlavorRequest { flavor: Some(flavor) };
        fleet.create_flavor(wanted).await.expect("made");
        let group = v1::CreateServerGroupRequest {
            name: "apart".to_owned(),
            policy: v1::server_group::Policy::AntiAffinity.into(),
            project: "p".to_owned(),
            ..v1::CreateServerGroupRequest::default()
        };
        let group = fleet.create_server_group(group).await.expect("made").into_inner().uuid;
        let instances = InstancesClient::new(channel.clone());
        Self {
            instances,
            actions: Vec::new(),
            done: 0,
            answered: false,
            group,
            uuids: Vec::new(),
            source: String::new(),
            in_vain: false,
        }
    }

    pub(crate) fn add(&mut self, actions: &[Action]) {
        self.actions.extend(actions);
    }

    /// Goes on to the end of the list.
    pub(crate) async fn go_on(&mut self) {
        while let Some(&action) = self.actions.get(self.done) {
            if !self.answered {
                self.ask(action).await;
                self.answered = true;
            }
            let until = tokio::time::Instant::now() + PATIENCE;
            while !self.is_done(action).await {
                assert!(tokio::time::Instant::now() < until, "{action:?} is never done");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (self.done, self.answered) = (self.done + 1, false);
        }
    }

    /// Whether everything is as it was asked for: what was answered is done, what was not may be.
    pub(crate) fn check(&self, books: &Books) {
        let seen = if self.answered { self.done + 1 } else { self.done };
        let asked = self.actions.len().min(self.done + 1);
        let allowed = [seen, asked].map(|actions| self.after(actions));
        let [before, after] = allowed.map(|(count, _)| count);
        let found: Vec<&str> = books.instances.iter().map(|instance| instance.status.as_str()).collect();
        // Of what was not answered, some may be done already.
        let is_count = (before.min(after)..=before.max(after)).contains(&found.len());
        let is_status = |status: &&str| allowed.iter().any(|(_, allowed)| allowed == status);
        assert!(
            is_count && found.iter().all(is_status),
            "{found:?} instead of {allowed:?}; actions: {:?}, done: {}, answered: {}",
            self.actions,
            self.done,
            self.answered,
        );
    }

    /// How many instances there are after so many actions, and in which status.
    fn after(&self, actions: usize) -> (usize, &'static str) {
        let made = self.actions[..actions].iter().find_map(|action| match action {
            Action::Create(count) => Some(*count as usize),
            _ => None,
        });
        match actions.checked_sub(1).map(|last| self.actions[last].leads_to()) {
            // Its host lost its power, so the guest is off when that is back.
            Some(Some(_)) if self.in_vain => (made.unwrap_or(0), "SHUTOFF"),
            Some(Some(status)) => (made.unwrap_or(0), status),
            Some(None) | None => (0, ""),
        }
    }

    async fn is_done(&mut self, action: Action) -> bool {
        for uuid in &self.uuids {
            match (self.instances.get(named(uuid)).await, action.leads_to()) {
                (Ok(found), Some(_)) if action == Action::Evacuate && self.in_vain => {
                    if found.get_ref().status != "ERROR" {
                        return false;
                    }
                }
                (Ok(found), Some(status)) => {
                    let found = found.get_ref();
                    assert!(found.status != "ERROR", "{found:?}");
                    assert!(action != Action::LiveMigrate || found.fault.is_empty(), "{found:?}");
                    if found.status != status || !found.task_state.is_empty() {
                        return false;
                    }
                }
                (Err(status), None) if status.code() == Code::NotFound => {}
                (Ok(_), None) => return false,
                (Err(status), _) => panic!("{action:?}: {status}"),
            }
        }
        true
    }

    async fn ask(&mut self, action: Action) {
        if let Action::Create(count) = action {
            let made = self.instances.create(self.creation(count)).await.expect("the fleet has capacity");
            self.uuids = made.into_inner().instances.into_iter().map(|instance| instance.uuid).collect();
            assert_eq!(self.uuids.len(), count as usize);
        }
        for uuid in self.uuids.clone() {
            if action == Action::Evacuate {
                self.evacuate(&uuid).await;
                continue;
            }
            match action.ask(&mut self.instances, &uuid).await {
                // It was asked for before, without an answer.
                Err(status) if status.code() == Code::FailedPrecondition => {}
                asked => asked.expect("it can be done"),
            }
        }
    }

    /// Asks until it is accepted, or has been done: after a start of the service, whether hosts are
    /// down or up is known a little later.
    async fn evacuate(&mut self, uuid: &str) {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let found = self.instances.get(named(uuid)).await.expect("it exists").into_inner();
            if found.host != self.source || ["REBUILD", "ERROR"].contains(&&*found.status) {
                return;
            }
            let Err(refused) = Action::Evacuate.ask(&mut self.instances, uuid).await else { return };
            assert!(tokio::time::Instant::now() < until, "it is refused: {refused}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Notes that all instances are on this host, which they are to leave, or cannot leave.
    pub(crate) fn leaves(&mut self, host: &str, in_vain: bool) {
        host.clone_into(&mut self.source);
        self.in_vain = in_vain;
    }

    /// Whether all instances have left the host, or none has.
    pub(crate) fn is_evacuated(&self, books: &Books) -> bool {
        books.instances.iter().all(|instance| (instance.host == self.source) == self.in_vain)
    }

    fn creation(&self, count: u32) -> v1::CreateInstancesRequest {
        v1::CreateInstancesRequest {
            name: "it".to_owned(),
            flavor: "small".to_owned(),
            project: "p".to_owned(),
            user: "u".to_owned(),
            min_count: count,
            hints: [("group".to_owned(), v1::Hints { values: vec![self.group.clone()] })].into(),
            idempotency_key: "once".to_owned(),
            ..v1::CreateInstancesRequest::default()
        }
    }
}
