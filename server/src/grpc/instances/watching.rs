//! Streams of instances, as they are and whenever they change.
//!
//! A stream keeps the number of the version that it sent last of each instance, and no message. A
//! client that falls behind the changes gets the present version of what has changed meanwhile; one
//! that reads nothing at all for a while loses its stream. One caller has a bound of streams, and
//! so have all.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use berth_api::v1;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::Stream;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use super::versions::{Published, Publishers, READ_AGAIN, Version, deleted};
use crate::budget::{Budget, Exceeded, Lease};
use crate::grpc::call;
use crate::grpc::deadline::Deadline;
use crate::grpc::identity::CallerKey;
use crate::grpc::status::refused;
use crate::grpc::{field, stopped};
use crate::request::{Epoch, Purpose};
use crate::service::Service;

/// Streams of one caller, and in all.
const STREAMS_OF_ONE: usize = 256;
const STREAMS: usize = 1024;

/// Messages that are ready for a client before it reads them.
const READY: usize = 4;

/// How often to look whether the store failed and was loaded again.
const LOOK: Duration = Duration::from_secs(1);

/// The shared state of the streams.
pub(super) struct Watching {
    publishers: Publishers,
    streams: Arc<Budget>,
}

impl Default for Watching {
    fn default() -> Self {
        Self { publishers: Publishers::default(), streams: Budget::new(STREAMS, STREAMS_OF_ONE) }
    }
}

impl Watching {
    pub(super) fn serve(
        &self,
        service: Arc<Service>,
        stopping: watch::Receiver<bool>,
        request: Request<v1::WatchInstancesRequest>,
    ) -> Result<Messages, Status> {
        let epoch = call::begin(&service, request.extensions(), Purpose::Read)?;
        let deadline = request.extensions().get().copied().unwrap_or_default();
        let CallerKey(caller) = CallerKey::behind(&request);
        let v1::WatchInstancesRequest { project, instances } = request.into_inner();
        let instances = field::uuids("instances", &instances, 10_000)?.into_iter().collect();
        let place = self.streams.lease(&caller, 1).map_err(|exceeded| self.too_many(exceeded))?;
        let published = self.publishers.of(&epoch);
        let (sender, receiver) = mpsc::channel(READY);
        let (end, ended) = oneshot::channel();
        let watch = Watch { wanted: Wanted { project, instances }, published, sent: BTreeMap::new(), sender };
        tokio::spawn(async move {
            let reason = tokio::select! {
                reason = watch.run(&service, &epoch, deadline) => reason,
                () = stopped(stopping) => None,
            };
            if let Some(reason) = reason {
                let _ = end.send(reason); // the client may be gone
            }
        });
        Ok(Messages { receiver, ended: Some(ended), _place: place })
    }

    fn too_many(&self, exceeded: Exceeded) -> Status {
        let most = self.streams.bound(exceeded);
        let of = if exceeded == Exceeded::Caller { "this caller has" } else { "there are" };
        refused(
            Code::ResourceExhausted,
            "TOO_MANY_STREAMS",
            format!("{of} {most} streams that watch instances already"),
        )
    }
}

/// The messages of a stream, and why it ends.
pub(crate) struct Messages {
    receiver: mpsc::Receiver<Arc<v1::Instance>>,
    ended: Option<oneshot::Receiver<Status>>,
    _place: Lease,
}

impl Stream for Messages {
    type Item = Result<v1::Instance, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(message) = ready!(self.receiver.poll_recv(context)) {
            return Poll::Ready(Some(Ok(Arc::unwrap_or_clone(message))));
        }
        let Some(ended) = &mut self.ended else { return Poll::Ready(None) };
        let reason = ready!(Pin::new(ended).poll(context));
        self.ended = None;
        Poll::Ready(reason.ok().map(Err))
    }
}

/// Which instances a client watches.
struct Wanted {
    /// Those of the project; of all, if it is empty.
    project: String,
    /// These; all, if there are none.
    instances: BTreeSet<Uuid>,
}

impl Wanted {
    fn accepts(&self, uuid: Uuid, instance: &v1::Instance) -> bool {
        (self.project.is_empty() || self.project == instance.project)
            && (self.instances.is_empty() || self.instances.contains(&uuid))
    }
}

struct Watch {
    wanted: Wanted,
    published: Arc<Published>,
    /// The version of each instance that was sent last.
    sent: BTreeMap<Uuid, u64>,
    sender: mpsc::Sender<Arc<v1::Instance>>,
}

