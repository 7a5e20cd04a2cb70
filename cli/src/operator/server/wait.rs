//! Waiting until servers reach their target state.
//!
//! Watch reports changes. What it cannot report (a server that was deleted before it began, changes
//! while the service was unavailable) is requested when it begins, and whenever it has been silent
//! for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use berth_api::v1::{GetHostRequest, Host, Instance, InstanceRequest, WatchInstancesRequest};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use super::act::verdict;
use crate::operator::connection::{Client, request};
use crate::operator::record::utc;
use crate::operator::refusal::Refusal;
use crate::output;

/// Whether and how long to wait for servers.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WaitOptions {
    /// Wait for the operation to complete; fail if a server ends in another state
    #[arg(long)]
    pub(crate) wait: bool,
    /// Wait for at most this many seconds, and fail then; the operation continues [default: as long
    /// as it takes]
    #[arg(long, value_name = "SECONDS", requires = "wait", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..) => Ok(Duration::from_secs(seconds)),
        _ => Err("has to be a number of seconds, at least 1".to_owned()),
    }
}

/// The state to wait for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    /// The server has one of these statuses and no operation in progress.
    Status(&'static [&'static str]),
    /// The server is deleted.
    Gone,
}

/// The outcome of waiting.
pub(super) struct Settled {
    /// The servers as they are now, in the order in which they were given.
    pub(super) instances: Vec<Instance>,
    /// What went wrong, one for each server.
    pub(super) failures: Vec<String>,
}

impl Settled {
    pub(super) fn verdict(&self) -> Result<()> {
        verdict(&self.failures)
    }
}

/// How long Watch may be silent before the servers are requested.
const SILENCE: Duration = Duration::from_secs(5);

/// How long the service may be unavailable, and the interval of retries.
const AWAY: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(500);

/// Waits until each is at the goal or has failed, or the time is up.
pub(super) async fn wait(
    client: &Client,
    instances: Vec<Instance>,
    goal: Goal,
    time: Option<Duration>,
) -> Result<Settled> {
    let mut waiting = Waiting::new(instances, goal);
    match time {
        None => waiting.complete(client).await?,
        Some(time) => match timeout(time, waiting.complete(client)).await {
            Ok(completed) => completed?,
            Err(_) => waiting.give_up(time),
        },
    }
    Ok(waiting.settled())
}

/// Whether the failure may be temporary.
fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled)
}

struct Waiting {
    goal: Goal,
    order: Vec<String>,
    known: BTreeMap<String, Instance>,
    /// Those that are not settled are missing.
    outcomes: BTreeMap<String, Option<String>>,
    /// Hosts that are down, as the user was informed.
    down: BTreeSet<String>,
    bar: ProgressBar,
}

impl Waiting {
    fn new(instances: Vec<Instance>, goal: Goal) -> Self {
        let order: Vec<_> = instances.iter().map(|instance| instance.uuid.clone()).collect();
        let known: BTreeMap<_, _> =
            instances.into_iter().map(|instance| (instance.uuid.clone(), instance)).collect();
        let bar = bar(known.len());
        Self { goal, order, known, outcomes: BTreeMap::new(), down: BTreeSet::new(), bar }
    }

    /// Follows the servers until all are settled, also while the service is away for a moment.
    async fn complete(&mut self, client: &Client) -> Result<()> {
        let mut heard = Instant::now();
        while !self.is_over() {
            match self.follow(client, &mut heard).await {
                Ok(()) => {}
                Err(status) if is_passing(&status) && heard.elapsed() < AWAY => sleep(RETRY).await,
                Err(status) => {
                    self.bar.finish_and_clear();
                    return Err(Refusal::from(&status).into());
                }
            }
        }
        Ok(())
    }

    /// What is not settled has failed.
    fn give_up(&mut self, time: Duration) {
        for uuid in self.due() {
            let Instance { name, status, task_state, host, .. } = &self.known[&uuid];
            let task = if task_state.is_empty() { String::new() } else { format!(", {task_state}") };
            let why = if self.down.contains(host) { format!(": host {host} is down") } else { String::new() };
            let failure = format!("{name} ({uuid}) is still {status}{task} after {} s{why}", time.as_secs());
            self.outcomes.insert(uuid, Some(failure));
        }
    }

    fn is_over(&self) -> bool {
        self.outcomes.len() == self.known.len()
    }

    /// The UUIDs of those that are not settled.
    fn due(&self) -> Vec<String> {
        self.known.keys().filter(|uuid| !self.outcomes.contains_key(*uuid)).cloned().collect()
    }

