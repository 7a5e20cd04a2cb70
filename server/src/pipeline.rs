//! The way of a request: what happens before and after its handler.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;
use uuid::Uuid;

use crate::auth::{Identity, Unauthenticated};
use crate::error::Failure;
use crate::http::accept::ErrorForm;
use crate::http::head_guard::BROKEN_LENGTH;
use crate::http::{cors, reply};
use crate::limits::Limits;
use crate::metrics::Outcome;
use crate::microversion::{self, InvalidMicroversion, Microversion};
use crate::query::Query;
use crate::rest::{Call, Route};
use crate::service::{Access, Epoch, Service, now};

const REQUEST_ID: &str = "x-openstack-request-id";

/// How long a client that was refused already may go on sending.
const REFUSED_BODY_TIME: Duration = Duration::from_secs(2);

/// Answers one request.
pub(crate) async fn answer(State(service): State<Arc<Service>>, request: Request) -> Response<Body> {
    #[expect(clippy::disallowed_methods, reason = "latencies are measured here, and nothing depends on them")]
    let start = Instant::now();
    #[expect(clippy::disallowed_methods, reason = "a request id has to be new, and nothing depends on it")]
    let request_id = format!("req-{}", Uuid::new_v4());
    let (parts, body) = request.into_parts();
    let identity = identify(&service, &parts.uri, &parts.headers).await;
    let is_unread = identity.is_err() && !body.is_end_stream();
    let body = match identity {
        Ok(_) => read(body, &service.options.limits).await,
        Err(_) => {
            discard(body, &service.options.limits);
            Ok(Bytes::new())
        }
    };
    let epoch = service.epoch();
    let asked = Asked { service: &service, parts: &parts, request_id: &request_id };
    let mut exchange = asked.exchange(&epoch, body, identity);
    if let Err(reason) = settle(&epoch, &parts).await {
        exchange.response = asked.fail(&undone(&reason), exchange.version).response;
    }
    let Exchange { mut response, version } = exchange;
    finish(&service, &parts.method, &parts.headers, &mut response, &request_id);
    if is_unread {
        close(&mut response);
    }
    let outcome = Outcome {
        method: method_name(&parts.method),
        route: Route::of(parts.uri.path()).map_or("(none)", |route| route.template()),
        status: response.status().as_u16(),
    };
    let seconds = start.elapsed().as_secs_f64();
    service.metrics.note(&outcome, seconds);
    tracing::info!(
        request_id,
        method = outcome.method,
        uri = %parts.uri,
        status = outcome.status,
        microversion = version.map(tracing::field::display),
        microseconds = start.elapsed().as_micros(),
        "answered"
    );
    response
}

struct Exchange {
    response: Response<Body>,
    version: Option<Microversion>,
}

/// A request whose head is there.
struct Asked<'a> {
    service: &'a Service,
    parts: &'a Parts,
    request_id: &'a str,
}

impl Asked<'_> {
    /// Everything between a request that is there as a whole and its answer.
    fn exchange(
        &self,
        epoch: &Epoch,
        body: Result<Bytes, Failure>,
        identity: Result<Arc<Identity>, Failure>,
    ) -> Exchange {
        let Self { service, parts: Parts { method, headers, .. }, .. } = *self;
        if service.options.cors.is_on() && cors::is_preflight(method) {
            let mut response = Response::new(Body::empty());
            response.headers_mut().extend(service.options.cors.preflight(headers));
            return Exchange { response, version: None };
        }
        let identity = match identity {
            Ok(identity) => identity,
            Err(failure) => return self.fail(&failure, None),
        };
        let version = match Microversion::of(headers) {
            Ok(version) => version,
            Err(error) => return self.fail(&invalid_version(&error), None),
        };
        match self.serve(epoch, body, &identity, version) {
            Ok(reply) => {
                let mut response = reply.into_response(version, &base_url(service, headers));
                speak(&mut response, version);
                Exchange { response, version: Some(version) }
            }
            Err(failure) => self.fail(&failure, Some(version)),
        }
    }

    /// The answer that says why there is no other.
    fn fail(&self, failure: &Failure, version: Option<Microversion>) -> Exchange {
        let accept = self.parts.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        let mut response = reply::failure(failure, version, ErrorForm::of(accept), self.request_id);
        if let Some(version) = version {
            speak(&mut response, version);
        }
        Exchange { response, version }
    }

    fn serve(
        &self,
        epoch: &Epoch,
        body: Result<Bytes, Failure>,
        identity: &Identity,
        version: Microversion,
    ) -> Result<reply::Reply, Failure> {
        let Self { service, parts: Parts { method, uri, headers, .. }, .. } = *self;
        if headers.contains_key(BROKEN_LENGTH) {
            return Err(Failure::bad_request("content-length header must be an integer"));
        }
        let limits = &service.options.limits;
        let body = body?;
        if !body.is_empty() && !headers.contains_key(header::CONTENT_TYPE) {
            return Err(Failure::bad_request("content-type header required when content-length > 0"));
        }
        let route = Route::of(uri.path()).ok_or_else(Failure::no_such_resource)?;
        check_access(epoch, &route, method)?;
        let query = Query::parse(uri.query().unwrap_or_default(), limits)?;
        let call = Call { service, index: &epoch.index, version, identity, headers, query, body, now: now() };
        route.serve(method, &call)
    }
}

