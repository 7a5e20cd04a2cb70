//! Bodies of requests and responses, within the bounds of size, time and bytes in flight.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::arriving::Arriving;
use crate::budget::{Budget, Exceeded, Lease};
use crate::error::{Failure, sentence};
use crate::in_flight::{TooMuchInFlight, UNCOUNTED};
use crate::limits::Limits;

/// How long a client whose request was refused may continue to send its body.
const REFUSED_BODY_TIME: Duration = Duration::from_secs(2);

/// The body of a request, counted as being in flight until it is dropped.
#[derive(Default)]
pub(crate) struct RequestBody {
    pub(crate) bytes: Bytes,
    _lease: Option<Lease>,
}

/// The body of a response, counted as being in flight until it was sent completely.
struct CountedBody {
    bytes: Bytes,
    _lease: Lease,
}

impl AsRef<[u8]> for CountedBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads the complete body, within the limits of time and size.
pub(crate) async fn read(
    body: Body,
    limits: &Limits,
    in_flight: &Arc<Budget>,
    user: &str,
) -> Result<RequestBody, Failure> {
    let Limits { body_bytes, body_time, .. } = *limits;
    if body.size_hint().lower() > body_bytes as u64 {
        return Err(too_large(body_bytes));
    }
    timeout(body_time, collect(body, body_bytes, in_flight, user)).await.unwrap_or_else(|_| {
        let seconds = body_time.as_secs_f64();
        Err(Failure::too_slow(format!("The body must arrive within {seconds} seconds.")))
    })
}

async fn collect(
    body: Body,
    most: usize,
    in_flight: &Arc<Budget>,
    user: &str,
) -> Result<RequestBody, Failure> {
    let exceeds = |exceeded| too_much_in_flight(in_flight, exceeded);
    let mut lease = in_flight.lease(user, 0).map_err(exceeds)?;
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(most);
    let (mut body, mut arrived) = (Limited::new(body, most), Arriving::expecting(expected));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
            true => too_large(most),
            false => Failure::bad_request(format!("The body cannot be read: {error}")),
        })?;
        if let Ok(data) = frame.into_data() {
            lease.grow(data.len()).map_err(exceeds)?;
            arrived
                .push(&data)
                .map_err(|error| Failure::unavailable(format!("There is no memory for the body: {error}")))?;
        }
    }
    Ok(RequestBody { bytes: arrived.finish(), _lease: Some(lease) })
}

/// Reads and drops a body while the response is sent: if the connection were closed while the
/// client still sends, the client might not receive the response. Returns whether there is a body.
pub(crate) fn discard(body: Body, limits: &Limits) -> bool {
    if body.is_end_stream() {
        return false;
    }
    let mut body = Limited::new(body, limits.body_bytes);
    tokio::spawn(timeout(REFUSED_BODY_TIME, async move { while let Some(Ok(_)) = body.frame().await {} }));
    true
}

/// The body of a response. A large one is counted as being in flight until it was sent completely.
pub(crate) fn counted(bytes: Bytes, in_flight: &Arc<Budget>, user: &str) -> Result<Bytes, Failure> {
    if bytes.len() <= UNCOUNTED {
        return Ok(bytes);
    }
    let lease = in_flight.lease(user, bytes.len());
    let lease = lease.map_err(|exceeded| too_much_in_flight(in_flight, exceeded))?;
    Ok(Bytes::from_owner(CountedBody { bytes, _lease: lease }))
}

fn too_large(most: usize) -> Failure {
    Failure::too_large(format!("A body may have at most {most} bytes."))
}

fn too_much_in_flight(in_flight: &Budget, exceeded: Exceeded) -> Failure {
    Failure::unavailable(sentence(&TooMuchInFlight::of(in_flight, exceeded)))
}