impl Watch {
    /// Sends what changes; returns why it ends, if the client is still there.
    async fn run(mut self, service: &Service, epoch: &Arc<Epoch>, deadline: Deadline) -> Option<Status> {
        let (sender, patience) = (self.sender.clone(), service.options.limits.write_time);
        tokio::select! {
            reason = self.follow(patience) => Some(reason),
            () = sender.closed() => None,
            () = replaced(service, epoch) => Some(Status::unavailable(READ_AGAIN)),
            () = deadline.passed() => Some(Status::deadline_exceeded("the time is up")),
        }
    }

    async fn follow(&mut self, patience: Duration) -> Status {
        self.published.complete().await;
        loop {
            match self.follow_until_behind(patience).await {
                Ok(()) => tracing::debug!("a client that watches instances fell behind the changes"),
                Err(reason) => return reason,
            }
        }
    }

    /// Sends what the client does not have yet, then each change; ends when the client has missed
    /// some.
    async fn follow_until_behind(&mut self, patience: Duration) -> Result<(), Status> {
        let (mut changes, present) = self.published.subscribe(|uuid, it| self.wanted.accepts(uuid, it))?;
        for uuid in present {
            if let Some(version) = self.published.version(uuid) {
                self.send(uuid, &version, patience).await?;
            }
        }
        self.send_missed_deletions(patience).await?;
        loop {
            match changes.recv().await {
                Ok(change) if self.wanted.accepts(change.uuid, &change.version.instance) => {
                    self.send(change.uuid, &change.version, patience).await?;
                    if change.is_gone {
                        self.sent.remove(&change.uuid);
                    }
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return Ok(()),
                Err(RecvError::Closed) => return Err(self.published.ended()),
            }
        }
    }

    /// Of the instances that were deleted while the client was behind, only the UUID is known.
    async fn send_missed_deletions(&mut self, patience: Duration) -> Result<(), Status> {
        let sent: Vec<Uuid> = self.sent.keys().copied().collect();
        for uuid in sent {
            if self.published.version(uuid).is_none() {
                let project = self.wanted.project.clone();
                let last = v1::Instance { uuid: uuid.to_string(), project, ..v1::Instance::default() };
                let version = Version { number: u64::MAX, instance: Arc::new(deleted(last)) };
                self.send(uuid, &version, patience).await?;
                self.sent.remove(&uuid);
            }
        }
        Ok(())
    }

    /// Sends a version, unless the client has it or a later one.
    async fn send(&mut self, uuid: Uuid, version: &Version, patience: Duration) -> Result<(), Status> {
        if self.sent.get(&uuid).is_some_and(|&sent| sent >= version.number) {
            return Ok(());
        }
        let message = Arc::clone(&version.instance);
        match tokio::time::timeout(patience, self.sender.send(message)).await {
            Ok(Ok(())) => {
                self.sent.insert(uuid, version.number);
                Ok(())
            }
            Ok(Err(_)) => Err(Status::cancelled("the client is gone")),
            Err(_) => Err(refused(
                Code::ResourceExhausted,
                "TOO_SLOW",
                format!("the client has read nothing for {} seconds; begin again", patience.as_secs_f64()),
            )),
        }
    }
}

/// Done when the service works with another state, or with none.
async fn replaced(service: &Service, epoch: &Arc<Epoch>) {
    while Arc::ptr_eq(epoch, &service.epoch()) {
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use axum::http::HeaderMap;
    use berth_fleet::{Creation, Flavor, Named};
    use tokio_stream::StreamExt;

    use super::*;
    use crate::limits::Limits;
    use crate::request::Access;
    use crate::service::ServiceOptions;

    static STOPPING: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));

