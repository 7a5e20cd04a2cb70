//! Telling instances whenever they change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_api::v1;
use berth_fleet::Instance;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};
use uuid::Uuid;

use super::message::instance;
use crate::fleet::FleetHandle;
use crate::grpc::call;
use crate::grpc::deadline::Deadline;
use crate::grpc::{field, stopped};
use crate::request::{Epoch, Purpose};
use crate::service::Service;

/// Instances that a client may be behind before changes wait for it.
const BEHIND: usize = 64;

/// How often to look whether the store failed and was loaded again.
const LOOK: Duration = Duration::from_secs(1);

type Told = Result<v1::Instance, Status>;

/// Why a stream ends when the state is another.
const ANEW: &str = "the state was read again; begin anew";

pub(super) fn serve(
    service: Arc<Service>,
    stopping: watch::Receiver<bool>,
    request: Request<v1::WatchInstancesRequest>,
) -> Result<ReceiverStream<Told>, Status> {
    let epoch = call::begin(&service, request.extensions(), Purpose::Read)?;
    let deadline = request.extensions().get().copied().unwrap_or_default();
    let wanted = request.into_inner();
    let instances = field::uuids("instances", &wanted.instances, 10_000)?;
    let (sender, receiver) = mpsc::channel(BEHIND);
    let watch = Watch { project: wanted.project, instances, told: BTreeMap::new(), sender };
    tokio::spawn(async move {
        tokio::select! {
            () = watch.run(&service, &epoch, deadline) => {}
            () = stopped(stopping) => {}
        }
    });
    Ok(ReceiverStream::new(receiver))
}

struct Watch {
    project: String,
    instances: Vec<Uuid>,
    /// What each instance was when it was told last.
    told: BTreeMap<Uuid, v1::Instance>,
    sender: mpsc::Sender<Told>,
}

impl Watch {
    /// Tells what changes, and in the end why no more is told.
    async fn run(mut self, service: &Service, epoch: &Arc<Epoch>, deadline: Deadline) {
        let sender = self.sender.clone();
        let ended = tokio::select! {
            ended = self.follow(epoch) => ended,
            () = sender.closed() => return,
            () = replaced(service, epoch) => Status::unavailable(ANEW),
            () = deadline.passed() => Status::deadline_exceeded("the time is up"),
        };
        let _ = sender.send(Err(ended)).await; // the client may be gone
    }

    /// Tells what changes, for as long as that can be told.
    async fn follow(&mut self, epoch: &Epoch) -> Status {
        let mut changes = epoch.fleet.watch();
        let mut due = self.wanted(&epoch.fleet);
        loop {
            if let Err(ended) = self.tell(epoch, &due).await {
                return ended;
            }
            due = match next(&mut changes).await {
                Ok(due) => due,
                Err(RecvError::Lagged(_)) => {
                    self.told.keys().copied().chain(self.wanted(&epoch.fleet)).collect()
                }
                Err(RecvError::Closed) => return Status::unavailable(ANEW),
            };
        }
    }

    /// Tells those of the instances that are not as they were told last.
    async fn tell(&mut self, epoch: &Epoch, due: &[Uuid]) -> Result<(), Status> {
        let mut news: BTreeMap<Uuid, Option<v1::Instance>> = BTreeMap::new();
        for &uuid in due {
            news.insert(uuid, self.look(&epoch.fleet, uuid));
        }
        epoch.settled().await.map_err(|unknown| call::outcome_unknown(&unknown))?;
        for (uuid, now) in news {
            let told = match (self.told.get(&uuid), now) {
                (before, Some(now)) if before != Some(&now) => {
                    self.told.insert(uuid, now.clone());
                    now
                }
                (Some(_), None) => match self.told.remove(&uuid) {
                    Some(last) => deleted(last),
                    None => continue,
                },
                _ => continue,
            };
            self.sender.send(Ok(told)).await.map_err(|_| Status::cancelled("the client is gone"))?;
        }
        Ok(())
    }

    fn look(&self, fleet: &FleetHandle, uuid: Uuid) -> Option<v1::Instance> {
        fleet.read(|fleet| {
            let known = fleet.state().instance(uuid).filter(|known| self.wants(known))?;
            Some(instance(fleet, known))
        })
    }

    fn wanted(&self, fleet: &FleetHandle) -> Vec<Uuid> {
        let known = fleet.read(|fleet| fleet.instances(|known| self.wants(known)));
        known.iter().map(|known| known.uuid).collect()
    }

    fn wants(&self, known: &Instance) -> bool {
        let named = || self.instances.contains(&known.uuid);
        (self.project.is_empty() || self.project == known.spec.project)
            && (self.instances.is_empty() || named())
    }
}

/// The instances that changed next.
async fn next(changes: &mut broadcast::Receiver<Uuid>) -> Result<Vec<Uuid>, RecvError> {
    let mut due = vec![changes.recv().await?];
    loop {
        match changes.try_recv() {
            Ok(uuid) => due.push(uuid),
            Err(TryRecvError::Lagged(missed)) => return Err(RecvError::Lagged(missed)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(due),
        }
    }
}

/// Done when the service works with another state, or with none.
async fn replaced(service: &Service, epoch: &Arc<Epoch>) {
    while Arc::ptr_eq(epoch, &service.epoch()) {
        tokio::time::sleep(LOOK).await;
    }
}

fn deleted(last: v1::Instance) -> v1::Instance {
    let (status, vm_state) = ("DELETED".to_owned(), "deleted".to_owned());
    v1::Instance { status, vm_state, task_state: String::new(), power_state: "NOSTATE".to_owned(), ..last }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use axum::http::HeaderMap;
    use tokio_stream::StreamExt;
    use tonic::Code;

    use super::*;
    use crate::request::Access;
    use crate::service::Options;

    /// A stream of a service that goes on, for a client with so much patience.
    fn watch(service: &Arc<Service>, patience: &'static str) -> Result<ReceiverStream<Told>, Status> {
        static STOPPING: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));
        let mut request = Request::new(v1::WatchInstancesRequest::default());
        let headers = HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), patience.parse().unwrap())]);
        request.extensions_mut().insert(Deadline::of(&headers));
        serve(Arc::clone(service), STOPPING.subscribe(), request)
    }

    async fn end(mut watched: ReceiverStream<Told>) -> Code {
        let told = tokio::time::timeout(Duration::from_secs(20), watched.next()).await;
        told.expect("it ends").unwrap().unwrap_err().code()
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_state_that_it_tells() {
        let service = Arc::new(Service::new(Options::noauth2()));
        let watched = watch(&service, "1H").unwrap();
        let epoch = service.epoch();
        let (index, fleet) = (Arc::clone(&epoch.index), Arc::clone(&epoch.fleet));
        service.enter(Epoch { index, fleet, access: Access::Down("the disk is gone".into()) });
        assert_eq!(end(watched).await, Code::Unavailable);
        let refused = watch(&service, "1H").unwrap_err();
        assert_eq!(refused.message(), "the state is being read again, because the disk is gone");
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_deadline() {
        let service = Arc::new(Service::new(Options::noauth2()));
        assert_eq!(watch(&service, "0m").unwrap_err().code(), Code::DeadlineExceeded);
        assert_eq!(end(watch(&service, "50m").unwrap()).await, Code::DeadlineExceeded);
    }
}
