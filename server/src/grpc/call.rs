//! The way of a unary call, which is that of a REST request: an answer waits until what it tells is durable.

use std::sync::Arc;

use berth_placement::{Index, Timestamp};
use tonic::{Extensions, Request, Response, Status};

use super::deadline::Deadline;
use super::status;
use crate::fleet::Fleet;
use crate::service::{Access, Epoch, Service, now};

/// A call, as what answers it sees it.
pub(crate) struct Call<'a> {
    pub(crate) service: &'a Service,
    pub(crate) index: &'a Index,
    pub(crate) fleet: &'a Fleet,
    pub(crate) now: Timestamp,
}

/// What a call may do to the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Reads,
    Writes,
    /// It reads, and is advice that need not be durable.
    Advises,
}

/// Answers a call that changes nothing.
pub(crate) async fn read<Q, A>(
    service: &Service,
    request: Request<Q>,
    work: impl FnOnce(&Call<'_>, &Q) -> Result<A, Status>,
) -> Result<Response<A>, Status> {
    answer(service, request, Kind::Reads, work).await
}

/// Answers a call that may change something. What it changed stays, even if nobody waits for the answer any more.
pub(crate) async fn write<Q, A>(
    service: &Service,
    request: Request<Q>,
    work: impl FnOnce(&Call<'_>, &Q) -> Result<A, Status>,
) -> Result<Response<A>, Status> {
    answer(service, request, Kind::Writes, work).await
}

/// Answers a call that changes nothing and whose answer is checked again by whatever relies on it.
pub(crate) async fn advise<Q, A>(
    service: &Service,
    request: Request<Q>,
    work: impl FnOnce(&Call<'_>, &Q) -> Result<A, Status>,
) -> Result<Response<A>, Status> {
    answer(service, request, Kind::Advises, work).await
}

async fn answer<Q, A>(
    service: &Service,
    request: Request<Q>,
    kind: Kind,
    work: impl FnOnce(&Call<'_>, &Q) -> Result<A, Status>,
) -> Result<Response<A>, Status> {
    let epoch = begin(service, request.extensions(), kind)?;
    let call = Call { service, index: &epoch.index, fleet: &epoch.fleet, now: now() };
    let answer = work(&call, request.get_ref());
    settle(&epoch, kind).await?;
    answer.map(Response::new)
}

/// What a call of any kind works with, if there is time left for it and the store works.
pub(crate) fn begin(service: &Service, extensions: &Extensions, kind: Kind) -> Result<Arc<Epoch>, Status> {
    let deadline = extensions.get::<Deadline>().copied();
    if deadline.is_some_and(Deadline::has_passed) {
        return Err(Status::deadline_exceeded("the time was up before the call began; nothing was done"));
    }
    let epoch = service.epoch();
    admit(&epoch.access, kind)?;
    Ok(epoch)
}

fn admit(access: &Access, kind: Kind) -> Result<(), Status> {
    match access {
        Access::Down(reason) => {
            Err(Status::unavailable(format!("the state is being read again, because {reason}")))
        }
        Access::ReadOnly(reason) if kind == Kind::Writes => Err(Status::unavailable(format!(
            "nothing can be changed for the moment: it would not be durable, because {reason}"
        ))),
        _ => Ok(()),
    }
}

/// Waits until what was seen in the index may be told; what was refused is told of what was seen, too.
async fn settle(epoch: &Epoch, kind: Kind) -> Result<(), Status> {
    if kind == Kind::Advises { Ok(()) } else { epoch.settled().await.map_err(|reason| undone(&reason)) }
}

pub(crate) fn undone(reason: &Arc<str>) -> Status {
    status::refused(
        tonic::Code::Unavailable,
        "OUTCOME_UNKNOWN",
        format!(
            "the state of this moment could not be made durable, because {reason}; what was asked for may have been taken back"
        ),
    )
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use tonic::Code;

    use super::*;
    use crate::service::Options;

    fn service() -> Service {
        Service::new(Options::noauth2())
    }

    /// How a call of each kind ends.
    async fn codes(service: &Service) -> [Code; 3] {
        let code =
            |outcome: Result<Response<()>, Status>| outcome.map_or_else(|status| status.code(), |_| Code::Ok);
        let work = |_: &Call<'_>, (): &()| Ok(());
        [
            code(read(service, Request::new(()), work).await),
            code(write(service, Request::new(()), work).await),
            code(advise(service, Request::new(()), work).await),
        ]
    }

    #[tokio::test]
    async fn what_may_be_done_depends_on_the_store() {
        let service = service();
        let enter = |access| {
            let epoch = service.epoch();
            let (index, fleet) = (Arc::clone(&epoch.index), Arc::clone(&epoch.fleet));
            service.enter(Epoch { index, fleet, access });
        };
        assert_eq!(codes(&service).await, [Code::Ok; 3]);
        enter(Access::ReadOnly("the disk is full".into()));
        assert_eq!(codes(&service).await, [Code::Ok, Code::Unavailable, Code::Ok]);
        assert!(*service.serving().borrow());
        enter(Access::Down("the disk is gone".into()));
        assert_eq!(codes(&service).await, [Code::Unavailable; 3]);
        assert!(!*service.serving().borrow());
        let refused = read(&service, Request::new(()), |_, ()| Ok(())).await.unwrap_err();
        assert_eq!(refused.message(), "the state is being read again, because the disk is gone");
    }

    #[tokio::test]
    async fn nothing_begins_after_the_deadline() {
        let service = service();
        let mut request = Request::new(());
        let headers = HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), "0m".parse().unwrap())]);
        request.extensions_mut().insert(Deadline::of(&headers));
        let refused = write(&service, request, |_, ()| -> Result<(), Status> { panic!("it begins") }).await;
        assert_eq!(refused.unwrap_err().code(), Code::DeadlineExceeded);
    }
}
