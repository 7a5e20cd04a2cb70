//! An agent whose guests are a table.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::agent_message::Message;
use berth_api::v1::agents_client::AgentsClient;
use berth_api::v1::desired_guest::Goal;
use berth_api::v1::disk_move::Role;
use berth_api::v1::guest_report::State;
use berth_api::v1::service_message::Message as ServiceEvent;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;
use tonic::transport::Channel;
use uuid::Uuid;

/// What a host has that outlives its agent.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// What it offers, unless it is [`tree`].
    pub(crate) providers: Option<v1::ProviderTree>,
    pub(crate) guests: BTreeMap<String, v1::GuestReport>,
    /// Why builds fail, as long as they do.
    pub(crate) broken: Option<String>,
    /// Whether a build that fails leaves a running guest, which does not go when it should.
    pub(crate) is_stuck: bool,
    /// Identifies its storage; empty for storage of its own.
    pub(crate) storage: String,
    /// Whether a guest elsewhere uses the disks on the shared storage, whatever a fence record
    /// says.
    pub(crate) disks_are_in_use: bool,
    /// How other hosts send guests to it; none if they cannot.
    pub(crate) migration_target: Option<v1::MigrationTarget>,
    /// Whether its hypervisor is of an earlier release.
    pub(crate) is_old: bool,
    /// The features of the CPUs that it gives guests.
    pub(crate) cpu_features: Vec<String>,
    /// Those of them that its guests do not have.
    pub(crate) missing_cpu_features: Vec<String>,
    /// Why it can receive no guests, as long as that is so.
    pub(crate) refuses_guests: Option<String>,
    /// Whether desired guests are only recorded.
    pub(crate) lazy: bool,
    /// Whether there are no heartbeats.
    pub(crate) is_faint: bool,
    /// Heartbeats that were sent.
    pub(crate) heartbeats: u32,
    pub(crate) desired: Vec<v1::DesiredGuest>,
    pub(crate) refusals: Vec<v1::Failure>,
    /// What guests have written to their consoles, unless the agent is of a version that has none.
    pub(crate) console: Option<String>,
}

pub(crate) struct ScriptedAgent {
    pub(crate) machine: Arc<Mutex<Machine>>,
    sender: mpsc::UnboundedSender<v1::AgentMessage>,
    task: JoinHandle<()>,
}

pub(crate) fn host_uuid(name: &str) -> Uuid {
    let number = name.bytes().fold(7_u128, |sum, byte| sum * 257 + u128::from(byte));
    Uuid::from_u128(0xa << 124 | number)
}

/// The UUID of the child with the name `HOST_SUFFIX`.
pub(crate) fn child_uuid(host: &str, suffix: &str) -> Uuid {
    Uuid::new_v5(&host_uuid(host), format!("_{suffix}").as_bytes())
}

pub(crate) fn tree(name: &str) -> v1::ProviderTree {
    let of = |total| v1::Inventory { total, allocation_ratio: 1.0, ..v1::Inventory::default() };
    let amounts = [("VCPU", 8), ("MEMORY_MB", 8192), ("DISK_GB", 100)];
    let root = v1::AgentProvider {
        uuid: host_uuid(name).to_string(),
        name: name.to_owned(),
        inventories: amounts.into_iter().map(|(class, total)| (class.to_owned(), of(total))).collect(),
        traits: vec!["HW_CPU_X86_AVX2".to_owned()],
        ..v1::AgentProvider::default()
    };
    v1::ProviderTree { providers: vec![root] }
}

impl ScriptedAgent {
    pub(crate) async fn join(channel: Channel, name: &str) -> Self {
        Self::join_with(channel, name, Arc::default()).await
    }

    pub(crate) async fn join_with(channel: Channel, name: &str, machine: Arc<Mutex<Machine>>) -> Self {
        Self::join_as(channel, name, "", machine).await.unwrap()
    }