/// Says which microversion an answer is of.
fn speak(response: &mut Response<Body>, version: Microversion) {
    let headers = response.headers_mut();
    let spoken = format!("placement {version}");
    reply::insert(headers, header::HeaderName::from_static(microversion::HEADER), &spoken);
    headers.append(header::VARY, HeaderValue::from_static(microversion::HEADER));
}

/// Whether the index may be used so.
fn check_access(epoch: &Epoch, route: &Route<'_>, method: &Method) -> Result<(), Failure> {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    match &epoch.access {
        Access::Down(reason) if *route != Route::Root => {
            Err(Failure::unavailable(format!("The state is being read again, because {reason}.")))
        }
        Access::ReadOnly(reason) if !reads => Err(Failure::unavailable(format!(
            "Nothing can be changed for the moment: it would not be durable, because {reason}."
        ))),
        _ => Ok(()),
    }
}

/// Waits until what was seen in the index may be told. Candidates are advice, which a claim checks again.
async fn settle(epoch: &Epoch, parts: &Parts) -> Result<(), Arc<str>> {
    if Route::of(parts.uri.path()) == Some(Route::Candidates) {
        return Ok(());
    }
    epoch.settled().await
}

fn undone(reason: &str) -> Failure {
    Failure::unavailable(format!(
        "The state of this moment could not be made durable, because {reason}. What was asked for may have been taken back."
    ))
}

async fn identify(service: &Service, uri: &Uri, headers: &HeaderMap) -> Result<Arc<Identity>, Failure> {
    if uri.path() == "/" {
        return Ok(Arc::default()); // anybody may ask for the versions
    }
    let identity = service.options.auth.identify(headers).await;
    identity.map_err(|error| match error {
        Unauthenticated::NoToken | Unauthenticated::Rejected => Failure::unauthorized(error.to_string()),
        Unauthenticated::Unavailable => Failure::unavailable(error.to_string()),
    })
}

fn invalid_version(error: &InvalidMicroversion) -> Failure {
    let reason = format!("Invalid microversion: {error}");
    match error {
        InvalidMicroversion::Unacceptable(_) => Failure::not_acceptable(reason),
        InvalidMicroversion::Malformed(_) => Failure::bad_request(reason),
    }
}

/// The body as a whole, when it arrives in time and there is not too much of it.
async fn read(body: Body, limits: &Limits) -> Result<Bytes, Failure> {
    let Limits { body_bytes, body_time, .. } = *limits;
    let too_large = || Failure::too_large(format!("A body may have at most {body_bytes} bytes."));
    if body.size_hint().lower() > body_bytes as u64 {
        return Err(too_large());
    }
    let Ok(arrived) = timeout(body_time, to_bytes(body, body_bytes)).await else {
        let reason = format!("A body has to arrive within {} seconds.", body_time.as_secs_f64());
        return Err(Failure::too_slow(reason));
    };
    arrived.map_err(|error| match error.source() {
        Some(source) if source.is::<LengthLimitError>() => too_large(),
        _ => Failure::bad_request(format!("The body cannot be read: {error}")),
    })
}

/// Takes in a body that nobody will look at, while the answer is on its way: were the connection closed on a client that
/// is still sending, it might never see the answer.
fn discard(body: Body, limits: &Limits) {
    if body.is_end_stream() {
        return;
    }
    let mut body = Limited::new(body, limits.body_bytes);
    tokio::spawn(timeout(REFUSED_BODY_TIME, async move { while let Some(Ok(_)) = body.frame().await {} }));
}

/// Ends the connection after this answer: what follows on it may be a rest of the request.
fn close(response: &mut Response<Body>) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// What all answers have.
fn finish(
    service: &Service,
    method: &Method,
    request: &HeaderMap,
    response: &mut Response<Body>,
    request_id: &str,
) {
    let unread = [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::REQUEST_TIMEOUT];
    let status = response.status();
    let is_broken = request.contains_key(BROKEN_LENGTH) || unread.contains(&status);
    let headers = response.headers_mut();
    reply::insert(headers, header::HeaderName::from_static(REQUEST_ID), request_id);
    if service.options.cors.is_on() && !cors::is_preflight(method) {
        service.options.cors.decorate(request, headers);
    }
    if status == StatusCode::UNAUTHORIZED
        && let Some(challenge) = service.options.auth.challenge()
    {
        reply::insert(headers, header::WWW_AUTHENTICATE, &challenge);
    }
    if is_broken {
        close(response);
    }
}

/// Where the service is, as the client sees it.
fn base_url(service: &Service, headers: &HeaderMap) -> String {
    if let Some(url) = &service.options.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.map_or_else(String::new, |host| format!("http://{host}"))
}

/// The method, if it is one that counts by itself.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::HEAD => "HEAD",
        _ => "other",
    }
}
