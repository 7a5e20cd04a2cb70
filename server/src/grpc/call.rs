//! The path of a unary call, which is that of a REST request: a response waits until the state that
//! it shows is durable.

use std::sync::Arc;

use berth_placement::candidates::Stop;
use berth_placement::{Index, Timestamp};
use prost::Message;
use tonic::{Code, Extensions, Request, Response, Status};

use super::audit::{self, Audited};
use super::deadline::Deadline;
use super::identity::{CallerKey, peer};
use super::status;
use crate::budget::{Budget, Exceeded};
use crate::fleet::FleetHandle;
use crate::http::connections::Processing;
use crate::in_flight::{TooMuchInFlight, UNCOUNTED};
use crate::request::{Epoch, NotAdmitted, OutcomeUnknown, Purpose};
use crate::service::{Service, now};

/// A call, as its handler sees it.
pub(crate) struct Call<'a> {
    pub(crate) service: &'a Service,
    pub(crate) index: &'a Index,
    pub(crate) fleet: &'a FleetHandle,
    pub(crate) now: Timestamp,
}

/// Handles a call that changes nothing.
pub(crate) async fn read<Q, A: Message, E: Into<Status>>(
    service: &Service,
    request: Request<Q>,
    work: impl FnOnce(&Call<'_>, &Q) -> Result<A, E>,
) -> Result<Response<A>, Status> {
    answer(service, request, Purpose::Read, work).await
}

/// Handles a call that may change something. A change stays, even if the client no longer waits for
/// the response. The audit log names what the request is about.
pub(crate) async fn write<Q: Audited, A: Message, E: Into<Status>>(
    service: &Service,
    request: Request<Q>,
    work: impl FnOnce(&Call<'_>, &Q) -> Result<A, E>,
) -> Result<Response<A>, Status> {
    audit::note(&request);
    answer(service, request, Purpose::Write, work).await
}

/// Handles a call that changes nothing; if it is lengthy, on another thread, when it is the
/// caller's turn.
pub(crate) async fn read_in_turn<
    Q: Send + 'static,
    A: Message + 'static,
    E: Into<Status> + Send + 'static,
>(
    service: &Arc<Service>,
    request: Request<Q>,
    is_lengthy: impl FnOnce(&Call<'_>, &Q) -> bool,
    work: impl FnOnce(&Call<'_>, &Q) -> Result<A, E> + Send + 'static,
) -> Result<Response<A>, Status> {
    in_turn(service, request, Purpose::Read, is_lengthy, work).await
}

/// As [`write()`]; if the call is lengthy, on another thread, when it is the caller's turn.
pub(crate) async fn write_in_turn<
    Q: Audited + Send + 'static,
    A: Message + 'static,
    E: Into<Status> + Send + 'static,
>(
    service: &Arc<Service>,
    request: Request<Q>,
    is_lengthy: impl FnOnce(&Call<'_>, &Q) -> bool,
    work: impl FnOnce(&Call<'_>, &Q) -> Result<A, E> + Send + 'static,
) -> Result<Response<A>, Status> {
    audit::note(&request);
    in_turn(service, request, Purpose::Write, is_lengthy, work).await
}

/// Handles a call whose response is advisory: a later request checks it again. If it is lengthy, on
/// another thread, when it is the caller's turn.
pub(crate) async fn advise_in_turn<
    Q: Send + 'static,
    A: Message + 'static,
    E: Into<Status> + Send + 'static,
>(
    service: &Arc<Service>,
    request: Request<Q>,
    is_lengthy: impl FnOnce(&Call<'_>, &Q) -> bool,
    work: impl FnOnce(&Call<'_>, &Q) -> Result<A, E> + Send + 'static,
) -> Result<Response<A>, Status> {
    in_turn(service, request, Purpose::Advise, is_lengthy, work).await
}

async fn in_turn<Q: Send + 'static, A: Message + 'static, E: Into<Status> + Send + 'static>(
    service: &Arc<Service>,
    request: Request<Q>,
    purpose: Purpose,
    is_lengthy: impl FnOnce(&Call<'_>, &Q) -> bool,
    work: impl FnOnce(&Call<'_>, &Q) -> Result<A, E> + Send + 'static,
) -> Result<Response<A>, Status> {
    let epoch = begin(service, request.extensions(), purpose)?;
    let call = Call { service, index: &epoch.index, fleet: &epoch.fleet, now: now() };
    if !is_lengthy(&call, request.get_ref()) {
        return answer_at(&epoch, service, request, purpose, work).await;
    }
    let caller = CallerKey::behind(&request);
    // Callers over gRPC take turns with users of the REST API.
    let turn = service.lengthy.turn(&caller.among_users()).await;
    let turn = turn.map_err(|error| Status::resource_exhausted(error.to_string()))?;
    let _processing = processing(request.extensions());
    let (elsewhere, then, wanted) = (Arc::clone(service), Arc::clone(&epoch), request.into_inner());
    let stop = Stop::default(); // nothing looks at it
    let answer = service.lengthy.run(turn, &stop, move || {
        let call = Call { service: &elsewhere, index: &then.index, fleet: &then.fleet, now: now() };
        work(&call, &wanted)
    });
    let answer = answer.await.ok_or_else(|| Status::internal("the call has failed"))?;
    epoch.wait_before_response(purpose).await.map_err(|unknown| outcome_unknown(&unknown))?;
    in_flight(service, &caller.0, answer.map_err(Into::into)?)
}

/// How much memory a message takes, as a multiple of its encoded bytes: it is kept as it is until
/// the client's window permits to send it. Candidates have the longest messages, of short texts and
/// small maps: 64 answers of 256 MiB in all took 2.2 GB.
pub(crate) const DECODED: usize = 8;

/// The response with an answer. A large one is counted as being in flight until the client has read
/// it.
pub(crate) fn in_flight<A: Message>(
    service: &Service,
    caller: &str,
    answer: A,
) -> Result<Response<A>, Status> {
    let bytes = answer.encoded_len().saturating_mul(DECODED);
    let mut response = Response::new(answer);
    if bytes > UNCOUNTED {
        let lease = service.in_flight.lease(caller, bytes);
        let lease = lease.map_err(|exceeded| too_much_in_flight(&service.in_flight, exceeded))?;
        response.extensions_mut().insert(Arc::new(lease));
    }
    Ok(response)
}

/// The refusal of what would exceed a bound of bytes in flight.
pub(crate) fn too_much_in_flight(in_flight: &Budget, exceeded: Exceeded) -> Status {
    let error = TooMuchInFlight::of(in_flight, exceeded);
    status::refused(Code::ResourceExhausted, "IN_FLIGHT_BYTES", error.to_string())
}

async fn answer<Q, A: Message, E: Into<Status>>(
    service: &Service,
    request: Request<Q>,
    purpose: Purpose,
    work: impl FnOnce(&Call<'_>, &Q) -> Result<A, E>,
) -> Result<Response<A>, Status> {
    let epoch = begin(service, request.extensions(), purpose)?;
    answer_at(&epoch, service, request, purpose, work).await
}

/// Handles a call that has begun, on this thread.
async fn answer_at<Q, A: Message, E: Into<Status>>(
    epoch: &Epoch,
    service: &Service,
    request: Request<Q>,
    purpose: Purpose,
    work: impl FnOnce(&Call<'_>, &Q) -> Result<A, E>,
) -> Result<Response<A>, Status> {
    let _processing = processing(request.extensions());
    let call = Call { service, index: &epoch.index, fleet: &epoch.fleet, now: now() };
    let answer = work(&call, request.get_ref());
    epoch.wait_before_response(purpose).await.map_err(|unknown| outcome_unknown(&unknown))?;
    in_flight(service, &CallerKey::behind(&request).0, answer.map_err(Into::into)?)
}

/// The epoch for a call of any kind, if there is time left for it and the store works.
pub(crate) fn begin(
    service: &Service,
    extensions: &Extensions,
    purpose: Purpose,
) -> Result<Arc<Epoch>, Status> {
    let deadline = extensions.get::<Deadline>().copied();
    if deadline.is_some_and(Deadline::has_passed) {
        return Err(Status::deadline_exceeded("the time was up before the call began; nothing was done"));
    }
    let epoch = service.epoch();
    epoch.admit(purpose).map_err(|error| not_admitted(&error))?;
    Ok(epoch)
}

/// Keeps the connection of a call while the call is processed.
pub(crate) fn processing(extensions: &Extensions) -> Option<Processing> {
    peer(extensions).map(|peer| peer.activity.work())
}

fn not_admitted(error: &NotAdmitted) -> Status {
    Status::unavailable(error.to_string())
}

pub(crate) fn outcome_unknown(error: &OutcomeUnknown) -> Status {
    status::refused(Code::Unavailable, "OUTCOME_UNKNOWN", error.to_string())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use berth_api::v1;

    use super::*;
    use crate::request::Access;
    use crate::service::ServiceOptions;

    fn service() -> Service {
        Service::new(ServiceOptions::noauth2())
    }

    /// How a call of each kind ends.
    async fn codes(service: &Service) -> [Code; 3] {
        let code =
            |outcome: Result<Response<()>, Status>| outcome.map_or_else(|status| status.code(), |_| Code::Ok);
        let request = || Request::new(v1::ReleaseRequest::default());
        let work = |_: &Call<'_>, _: &v1::ReleaseRequest| Ok::<_, Status>(());
        [
            code(read(service, request(), work).await),
            code(write(service, request(), work).await),
            code(answer(service, request(), Purpose::Advise, work).await),
        ]
    }

    #[tokio::test]
    async fn what_may_be_done_depends_on_the_store() {
        let service = service();
        let begin_epoch = |access| {
            let epoch = service.epoch();
            let (index, fleet) = (Arc::clone(&epoch.index), Arc::clone(&epoch.fleet));
            service.begin_epoch(Epoch { index, fleet, access });
        };
        assert_eq!(codes(&service).await, [Code::Ok; 3]);
        begin_epoch(Access::ReadOnly("the disk is full".into()));
        assert_eq!(codes(&service).await, [Code::Ok, Code::Unavailable, Code::Ok]);
        assert!(*service.serving().borrow());
        begin_epoch(Access::Down("the disk is gone".into()));
        assert_eq!(codes(&service).await, [Code::Unavailable; 3]);
        assert!(!*service.serving().borrow());
        let refused = read(&service, Request::new(()), |_, ()| Ok::<_, Status>(())).await.unwrap_err();
        assert_eq!(refused.message(), "the service is reloading its state, because the disk is gone");
    }

    #[tokio::test]
    async fn nothing_begins_after_the_deadline() {
        let service = service();
        let mut request = Request::new(v1::ReleaseRequest::default());
        let headers = HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), "0m".parse().unwrap())]);
        request.extensions_mut().insert(Deadline::of(&headers));
        let refused = write(&service, request, |_, _| -> Result<(), Status> { panic!("it begins") }).await;
        assert_eq!(refused.unwrap_err().code(), Code::DeadlineExceeded);
    }
}