    fn request(patience: &'static str) -> Request<v1::WatchInstancesRequest> {
        let mut request = Request::new(v1::WatchInstancesRequest::default());
        let headers = HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), patience.parse().unwrap())]);
        request.extensions_mut().insert(Deadline::of(&headers));
        request
    }

    /// A stream of a service that goes on, for a client with so much patience.
    fn watch(service: &Arc<Service>, patience: &'static str) -> Result<Messages, Status> {
        Watching::default().serve(Arc::clone(service), STOPPING.subscribe(), request(patience))
    }

    async fn end(mut watched: Messages) -> Code {
        let message = tokio::time::timeout(Duration::from_secs(20), watched.next()).await;
        message.expect("the stream ends").unwrap().unwrap_err().code()
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_state_that_it_shows() {
        let service = Arc::new(Service::new(ServiceOptions::noauth2()));
        let watched = watch(&service, "1H").unwrap();
        let epoch = service.epoch();
        let (index, fleet) = (Arc::clone(&epoch.index), Arc::clone(&epoch.fleet));
        service.begin_epoch(Epoch { index, fleet, access: Access::Down("the disk is gone".into()) });
        assert_eq!(end(watched).await, Code::Unavailable);
        let refused = watch(&service, "1H").err().unwrap();
        assert_eq!(refused.message(), "the service is reloading its state, because the disk is gone");
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_deadline() {
        let service = Arc::new(Service::new(ServiceOptions::noauth2()));
        assert_eq!(watch(&service, "0m").err().unwrap().code(), Code::DeadlineExceeded);
        assert_eq!(end(watch(&service, "50m").unwrap()).await, Code::DeadlineExceeded);
    }

    /// A service with so many instances, whose clients may pause for so long.
    fn service_with(instances: usize, write_time: Duration) -> Arc<Service> {
        let limits = Limits { write_time, ..Limits::default() };
        let service = Arc::new(Service::new(ServiceOptions { limits, ..ServiceOptions::noauth2() }));
        let creation = Creation {
            name: "it".to_owned(),
            flavor: "small".to_owned(),
            project: "p".to_owned(),
            min_count: instances,
            ..Creation::default()
        };
        let mut uuids = (0..).map(Uuid::from_u128);
        service.epoch().fleet.command(|fleet, now| {
            let flavor = Flavor { name: "small".to_owned(), vcpus: 1, memory_mb: 1, ..Flavor::default() };
            fleet.create_flavor(flavor).unwrap();
            fleet.record_instances(&creation, || uuids.next().unwrap(), now.wall).unwrap();
        });
        service
    }

    /// One that had copies of all messages in each stream needed 8 GB for 1,000 streams.
    #[tokio::test]
    async fn streams_share_their_messages_and_have_a_bound() {
        let service = service_with(50, Duration::from_secs(60));
        let watching = Watching::default();
        let serve = || watching.serve(Arc::clone(&service), STOPPING.subscribe(), request("1H"));
        let mut streams: Vec<Messages> = (0..STREAMS_OF_ONE).map(|_| serve().unwrap()).collect();
        let refused = serve().err().unwrap();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert_eq!(refused.message(), "this caller has 256 streams that watch instances already");
        let mut first = Vec::new();
        for stream in &mut streams {
            first.push(stream.receiver.recv().await.unwrap());
        }
        assert!(first.iter().all(|message| Arc::ptr_eq(message, &first[0])), "all have the same message");
        drop(streams.pop());
        let again = serve().unwrap();
        drop((streams, again));
        assert_eq!(watching.streams.in_use(), 0);
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_loses_its_stream() {
        let service = service_with(50, Duration::from_millis(50));
        let mut watched = watch(&service, "1H").unwrap();
        while !watched.receiver.is_closed() {
            tokio::task::yield_now().await;
        }
        let mut ended = None;
        while let Some(message) = watched.next().await {
            ended = message.err();
        }
        let ended = ended.unwrap();
        assert_eq!(ended.code(), Code::ResourceExhausted);
        assert_eq!(ended.message(), "the client has read nothing for 0.05 seconds; begin again");
    }

    /// Whatever a client missed, it learns the present state of every instance, and which are gone.
    #[tokio::test]
    async fn a_client_that_falls_behind_learns_the_present_state() {
        let service = service_with(3, Duration::from_secs(60));
        let fleet = Arc::clone(&service.epoch().fleet);
        let mut watched = watch(&service, "1H").unwrap();
        for _ in 0..3 {
            assert_eq!(watched.next().await.unwrap().unwrap().status, "BUILD");
        }
        // More changes than a stream may be behind, then a deletion.
        for round in 0..6_000 {
            let (named, reason) =
                (Named { name: &Uuid::from_u128(0).to_string(), project: "" }, round.to_string());
            fleet
                .command(|fleet, now| fleet.lock_instance(named, Some(&reason), ("operator", true), now.wall))
                .unwrap();
            if round % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
        fleet.command(|fleet, _| fleet.forget_instances(&[Uuid::from_u128(1)]));
        let (mut last, mut gone) = (String::new(), Vec::new());
        while last != "5999" || gone.is_empty() {
            let next = tokio::time::timeout(Duration::from_secs(20), watched.next()).await;
            let message = next.expect("it learns more").unwrap().unwrap();
            match &*message.status {
                "DELETED" => gone.push(message.uuid),
                _ => last = message.locked_reason,
            }
        }
        assert_eq!(gone, [Uuid::from_u128(1).to_string()]);
    }
}
