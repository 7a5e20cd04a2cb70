//! The way of a request: what happens before and after its handler.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use bytes::Bytes;
use uuid::Uuid;

use crate::auth::Identity;
use crate::error::Failure;
use crate::http::accept::ErrorForm;
use crate::http::head_guard::BROKEN_LENGTH;
use crate::http::{cors, reply};
use crate::metrics::Outcome;
use crate::microversion::{self, InvalidMicroversion, Microversion};
use crate::query::Query;
use crate::rest::{Call, Route};
use crate::service::{Service, now};

const REQUEST_ID: &str = "x-openstack-request-id";

/// Answers one request.
pub(crate) async fn answer(State(service): State<Arc<Service>>, request: Request) -> Response<Body> {
    #[expect(clippy::disallowed_methods, reason = "latencies are measured here, and nothing depends on them")]
    let start = Instant::now();
    #[expect(clippy::disallowed_methods, reason = "a request id has to be new, and nothing depends on it")]
    let request_id = format!("req-{}", Uuid::new_v4());
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, service.options.limits.body_bytes).await;
    let Exchange { mut response, version } =
        exchange(&service, &parts.method, &parts.uri, &parts.headers, body, &request_id);
    finish(&service, &parts.method, &parts.headers, &mut response, &request_id);
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

/// Everything between a request that is there as a whole and its answer.
fn exchange(
    service: &Service,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Result<Bytes, axum::Error>,
    request_id: &str,
) -> Exchange {
    let form = ErrorForm::of(headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()));
    let fail = |failure: &Failure, version| Exchange {
        response: reply::failure(failure, version, form, request_id),
        version,
    };
    if service.options.cors.is_on() && cors::is_preflight(method) {
        let mut response = Response::new(Body::empty());
        response.headers_mut().extend(service.options.cors.preflight(headers));
        return Exchange { response, version: None };
    }
    let identity = match identify(service, uri, headers) {
        Ok(identity) => identity,
        Err(failure) => return fail(&failure, None),
    };
    let version = match Microversion::of(headers) {
        Ok(version) => version,
        Err(error) => return fail(&invalid_version(&error), None),
    };
    let served = serve(service, method, uri, headers, body, &identity, version);
    let mut exchange = match served {
        Ok(reply) => {
            Exchange { response: reply.into_response(version, &base_url(headers)), version: Some(version) }
        }
        Err(failure) => fail(&failure, Some(version)),
    };
    let spoken = format!("placement {version}");
    let answer = exchange.response.headers_mut();
    reply::insert(answer, header::HeaderName::from_static(microversion::HEADER), &spoken);
    answer.append(header::VARY, HeaderValue::from_static(microversion::HEADER));
    exchange
}

fn identify(service: &Service, uri: &Uri, headers: &HeaderMap) -> Result<Identity, Failure> {
    if uri.path() == "/" {
        return Ok(Identity::default()); // anybody may ask for the versions
    }
    service.options.auth.identify(headers).map_err(|error| Failure::unauthorized(error.to_string()))
}

fn invalid_version(error: &InvalidMicroversion) -> Failure {
    let reason = format!("Invalid microversion: {error}");
    match error {
        InvalidMicroversion::Unacceptable(_) => Failure::not_acceptable(reason),
        InvalidMicroversion::Malformed(_) => Failure::bad_request(reason),
    }
}

fn serve(
    service: &Service,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Result<Bytes, axum::Error>,
    identity: &Identity,
    version: Microversion,
) -> Result<reply::Reply, Failure> {
    if headers.contains_key(BROKEN_LENGTH) {
        return Err(Failure::bad_request("content-length header must be an integer"));
    }
    let limits = &service.options.limits;
    let body = body.map_err(|error| unread(&error, limits.body_bytes))?;
    if !body.is_empty() && !headers.contains_key(header::CONTENT_TYPE) {
        return Err(Failure::bad_request("content-type header required when content-length > 0"));
    }
    let query = uri.query().unwrap_or_default();
    if query.len() > limits.query_bytes {
        return Err(Failure::uri_too_long(format!("A query may have at most {} bytes.", limits.query_bytes)));
    }
    let route = Route::of(uri.path()).ok_or_else(Failure::no_such_resource)?;
    let query = Query::parse(query, limits.query_parameters)?;
    let call = Call { service, version, identity, headers, query, body, now: now() };
    route.serve(method, &call)
}

/// The body did not arrive, or there was too much of it.
fn unread(error: &axum::Error, limit: usize) -> Failure {
    use std::error::Error;
    let is_limit = error.source().is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
    if is_limit {
        Failure::too_large(format!("A body may have at most {limit} bytes."))
    } else {
        Failure::bad_request(format!("The body cannot be read: {error}"))
    }
}

/// What all answers have.
fn finish(
    service: &Service,
    method: &Method,
    request: &HeaderMap,
    response: &mut Response<Body>,
    request_id: &str,
) {
    let is_broken = request.contains_key(BROKEN_LENGTH) || response.status() == StatusCode::PAYLOAD_TOO_LARGE;
    let headers = response.headers_mut();
    reply::insert(headers, header::HeaderName::from_static(REQUEST_ID), request_id);
    if service.options.cors.is_on() && !cors::is_preflight(method) {
        service.options.cors.decorate(request, headers);
    }
    if is_broken {
        // What follows on the connection may be a rest of this message.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Where the service is, as the client sees it.
fn base_url(headers: &HeaderMap) -> String {
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
