//! Request processing before and after the handler.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use berth_placement::candidates::Stop;
use uuid::Uuid;

use crate::auth::{Identity, Unauthenticated};
use crate::error::{Failure, sentence};
use crate::http::accept::ErrorForm;
use crate::http::body::{self, RequestBody};
use crate::http::connections::{Activity, Holder};
use crate::http::forwarded::one_address;
use crate::http::headers::joined;
use crate::http::socket::Socket;
use crate::http::{cors, guard, reply};
use crate::lengthy;
use crate::metrics::Outcome;
use crate::microversion::{self, InvalidMicroversion, Microversion};
use crate::query::Query;
use crate::request::{Epoch, Purpose};
use crate::rest::{Call, Route};
use crate::searches::{self, Searches, Watch};
use crate::service::{Service, now};
use crate::turns::Turn;

const REQUEST_ID: &str = "x-openstack-request-id";

/// The size in bytes up to which an unused body is read, so that the connection can be reused.
const SHORT_BODY: u64 = 16 << 10;

/// Responds to one request.
pub(crate) async fn answer(service: &Arc<Service>, request: Request) -> Response<Body> {
    #[expect(clippy::disallowed_methods, reason = "measures latencies; no result depends on them")]
    let start = Instant::now();
    #[expect(clippy::disallowed_methods, reason = "a request id must be unique; no result depends on it")]
    let request_id = format!("req-{}", Uuid::new_v4());
    let (parts, body) = request.into_parts();
    let path = service.mount.path(parts.uri.path());
    let asked =
        Asked { service, parts: &parts, path: &path, route: Route::of(&path), request_id: &request_id };
    let Exchange { mut response, version, is_unread } = asked.answer(body).await;
    asked.finish(&mut response);
    if is_unread {
        close(&mut response);
    }
    let outcome = Outcome {
        method: method_name(&parts.method),
        route: asked.route.map_or("(none)", |route| route.template()),
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

/// A response and properties of its request.
struct Exchange {
    response: Response<Body>,
    version: Option<Microversion>,
    /// Whether a part of the request is unread. The connection cannot be reused then.
    is_unread: bool,
}

/// A request whose head was received.
struct Asked<'a> {
    service: &'a Arc<Service>,
    parts: &'a Parts,
    /// The path, relative to the path of the public URL.
    path: &'a str,
    route: Option<Route<'a>>,
    request_id: &'a str,
}

impl Asked<'_> {
    async fn answer(&self, body: Body) -> Exchange {
        let Self { service, parts: Parts { method, headers, .. }, .. } = *self;
        if let Some(violation) = guard::violation(headers) {
            let version = Microversion::of(headers).ok();
            let exchange = self.fail(&Failure::bad_request(violation.to_string()), version);
            return Exchange { is_unread: true, ..exchange };
        }
        if service.options.cors.is_on() && cors::is_preflight(method) {
            let mut response = Response::new(Body::empty());
            response.headers_mut().extend(service.options.cors.preflight(headers));
            return Exchange { response, version: None, is_unread: !body.is_end_stream() };
        }
        let admitted = self.admit().await;
        let (body, is_unread) = match &admitted {
            Ok((identity, _)) => {
                self.note_holder(identity);
                self.receive_body(body, identity).await
            }
            Err(_) => (Ok(RequestBody::default()), body::discard(body, &service.options.limits)),
        };
        let exchange = match admitted {
            Ok((identity, version)) => self.exchange(body, identity, version).await,
            Err(failure) => self.fail(&failure, None),
        };
        Exchange { is_unread, ..exchange }
    }

    /// Authenticates the caller and selects the microversion. Needs only the head of the request.
    async fn admit(&self) -> Result<(Arc<Identity>, Microversion), Failure> {
        let identity = self.identify().await?;
        let version = Microversion::of(&self.parts.headers).map_err(|error| invalid_version(&error))?;
        Ok((identity, version))
    }

    /// The connection counts for the user from now on.
    fn note_holder(&self, identity: &Identity) {
        if let Some(activity) = self.parts.extensions.get::<Activity>()
            && !identity.user_id.is_empty()
        {
            activity.belongs_to(Holder::Caller(identity.user_id.as_str().into()));
        }
    }

    /// Reads the body if a handler needs it; also returns whether a part of the body is unread.
    async fn receive_body(&self, body: Body, identity: &Identity) -> (Result<RequestBody, Failure>, bool) {
        let Self { service, parts, route, .. } = *self;
        let limits = &service.options.limits;
        if body.is_end_stream() {
            return (Ok(RequestBody::default()), false);
        }
        if !parts.headers.contains_key(header::CONTENT_TYPE) {
            let reason = "content-type header required when content-length > 0";
            return (Err(Failure::bad_request(reason)), body::discard(body, limits));
        }
        let rule = route.and_then(|route| route.body_rule(&parts.method));
        let project = identity.project_id.as_deref();
        let is_needed = rule.is_some_and(|rule| service.policy().allows(rule, identity, project));
        let is_short = body.size_hint().upper().is_some_and(|bytes| bytes <= SHORT_BODY);
        if !is_needed && !is_short {
            return (Ok(RequestBody::default()), body::discard(body, limits));
        }
        let read = body::read(body, limits, &service.in_flight, &identity.user_id).await;
        let is_unread = read.is_err();
        (read, is_unread)
    }

    /// Processes a request that was received completely.
    async fn exchange(
        &self,
        body: Result<RequestBody, Failure>,
        identity: Arc<Identity>,
        version: Microversion,
    ) -> Exchange {
        let stop = Stop::default();
        let place = match self.take_turn(&body, &identity, &stop).await {
            Ok(place) => place,
            Err(failure) => return self.fail(&failure, Some(version)),
        };
        let _processing = self.parts.extensions.get().map(Activity::work);
        let epoch = self.service.epoch();
        let answer = match place {
            Some(place) => self.run_elsewhere(place, &epoch, body, &identity, version, &stop).await,
            None => self.serve(&epoch, body, &identity, version, stop),
        };
        let answer = answer.and_then(|reply| self.count_in_flight(reply, &identity));
        if let Err(unknown) = epoch.wait_before_response(self.purpose()).await {
            return self.fail(&Failure::unavailable(sentence(&unknown)), Some(version));
        }
        match answer {
            Ok(reply) => {
                let base = self.service.mount.base_url(&self.parts.headers);
                let mut response = reply.into_response(version, &base);
                set_microversion(&mut response, version);
                Exchange { response, version: Some(version), is_unread: false }
            }
            Err(failure) => self.fail(&failure, Some(version)),
        }
    }

    /// Waits for a turn of a request that may take long. Starts the watch that stops a search for
    /// candidates. Returns `None` for other requests.
    async fn take_turn(
        &self,
        body: &Result<RequestBody, Failure>,
        identity: &Identity,
        stop: &Stop,
    ) -> Result<Option<Place<'_>>, Failure> {
        let searches = self.route == Some(Route::Candidates) && self.parts.method == Method::GET;
        let threads = match searches {
            true => &self.service.searches,
            false if self.is_lengthy(body) => &self.service.lengthy,
            false => return Ok(None),
        };
        let client = self.parts.extensions.get::<Socket>().cloned();
        let turn = tokio::select! {
            turn = threads.turn(&identity.user_id) => turn,
            () = searches::gone(client.clone()) => return Err(Failure::unavailable("The client is gone.")),
        };
        let turn = turn.map_err(|error| Failure::unavailable(error.to_string()))?;
        let time = self.service.options.limits.candidate_time;
        let watch = searches.then(|| Watch::begin(stop.clone(), time, client));
        Ok(Some(Place { threads, turn, _watch: watch }))
    }

    fn is_lengthy(&self, body: &Result<RequestBody, Failure>) -> bool {
        let (Some(route), Ok(arrived)) = (self.route, body) else { return false };
        let parts = self.parts;
        let query = Query::parse(parts.uri.query().unwrap_or_default(), &self.service.options.limits);
        let parameter = |name: &'static str| query.as_ref().ok().and_then(|query| query.get(name));
        let epoch = self.service.epoch();
        lengthy::is_lengthy(&epoch.index, (&parts.method, route), parameter, arrived.bytes.len())
    }

    /// Serves a request on another thread.
    async fn run_elsewhere(
        &self,
        Place { threads, turn, _watch }: Place<'_>,
        epoch: &Arc<Epoch>,
        body: Result<RequestBody, Failure>,
        identity: &Arc<Identity>,
        version: Microversion,
        stop: &Stop,
    ) -> Result<reply::Reply, Failure> {
        let (service, parts) = (Arc::clone(self.service), self.parts.clone());
        let (path, request_id) = (self.path.to_owned(), self.request_id.to_owned());
        let (epoch, identity, stopped) = (Arc::clone(epoch), Arc::clone(identity), stop.clone());
        let found = threads.run(turn, stop, move || {
            let route = Route::of(&path);
            let asked =
                Asked { service: &service, parts: &parts, path: &path, route, request_id: &request_id };
            asked.serve(&epoch, body, &identity, version, stopped)
        });
        found.await.unwrap_or_else(|| Err(Failure::internal()))
    }

    /// Counts a large response as being in flight until the client has received it.
    fn count_in_flight(&self, mut reply: reply::Reply, identity: &Identity) -> Result<reply::Reply, Failure> {
        reply.body = body::counted(reply.body, &self.service.in_flight, &identity.user_id)?;
        Ok(reply)
    }

    /// Creates an error response.
    fn fail(&self, failure: &Failure, version: Option<Microversion>) -> Exchange {
        let form = ErrorForm::of(joined(&self.parts.headers, &header::ACCEPT).as_deref());
        let mut response = match failure.status {
            StatusCode::UNAUTHORIZED => {
                let by_keystone = self.service.options.auth.challenge().is_some();
                reply::unauthorized(failure, form, by_keystone)
            }
            _ => reply::failure(failure, version, form, self.request_id),
        };
        if let Some(version) = version {
            set_microversion(&mut response, version);
        }
        Exchange { response, version, is_unread: false }
    }

    fn serve(
        &self,
        epoch: &Epoch,
        body: Result<RequestBody, Failure>,
        identity: &Identity,
        version: Microversion,
        stop: Stop,
    ) -> Result<reply::Reply, Failure> {
        let Self { service, parts: Parts { method, uri, headers, .. }, .. } = *self;
        let body = body?;
        let route = self.route.ok_or_else(Failure::no_such_resource)?;
        // The version document is independent of the state.
        if route != Route::Root {
            epoch.admit(self.purpose()).map_err(|error| Failure::unavailable(sentence(&error)))?;
        }
        let query = Query::parse(uri.query().unwrap_or_default(), &service.options.limits)?;
        let index = &epoch.index;
        let fleet = &*epoch.fleet;
        let call = Call { service, index, fleet, version, identity, headers, query, body, now: now(), stop };
        route.serve(method, &call)
    }

    /// How the request uses the index. Candidates are advisory, because a claim checks them again.
    fn purpose(&self) -> Purpose {
        let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&self.parts.method);
        match self.route {
            Some(Route::Candidates) => Purpose::Advise,
            _ if reads => Purpose::Read,
            _ => Purpose::Write,
        }
    }

    async fn identify(&self) -> Result<Arc<Identity>, Failure> {
        if self.path == "/" {
            return Ok(Arc::default()); // the version document is public
        }
        let socket = self.parts.extensions.get::<Socket>();
        let client = self.client(socket).map_or_else(String::new, |address| address.to_string());
        let gone = searches::gone(socket.cloned());
        let identity = self.service.options.auth.identify(&self.parts.headers, &client, gone).await;
        identity.map_err(|error| match error {
            Unauthenticated::NoToken | Unauthenticated::Rejected => Failure::unauthorized(error.to_string()),
            Unauthenticated::Unavailable => Failure::unavailable(error.to_string()),
        })
    }

    /// The address of the client, whose connection counts for it until it is identified.
    fn client(&self, socket: Option<&Socket>) -> Option<IpAddr> {
        let peer = socket?.client()?;
        let client = one_address(self.service.options.trusted_proxies.client(peer, &self.parts.headers));
        if client != one_address(peer)
            && let Some(activity) = self.parts.extensions.get::<Activity>()
        {
            activity.belongs_to(Holder::Address(client));
        }
        Some(client)
    }

    /// Adds the headers that all responses have.
    fn finish(&self, response: &mut Response<Body>) {
        let Self { service, parts: Parts { method, headers: request, .. }, .. } = *self;
        let status = response.status();
        let headers = response.headers_mut();
        reply::insert(headers, header::HeaderName::from_static(REQUEST_ID), self.request_id);
        if service.options.cors.is_on() && !cors::is_preflight(method) {
            service.options.cors.decorate(request, headers);
        }
        if status == StatusCode::UNAUTHORIZED
            && let Some(challenge) = service.options.auth.challenge()
        {
            reply::insert(headers, header::WWW_AUTHENTICATE, &challenge);
        }
    }
}

/// Sets the headers that state the microversion of a response.
fn set_microversion(response: &mut Response<Body>, version: Microversion) {
    let headers = response.headers_mut();
    let value = format!("placement {version}");
    reply::insert(headers, header::HeaderName::from_static(microversion::HEADER), &value);
    headers.append(header::VARY, HeaderValue::from_static(microversion::HEADER));
}

fn invalid_version(error: &InvalidMicroversion) -> Failure {
    let reason = format!("Invalid microversion: {error}");
    match error {
        InvalidMicroversion::Unacceptable(_) => Failure::not_acceptable(reason),
        InvalidMicroversion::Malformed(_) => Failure::bad_request(reason),
    }
}

/// Where and when a lengthy request is served.
struct Place<'a> {
    threads: &'a Searches,
    turn: Turn,
    _watch: Option<Watch>,
}

/// Closes the connection after this response, because unread parts of the request may follow on it.
fn close(response: &mut Response<Body>) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// The label of a method in metrics.
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