    /// Follows the servers until all are settled, or Watch ends.
    async fn follow(&mut self, client: &Client, heard: &mut Instant) -> Result<(), Status> {
        let wanted = WatchInstancesRequest { project: String::new(), instances: self.due() };
        let mut changes = client.instances().watch(wanted).await?.into_inner();
        self.look(client).await?;
        while !self.is_over() {
            *heard = Instant::now();
            match timeout(SILENCE, changes.message()).await {
                Ok(Ok(Some(instance))) => self.note(instance),
                Ok(Ok(None)) => return Err(Status::unavailable("the service ended the watch")),
                Ok(Err(status)) => return Err(status),
                Err(_) => self.look(client).await?,
            }
        }
        Ok(())
    }

    /// Requests the servers that are not settled.
    async fn look(&mut self, client: &Client) -> Result<(), Status> {
        for uuid in self.due() {
            match client
                .instances()
                .get(request(InstanceRequest { instance: uuid.clone(), project: String::new() }))
                .await
            {
                Ok(instance) => self.note(instance.into_inner()),
                Err(status) if status.code() == Code::NotFound => self.note_gone(&uuid),
                Err(status) => return Err(status),
            }
        }
        self.look_at_hosts(client).await;
        Ok(())
    }

    /// Says which hosts are down: their agents do nothing until they are back.
    async fn look_at_hosts(&mut self, client: &Client) {
        let due = self.due();
        let hosts: BTreeSet<String> = due.iter().map(|uuid| self.known[uuid].host.clone()).collect();
        for name in hosts.into_iter().filter(|host| !host.is_empty()) {
            // Waiting goes on without the host's state.
            let Ok(host) = client.fleet().get_host(request(GetHostRequest { name })).await else { continue };
            self.note_host(host.into_inner(), &due);
        }
    }

    fn note_host(&mut self, Host { name, is_up, since, .. }: Host, due: &[String]) {
        let text = if is_up {
            if !self.down.remove(&name) {
                return;
            }
            format!("host {name} is up again\n")
        } else {
            let since = if since > 0 { format!(" since {}", utc(since)) } else { String::new() };
            let waiting = due.iter().map(|uuid| &self.known[uuid]).filter(|instance| instance.host == name);
            let waiting: Vec<_> = waiting.map(|instance| instance.name.as_str()).collect();
            if !self.down.insert(name.clone()) {
                return;
            }
            format!("host {name} is down{since}; waiting until its agent is back: {}\n", waiting.join(", "))
        };
        // Standard error may be gone; the outcome is reported at the end.
        let _ = self.bar.suspend(|| output::note(&text));
    }

    fn note_gone(&mut self, uuid: &str) {
        if let Some(known) = self.known.get(uuid).cloned() {
            self.note(Instance { status: "DELETED".to_owned(), task_state: String::new(), ..known });
        }
    }

    fn note(&mut self, instance: Instance) {
        let uuid = instance.uuid.clone();
        if !self.known.contains_key(&uuid) || self.outcomes.contains_key(&uuid) {
            return;
        }
        self.bar.set_message(format!("{} {}", instance.name, doing(&instance)));
        if let Some(failure) = self.goal.outcome(&instance) {
            self.outcomes.insert(uuid.clone(), failure);
            self.bar.inc(1);
        }
        self.known.insert(uuid, instance);
    }

    fn settled(mut self) -> Settled {
        self.bar.finish_and_clear();
        let instances = self.order.iter().filter_map(|uuid| self.known.remove(uuid)).collect();
        let failures = self.order.iter().filter_map(|uuid| self.outcomes.remove(uuid).flatten()).collect();
        Settled { instances, failures }
    }
}

impl Goal {
    /// `None` while the server is not settled; else the failure, if any.
    fn outcome(self, instance: &Instance) -> Option<Option<String>> {
        let Instance { name, uuid, status, vm_state, task_state, fault, .. } = instance;
        match self {
            Self::Gone => (status == "DELETED").then_some(None),
            Self::Status(_) if status == "DELETED" => Some(Some(format!("{name} ({uuid}) was deleted"))),
            Self::Status(_) if !task_state.is_empty() || vm_state == "building" => None,
            Self::Status(wanted) if wanted.contains(&status.as_str()) => Some(None),
            Self::Status(_) if status == "ERROR" => {
                let fault = if fault.is_empty() { "the service does not say why" } else { fault };
                Some(Some(format!("{name} ({uuid}) is in ERROR: {fault}")))
            }
            Self::Status(wanted) => {
                let fault = if fault.is_empty() { String::new() } else { format!(": {fault}") };
                let wanted = wanted.join(" or ");
                Some(Some(format!("{name} ({uuid}) is {status}, not {wanted}{fault}")))
            }
        }
    }
}

/// The progress of a server, for people.
fn doing(instance: &Instance) -> &str {
    if instance.task_state.is_empty() { &instance.status } else { &instance.task_state }
}

/// On a terminal only.
fn bar(servers: usize) -> ProgressBar {
    let total = u64::try_from(servers).ok();
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} done, {elapsed}  {msg}");
    bar.set_style(style.expect("a fixed template"));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