    /// As a start of an agent that has this nonce, if it is let in.
    pub(crate) async fn join_as(
        channel: Channel,
        name: &str,
        boot_nonce: &str,
        machine: Arc<Mutex<Machine>>,
    ) -> Result<Self, Status> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let hypervisor = machine.lock().unwrap().hypervisor();
        let hello = v1::Hello {
            host: name.to_owned(),
            host_uuid: host_uuid(name).to_string(),
            hypervisor: Some(hypervisor),
            boot_nonce: boot_nonce.to_owned(),
        };
        say(&sender, Message::Hello(hello));
        let providers = machine.lock().unwrap().providers.clone();
        say(&sender, Message::Providers(providers.unwrap_or_else(|| tree(name))));
        for guest in machine.lock().unwrap().guests.values() {
            say(&sender, Message::Guest(guest.clone()));
        }
        say(&sender, Message::AllReported(v1::AllReported {}));
        let messages =
            AgentsClient::new(channel).join(UnboundedReceiverStream::new(receiver)).await?.into_inner();
        let task = tokio::spawn(serve(messages, sender.clone(), Arc::clone(&machine)));
        Ok(Self { machine, sender, task })
    }

    /// The agent of a host that receives guests. Hosts with the same storage share disks.
    pub(crate) async fn receiving(channel: Channel, name: &str, storage: &str) -> Self {
        let machine = Machine { storage: storage.to_owned(), ..Machine::default() };
        Self::receiving_on(channel, name, machine).await
    }

    /// The agent of this host, which receives guests.
    pub(crate) async fn receiving_on(channel: Channel, name: &str, machine: Machine) -> Self {
        let target = v1::MigrationTarget { uri: format!("test:///{name}"), ..v1::MigrationTarget::default() };
        let machine = Machine { migration_target: Some(target), ..machine };
        Self::join_with(channel, name, Arc::new(Mutex::new(machine))).await
    }

    /// The goals that were desired of a guest.
    pub(crate) fn goals(&self, instance: &str) -> Vec<Goal> {
        let machine = self.machine.lock().unwrap();
        machine.desired.iter().filter(|of| of.instance == instance).map(v1::DesiredGuest::goal).collect()
    }

    /// The latest live migration of a guest that the service has sent.
    pub(crate) fn last_transfer(&self, instance: &str) -> v1::Transfer {
        let machine = self.machine.lock().unwrap();
        let mut transfers = machine.desired.iter().rev().filter(|of| of.instance == instance);
        transfers.find_map(|of| of.transfer.clone()).unwrap()
    }

    /// Waits until the guest is to be sent. It is on its way until one of the following.
    pub(crate) async fn until_sending(&self, instance: &str) {
        let is_sent = || {
            let machine = self.machine.lock().unwrap();
            let last = machine.desired.iter().rev().find(|of| of.instance == instance);
            last.is_some_and(|of| of.goal() == Goal::Leaving && is_sent(of))
        };
        for _ in 0..1000 {
            if is_sent() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{instance} is not to be sent: {:?}", self.goals(instance))
    }

    /// A guest that was to be sent has left.
    pub(crate) fn guest_leaves(&self, instance: &str) {
        self.conclude(instance, State::Shelved, "");
    }

    /// A guest that was to be sent stays.
    pub(crate) fn guest_stays(&self, instance: &str, state: State, error: &str) {
        self.conclude(instance, state, error);
    }

    /// A guest has arrived from another host.
    pub(crate) fn guest_arrives(&self, instance: &str) {
        self.conclude(instance, State::Running, "");
    }

    /// Reports a guest at the latest generation that was applied or is being applied.
    fn conclude(&self, instance: &str, state: State, error: &str) {
        let mut machine = self.machine.lock().unwrap();
        let is_live = |of: &&v1::DesiredGuest| of.instance == instance && of.transfer.is_some();
        let generation = machine.desired.iter().rev().find(is_live).unwrap().generation;
        let mut report = v1::GuestReport {
            instance: instance.to_owned(),
            generation,
            missing_cpu_features: machine.missing_cpu_features.clone(),
            ..v1::GuestReport::default()
        };
        report.set_state(state);
        error.clone_into(&mut report.error);
        machine.guests.insert(instance.to_owned(), report.clone());
        say(&self.sender, Message::Guest(report));
    }

    /// Applies what it has only recorded, and whatever comes from now on.
    pub(crate) fn work_off(&self) {
        let mut machine = self.machine.lock().unwrap();
        machine.lazy = false;
        let mut latest = BTreeMap::new();
        for desired in machine.desired.clone() {
            latest.insert(desired.instance.clone(), desired);
        }
        let reports: Vec<_> = latest.values().filter_map(|desired| machine.grant(desired)).collect();
        drop(machine);
        reports.into_iter().for_each(|report| say(&self.sender, Message::Guest(report)));
    }

    /// Ends without a word, as a host that lost its power.
    pub(crate) fn vanish(self) -> Arc<Mutex<Machine>> {
        self.task.abort();
        Arc::clone(&self.machine)
    }

    /// Whether the service has ended its stream.
    pub(crate) fn is_parted(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits for this many further heartbeats.
    pub(crate) async fn beat(&self, count: u32) {
        let heartbeats = || self.machine.lock().unwrap().heartbeats;
        let last = heartbeats() + count;
        while heartbeats() < last {
            assert!(!self.is_parted(), "the service has ended the stream");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn break_builds(&self, why: &str) {
        self.machine.lock().unwrap().broken = Some(why.to_owned());
    }

    pub(crate) fn guests(&self) -> Vec<String> {
        self.machine.lock().unwrap().guests.keys().cloned().collect()
    }

    /// A guest does something by itself.
    pub(crate) fn guest_becomes(&self, instance: &str, state: State) {
        let mut machine = self.machine.lock().unwrap();
        let guest = machine.guests.get_mut(instance).unwrap();
        guest.set_state(state);
        say(&self.sender, Message::Guest(guest.clone()));
    }

    pub(crate) fn say(&self, message: Message) {
        say(&self.sender, message);
    }
}

impl Drop for ScriptedAgent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn is_sent(desired: &v1::DesiredGuest) -> bool {
    desired.transfer.as_ref().is_some_and(|of| of.phase() == v1::transfer::Phase::Sending)
}

fn say(sender: &mpsc::UnboundedSender<v1::AgentMessage>, message: Message) {
    let _ = sender.send(v1::AgentMessage { message: Some(message) });
}

async fn serve(
    mut messages: tonic::Streaming<v1::ServiceMessage>,
    sender: mpsc::UnboundedSender<v1::AgentMessage>,
    machine: Arc<Mutex<Machine>>,
) {
    let mut beat = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            message = messages.message() => match message {
                Ok(Some(v1::ServiceMessage { message: Some(ServiceEvent::DesiredGuest(desired)) })) => {
                    let report = machine.lock().unwrap().grant(&desired);
                    report.into_iter().for_each(|report| say(&sender, Message::Guest(report)));
                }
                Ok(Some(v1::ServiceMessage { message: Some(ServiceEvent::ProvidersRefused(failure)) })) => {
                    machine.lock().unwrap().refusals.push(failure);
                }
                Ok(Some(v1::ServiceMessage { message: Some(ServiceEvent::Console(wanted)) })) => {
                    let reply = machine.lock().unwrap().console(&wanted);
                    reply.into_iter().for_each(|reply| say(&sender, Message::Console(reply)));
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            },
            _ = beat.tick() => {
                let mut machine = machine.lock().unwrap();
                if !machine.is_faint {
                    machine.heartbeats += 1;
                    say(&sender, Message::Heartbeat(v1::Heartbeat { disk_available_gb: 90 }));
                }
            }
        }
    }
}

impl Machine {
    /// The answer to a request for console output; none of an earlier version.
    fn console(&self, wanted: &v1::ConsoleRequest) -> Option<v1::ConsoleReply> {
        let output = self.console.clone()?;
        let error = if self.guests.contains_key(&wanted.instance) { "" } else { "there is no such guest" };
        let (request, output) = (wanted.request, if error.is_empty() { output } else { String::new() });
        Some(v1::ConsoleReply { request, output: output.into_bytes().into(), error: error.to_owned() })
    }

    fn hypervisor(&self) -> v1::Hypervisor {
        v1::Hypervisor {
            kind: "QEMU".to_owned(),
            version: if self.is_old { 6_002_000 } else { 7_002_000 },
            architecture: "x86_64".to_owned(),
            address: "127.0.0.1".to_owned(),
            disks_port: 1,
            storage: self.storage.clone(),
            migration_target: self.migration_target.clone(),
            cpu_features: self.cpu_features.clone(),
            ..v1::Hypervisor::default()
        }
    }

    /// Why the guest cannot be built, if nothing of it is here.
    fn missing_disks(&self, desired: &v1::DesiredGuest) -> Option<&'static str> {
        let disks = desired.disks.clone().unwrap_or_default();
        let has = |guest: &str| self.guests.contains_key(guest);
        if has(&desired.instance) {
            None
        } else if disks.role() == Role::Adopt && self.disks_are_in_use {
            Some("a process uses the disk")
        } else if disks.role() == Role::TakeBack && !has(&disks.migration) {
            Some("no disks are set aside")
        } else {
            desired.must_exist.then_some("the guest is lost")
        }
    }

    /// Sets the disks of a guest aside, or takes them back.
    fn hand_over_disks(&mut self, desired: &v1::DesiredGuest) {
        let Some(disks) = &desired.disks else { return };
        match disks.role() {
            Role::SetAside if self.guests.contains_key(&desired.instance) => {
                let mut kept =
                    v1::GuestReport { instance: disks.migration.clone(), ..v1::GuestReport::default() };
                kept.set_state(State::Shelved);
                self.guests.insert(disks.migration.clone(), kept);
            }
            Role::TakeBack => drop(self.guests.remove(&disks.migration)),
            _ => {}
        }
    }

    /// Takes part in a live migration. What is sent is on its way until the test says what becomes
    /// of it.
    fn take_part(&mut self, desired: &v1::DesiredGuest) -> Option<v1::GuestReport> {
        let known = self.guests.get(&desired.instance);
        let mut report = known.cloned().unwrap_or_default();
        report.instance.clone_from(&desired.instance);
        report.generation = desired.generation;
        report.error.clear();
        match (desired.goal(), known.map(v1::GuestReport::state)) {
            (Goal::Leaving, Some(State::Running | State::Paused)) if is_sent(desired) => return None,
            (Goal::Arriving, None) => match &self.refuses_guests {
                Some(why) => {
                    report.error.clone_from(why);
                    report.set_state(State::Absent);
                    return Some(report);
                }
                None => report.set_state(State::Shelved),
            },
            (Goal::Leaving, None) => report.set_state(State::Absent),
            _ => {}
        }
        self.guests.insert(desired.instance.clone(), report.clone());
        Some(report)
    }

    /// Makes the guest so at once.
    fn grant(&mut self, desired: &v1::DesiredGuest) -> Option<v1::GuestReport> {
        self.desired.push(desired.clone());
        if self.lazy {
            return None;
        }
        let known = self.guests.get(&desired.instance);
        if known.is_some_and(|known| known.generation.max(known.known_generation) > desired.generation) {
            return None;
        }
        // As the agent: what was applied is not enforced again, only reported.
        if let Some(known) =
            known.filter(|known| known.generation == desired.generation && known.error.is_empty())
            && desired.goal() != Goal::Absent
        {
            return Some(known.clone());
        }
        if desired.transfer.is_some() {
            return self.take_part(desired);
        }
        let mut report = v1::GuestReport {
            instance: desired.instance.clone(),
            generation: desired.generation,
            boot: desired.boot,
            missing_cpu_features: self.missing_cpu_features.clone(),
            ..v1::GuestReport::default()
        };
        if self.is_stuck && desired.goal() == Goal::Absent {
            return None;
        }
        report.rebuilt = self.guests.get(&desired.instance).map_or(0, |known| known.rebuilt);
        report.is_rescue = desired.spec.as_ref().is_some_and(|spec| spec.rescue_image.is_some());
        if desired.rebuild {
            report.rebuilt = desired.generation;
        }
        if let (Some(why), Goal::Running) = (&self.broken, desired.goal()) {
            report.error.clone_from(why);
            if self.is_stuck {
                report.set_state(State::Running);
                self.guests.insert(desired.instance.clone(), report.clone());
                return Some(report);
            }
            report.set_state(State::Absent);
            self.guests.remove(&desired.instance);
            return Some(report);
        }
        if !matches!(desired.goal(), Goal::Absent | Goal::Outgoing)
            && let Some(why) = self.missing_disks(desired)
        {
            report.error = why.to_owned();
            report.set_state(State::Absent);
            return Some(report);
        }
        self.hand_over_disks(desired);
        report.set_state(match desired.goal() {
            Goal::Running => State::Running,
            Goal::Stopped => State::ShutDown,
            Goal::Paused => State::Paused,
            Goal::Suspended => State::Saved,
            Goal::Shelved => State::Shelved,
            Goal::Absent | Goal::Outgoing | Goal::Unspecified | Goal::Leaving | Goal::Arriving => {
                State::Absent
            }
        });
        if report.state() == State::Absent {
            self.guests.remove(&desired.instance);
        } else {
            self.guests.insert(desired.instance.clone(), report.clone());
        }
        Some(report)
    }
}
