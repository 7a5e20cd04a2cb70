//! Many requests on one connection.

use std::sync::Arc;

use berth_api::v1;
use berth_api::v1::tagged_schedule_response::Outcome;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use crate::grpc::call::{Call, write_in_turn};
use crate::grpc::identity::{Caller, CallerKey};
use crate::grpc::status::{bad_field, failure};
use crate::service::Service;

/// Requests of one stream that are worked on at the same time: they share commits of the store. The
/// client is not read further until one is answered.
const UNDER_WAY: usize = 256;

type Answers = ReceiverStream<Result<v1::TaggedScheduleResponse, Status>>;

/// Answers each request, in any order, until the client has no more or is gone.
pub(super) fn serve(
    service: Arc<Service>,
    (caller, key): (Caller, CallerKey),
    mut requests: Streaming<v1::TaggedScheduleRequest>,
) -> Answers {
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(UNDER_WAY));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            // A client that broke off has no use for an answer.
            let Ok(Some(request)) = requests.message().await else { break };
            let (service, sender) = (Arc::clone(&service), sender.clone());
            let caller = (caller.clone(), key.clone());
            tokio::spawn(async move {
                let answer = answer(&service, caller, request).await;
                let _ = sender.send(Ok(answer)).await; // the client may be gone
                drop(place);
            });
        }
    });
    ReceiverStream::new(receiver)
}

async fn answer(
    service: &Arc<Service>,
    (caller, key): (Caller, CallerKey),
    tagged: v1::TaggedScheduleRequest,
) -> v1::TaggedScheduleResponse {
    let v1::TaggedScheduleRequest { tag, request } = tagged;
    let outcome = match request {
        Some(request) => {
            let decide = move |call: &Call<'_>, wanted: &v1::ScheduleRequest| {
                super::schedule(call, wanted, &caller, false)
            };
            let mut request = Request::new(request);
            request.extensions_mut().insert(key);
            write_in_turn(service, request, super::is_lengthy, decide).await
        }
        None => Err(bad_field("request", "is required")),
    };
    let outcome = match outcome {
        Ok(response) => Outcome::Response(response.into_inner()),
        Err(status) => Outcome::Failure(failure(&status)),
    };
    v1::TaggedScheduleResponse { tag, outcome: Some(outcome) }
}
