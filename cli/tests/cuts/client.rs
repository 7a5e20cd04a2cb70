//! A client with a list of deeds. It asks for one, waits until it is done, and asks for the next; after a crash it goes on with the one
//! that it has not seen done, and asks again if it had no answer.

use std::time::Duration;

use berth_api::v1;
use berth_api::v1::fleet_client::FleetClient;
use berth_api::v1::instances_client::InstancesClient;
use tonic::Code;
use tonic::transport::Channel;

use crate::books::deed::named;
use crate::books::{Books, Deed};
use crate::world::PATIENCE;

pub(crate) struct Client {
    instances: InstancesClient<Channel>,
    deeds: Vec<Deed>,
    /// Of these, seen done.
    done: usize,
    /// Whether the next was answered.
    answered: bool,
    group: String,
    uuids: Vec<String>,
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
        Self { instances, deeds: Vec::new(), done: 0, answered: false, group, uuids: Vec::new() }
    }

    pub(crate) fn add(&mut self, deeds: &[Deed]) {
        self.deeds.extend(deeds);
    }

    /// Goes on to the end of the list.
    pub(crate) async fn go_on(&mut self) {
        while let Some(&deed) = self.deeds.get(self.done) {
            if !self.answered {
                self.ask(deed).await;
                self.answered = true;
            }
            let until = tokio::time::Instant::now() + PATIENCE;
            while !self.is_done(deed).await {
                assert!(tokio::time::Instant::now() < until, "{deed:?} is never done");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (self.done, self.answered) = (self.done + 1, false);
        }
    }

    /// Whether everything is as it was asked for: what was answered is done, what was not may be.
    pub(crate) fn check(&self, books: &Books) {
        let seen = if self.answered { self.done + 1 } else { self.done };
        let asked = self.deeds.len().min(self.done + 1);
        let allowed = [seen, asked].map(|deeds| self.after(deeds));
        let [before, after] = allowed.map(|(count, _)| count);
        let found: Vec<&str> = books.instances.iter().map(|instance| instance.status.as_str()).collect();
        // Of what was not answered, some may be done already.
        let is_count = (before.min(after)..=before.max(after)).contains(&found.len());
        let is_status = |status: &&str| allowed.iter().any(|(_, allowed)| allowed == status);
        assert!(
            is_count && found.iter().all(is_status),
            "{found:?} instead of {allowed:?}; deeds: {:?}, done: {}, answered: {}",
            self.deeds,
            self.done,
            self.answered,
        );
    }

    /// How many instances there are after so many deeds, and in which status.
    fn after(&self, deeds: usize) -> (usize, &'static str) {
        let made = self.deeds[..deeds].iter().find_map(|deed| match deed {
            Deed::Create(count) => Some(*count as usize),
            _ => None,
        });
        match deeds.checked_sub(1).map(|last| self.deeds[last].leads_to()) {
            Some(Some(status)) => (made.unwrap_or(0), status),
            Some(None) | None => (0, ""),
        }
    }

    async fn is_done(&mut self, deed: Deed) -> bool {
        for uuid in &self.uuids {
            match (self.instances.get(named(uuid)).await, deed.leads_to()) {
                (Ok(found), Some(status)) => {
                    let found = found.get_ref();
                    assert!(found.status != "ERROR", "{found:?}");
                    if found.status != status || !found.task_state.is_empty() {
                        return false;
                    }
                }
                (Err(status), None) if status.code() == Code::NotFound => {}
                (Ok(_), None) => return false,
                (Err(status), _) => panic!("{deed:?}: {status}"),
            }
        }
        true
    }

    async fn ask(&mut self, deed: Deed) {
        if let Deed::Create(count) = deed {
            let made = self.instances.create(self.creation(count)).await.expect("there is room");
            self.uuids = made.into_inner().instances.into_iter().map(|instance| instance.uuid).collect();
            assert_eq!(self.uuids.len(), count as usize);
        }
        for uuid in self.uuids.clone() {
            match deed.ask(&mut self.instances, &uuid).await {
                // It was asked for before, without an answer.
                Err(status) if status.code() == Code::FailedPrecondition => {}
                asked => asked.expect("it can be done"),
            }
        }
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
