//! Telling instances whenever they change.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use berth_api::v1;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use uuid::Uuid;

use super::message::instance;
use crate::fleet::Fleet;
use crate::fleet::entry::Instance;
use crate::grpc::{field, stopped};
use crate::service::{Epoch, Service};

/// Instances that a client may be behind before changes wait for it.
const BEHIND: usize = 64;

/// How often to look whether the store failed and was loaded again.
const LOOK: Duration = Duration::from_secs(1);

type Told = Result<v1::Instance, Status>;

pub(super) fn serve(
    service: Arc<Service>,
    stopping: watch::Receiver<bool>,
    wanted: v1::WatchInstancesRequest,
) -> Result<ReceiverStream<Told>, Status> {
    let instances = field::uuids("instances", &wanted.instances, 10_000)?;
    let (sender, receiver) = mpsc::channel(BEHIND);
    let watch = Watch { project: wanted.project, instances, told: BTreeMap::new(), sender, stopping };
    tokio::spawn(watch.run(service));
    Ok(ReceiverStream::new(receiver))
}

struct Watch {
    project: String,
    instances: Vec<Uuid>,
    /// What each instance was when it was told last.
    told: BTreeMap<Uuid, v1::Instance>,
    sender: mpsc::Sender<Told>,
    stopping: watch::Receiver<bool>,
}

impl Watch {
    async fn run(mut self, service: Arc<Service>) {
        let epoch = service.epoch();
        let mut changes = epoch.fleet.watch();
        let all = |watch: &Self, known: &Instance| watch.wants(known);
        let mut due: Vec<Uuid> = uuids(&epoch.fleet.instances(|known| all(&self, known)));
        loop {
            if self.tell(&epoch, &due).await.is_none() {
                return;
            }
            due = match self.next(&service, &epoch, &mut changes).await {
                Some(due) => due,
                None => return,
            };
        }
    }

    /// The instances that changed next; nothing when the client is gone, or the state is another.
    async fn next(
        &self,
        service: &Service,
        epoch: &Arc<Epoch>,
        changes: &mut broadcast::Receiver<Uuid>,
    ) -> Option<Vec<Uuid>> {
        let mut stopping = pin!(stopped(self.stopping.clone()));
        loop {
            tokio::select! {
                changed = changes.recv() => match changed {
                    Ok(uuid) => {
                        let mut due = vec![uuid];
                        due.extend(std::iter::from_fn(|| changes.try_recv().ok()));
                        return Some(due);
                    }
                    Err(RecvError::Lagged(_)) => {
                        let known = uuids(&epoch.fleet.instances(|known| self.wants(known)));
                        return Some(self.told.keys().copied().chain(known).collect());
                    }
                    Err(RecvError::Closed) => return None,
                },
                () = self.sender.closed() => return None,
                () = &mut stopping => return None,
                () = tokio::time::sleep(LOOK) => {
                    if !Arc::ptr_eq(epoch, &service.epoch()) {
                        let ended = Status::unavailable("the state was read again; begin anew");
                        let _ = self.sender.send(Err(ended)).await; // the client may be gone
                        return None;
                    }
                }
            }
        }
    }

    /// Tells those of the instances that are not as they were told last.
    async fn tell(&mut self, epoch: &Epoch, due: &[Uuid]) -> Option<()> {
        let mut news: BTreeMap<Uuid, Option<v1::Instance>> = BTreeMap::new();
        for &uuid in due {
            news.insert(uuid, self.look(&epoch.fleet, uuid));
        }
        epoch.settled().await.ok()?;
        for (uuid, now) in news {
            match (self.told.get(&uuid), now) {
                (before, Some(now)) if before != Some(&now) => {
                    self.told.insert(uuid, now.clone());
                    self.sender.send(Ok(now)).await.ok()?;
                }
                (Some(_), None) => {
                    let last = self.told.remove(&uuid)?;
                    self.sender.send(Ok(deleted(last))).await.ok()?;
                }
                _ => {}
            }
        }
        Some(())
    }

    fn look(&self, fleet: &Fleet, uuid: Uuid) -> Option<v1::Instance> {
        let known = fleet.instance_by_uuid(uuid).filter(|known| self.wants(known))?;
        Some(instance(fleet, known))
    }

    fn wants(&self, known: &Instance) -> bool {
        let named = || self.instances.contains(&known.uuid());
        (self.project.is_empty() || self.project == known.project) && (self.instances.is_empty() || named())
    }
}

fn uuids(instances: &[Instance]) -> Vec<Uuid> {
    instances.iter().map(Instance::uuid).collect()
}

fn deleted(last: v1::Instance) -> v1::Instance {
    let (status, vm_state) = ("DELETED".to_owned(), "deleted".to_owned());
    v1::Instance { status, vm_state, task_state: String::new(), power_state: "NOSTATE".to_owned(), ..last }
}
