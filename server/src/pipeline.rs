//! Request processing before and after the handler.
//!
//! ```text
//! handle ─► process ─► authenticate ─► read_body ─► dispatch ─────────► respond ─► response
//!              │                                       │
//!              │ invalid head, CORS preflight          ├─ call_handler; of a lengthy request on
//!              ▼                                       │  another thread, when it is its turn
//!           response                                   └─ wait until what the response shows is durable
//! ```

mod request_line;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use berth_placement::candidates::Stop;
use uuid::Uuid;

use self::request_line::RequestLine;
use crate::auth::{Identity, Unauthenticated};
use crate::error::{Failure, sentence};
use crate::http::accept::ErrorForm;
use crate::http::body::{self, RequestBody};
use crate::http::connections::{Activity, Holder};
use crate::http::forwarded::one_address;
use crate::http::headers::joined;
use crate::http::reply::{self, Reply};
use crate::http::socket::Socket;
use crate::http::{cors, guard};
use crate::lengthy::Reads;
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

/// Handles one request.
pub(crate) async fn handle(service: &Arc<Service>, request: Request) -> Response<Body> {
    #[expect(clippy::disallowed_methods, reason = "measures latencies; no result depends on them")]
    let start = Instant::now();
    let (parts, body) = request.into_parts();
    let head = Arc::new(RequestHead::new(service, parts));
    let line = RequestLine::new(Arc::clone(&head), start);
    let Processed { mut response, version, is_unread } = head.process(body).await;
    head.add_headers(&mut response);
    if is_unread {
        close(&mut response);
    }
    let outcome = Outcome {
        method: method_name(&head.parts.method),
        route: head.route.as_ref().map_or("(none)", Route::template),
        status: response.status().as_u16(),
    };
    service.metrics.note(&outcome, start.elapsed().as_secs_f64());
    line.answered(response.status(), version);
    response
}

/// A request whose head was received.
struct RequestHead {
    service: Arc<Service>,
    parts: Parts,
    route: Option<Route>,
    request_id: String,
    /// The address of the client, once it is authenticated or refused.
    address: OnceLock<IpAddr>,
    /// The client, once it is authenticated.
    identity: OnceLock<Arc<Identity>>,
}

/// The rest of what a handler needs of a request.
struct Received {
    identity: Arc<Identity>,
    version: Microversion,
    query: Result<Query, Failure>,
    body: Result<RequestBody, Failure>,
}

/// A response and properties of its request.
struct Processed {
    response: Response<Body>,
    version: Option<Microversion>,
    /// Whether a part of the request is unread. The connection cannot be reused then.
    is_unread: bool,
}

/// Where and when a lengthy request is served.
struct Place<'a> {
    threads: &'a Searches,
    turn: Turn,
    _watch: Option<Watch>,
}

impl RequestHead {
    fn new(service: &Arc<Service>, parts: Parts) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a request id must be unique; no result depends on it")]
        let request_id = format!("req-{}", Uuid::new_v4());
        let route = Route::of(&service.mount.path(parts.uri.path()));
        Self {
            service: Arc::clone(service),
            parts,
            route,
            request_id,
            address: OnceLock::new(),
            identity: OnceLock::new(),
        }
    }

    /// All steps from the head to the response, which lacks only the headers that all responses
    /// have.
    async fn process(self: &Arc<Self>, body: Body) -> Processed {
        let Self { service, parts: Parts { method, uri, headers, .. }, .. } = &**self;
        let options = &service.options;
        if let Some(violation) = guard::violation(headers) {
            let version = Microversion::of(headers).ok();
            let response = self.refuse(&Failure::bad_request(violation.to_string()), version);
            return Processed { response, version, is_unread: true };
        }
        if options.cors.is_on() && cors::is_preflight(method) {
            let mut response = Response::new(Body::empty());
            response.headers_mut().extend(options.cors.preflight(headers));
            return Processed { response, version: None, is_unread: !body.is_end_stream() };
        }
        match self.authenticate().await {
            Ok((identity, version)) => {
                self.note_caller(&identity);
                let (body, is_unread) = self.read_body(body, &identity).await;
                let query = Query::parse(uri.query().unwrap_or_default(), &options.limits);
                let outcome = self.dispatch(Received { identity, version, query, body }).await;
                Processed { response: self.respond(outcome, version), version: Some(version), is_unread }
            }
            Err(failure) => {
                let is_unread = body::discard(body, &options.limits);
                Processed { response: self.refuse(&failure, None), version: None, is_unread }
            }
        }
    }

    /// Authenticates the caller and selects the microversion. Needs only the head of the request.
    async fn authenticate(&self) -> Result<(Arc<Identity>, Microversion), Failure> {
        let identity = self.identity().await?;
        let version = Microversion::of(&self.parts.headers).map_err(|error| invalid_version(&error))?;
        Ok((identity, version))
    }

    /// The connection counts for the user from now on, and the log names the user.
    fn note_caller(&self, identity: &Arc<Identity>) {
        self.identity.get_or_init(|| Arc::clone(identity));
        if let Some(activity) = self.parts.extensions.get::<Activity>()
            && !identity.user_id.is_empty()
        {
            activity.belongs_to(Holder::Caller(identity.user_id.as_str().into()));
        }
    }

    async fn identity(&self) -> Result<Arc<Identity>, Failure> {
        if self.route == Some(Route::Root) {
            return Ok(Arc::default()); // the version document is public
        }
        let socket = self.socket();
        let client = self.client(socket).map_or_else(String::new, |address| address.to_string());
        let gone = searches::gone(socket.cloned());
        let identity = self.service.options.auth.identify(&self.parts.headers, &client, gone).await;
        identity.map_err(|error| match error {
            Unauthenticated::NoToken | Unauthenticated::Rejected => Failure::unauthorized(error.to_string()),
            Unauthenticated::Unavailable => Failure::unavailable(error.to_string()),
        })
    }

    fn socket(&self) -> Option<&Socket> {
        self.parts.extensions.get()
    }

    /// Reads the body if a handler needs it; also returns whether a part of the body is unread.
    async fn read_body(&self, body: Body, identity: &Identity) -> (Result<RequestBody, Failure>, bool) {
        let Self { service, parts, route, .. } = self;
        let limits = &service.options.limits;
        if body.is_end_stream() {
            return (Ok(RequestBody::default()), false);
        }
        if !parts.headers.contains_key(header::CONTENT_TYPE) {
            let reason = "content-type header required when content-length > 0";
            return (Err(Failure::bad_request(reason)), body::discard(body, limits));
        }
        let rule = route.as_ref().and_then(|route| route.body_rule(&parts.method));
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

    /// Runs the handler, and waits until the state that its reply shows is durable.
    async fn dispatch(self: &Arc<Self>, received: Received) -> Result<Reply, Failure> {
        let stop = Stop::default();
        let place = self.take_turn(&received, &stop).await?;
        let _processing = self.parts.extensions.get().map(Activity::work);
        let (epoch, identity) = (self.service.epoch(), Arc::clone(&received.identity));
        let reply = match place {
            Some(place) => self.call_handler_elsewhere(place, &epoch, received, &stop).await,
            None => self.call_handler(&epoch, received, stop),
        };
        let reply = reply.and_then(|reply| self.count_in_flight(reply, &identity));
        let durable = epoch.wait_before_response(self.purpose()).await;
        durable.map_err(|unknown| Failure::unavailable(sentence(&unknown)))?;
        reply
    }

    /// Waits for a turn of a request that may take long. Starts the watch that stops a search for
    /// candidates. Returns `None` for other requests.
    async fn take_turn(&self, received: &Received, stop: &Stop) -> Result<Option<Place<'_>>, Failure> {
        let searches = self.route == Some(Route::Candidates) && self.parts.method == Method::GET;
        let threads = match searches {
            true => &self.service.searches,
            false if self.is_lengthy(received) => &self.service.lengthy,
            false => return Ok(None),
        };
        let client = self.socket().cloned();
        let turn = tokio::select! {
            turn = threads.turn(&received.identity.user_id) => turn,
            () = searches::gone(client.clone()) => return Err(Failure::unavailable("The client is gone.")),
        };
        let turn = turn.map_err(|error| Failure::unavailable(error.to_string()))?;
        let time = self.service.options.limits.candidate_time;
        let watch = searches.then(|| Watch::begin(stop.clone(), time, client));
        Ok(Some(Place { threads, turn, _watch: watch }))
    }

    fn is_lengthy(&self, received: &Received) -> bool {
        let (Some(route), Ok(query), Ok(body)) = (&self.route, &received.query, &received.body) else {
            return false; // it is refused
        };
        let (reads, epoch) = (route.reads(&self.parts.method, query), self.service.epoch());
        [Reads::Body(body.bytes.len()), reads].into_iter().any(|reads| reads.is_lengthy(&epoch.index))
    }

    /// Calls the handler of the route on another thread.
    async fn call_handler_elsewhere(
        self: &Arc<Self>,
        Place { threads, turn, _watch }: Place<'_>,
        epoch: &Arc<Epoch>,
        received: Received,
        stop: &Stop,
    ) -> Result<Reply, Failure> {
        let (head, epoch, stopped) = (Arc::clone(self), Arc::clone(epoch), stop.clone());
        let reply = threads.run(turn, stop, move || head.call_handler(&epoch, received, stopped));
        reply.await.unwrap_or_else(|| Err(Failure::internal()))
    }

    /// Calls the handler of the route, if the epoch admits the request.
    fn call_handler(&self, epoch: &Epoch, received: Received, stop: Stop) -> Result<Reply, Failure> {
        let Self { service, parts: Parts { method, headers, .. }, .. } = self;
        let Received { identity, version, query, body } = received;
        let body = body?;
        let route = self.route.as_ref().ok_or_else(Failure::no_such_resource)?;
        // The version document is independent of the state.
        if *route != Route::Root {
            epoch.admit(self.purpose()).map_err(|error| Failure::unavailable(sentence(&error)))?;
        }
        let (index, fleet, identity, query) = (&*epoch.index, &*epoch.fleet, &*identity, query?);
        let call = Call { service, index, fleet, version, identity, headers, query, body, now: now(), stop };
        route.serve(method, &call)
    }

    /// Counts a large response as being in flight until the client has received it.
    fn count_in_flight(&self, mut reply: Reply, identity: &Identity) -> Result<Reply, Failure> {
        reply.body = body::counted(reply.body, &self.service.in_flight, &identity.user_id)?;
        Ok(reply)
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

    /// Creates the response to a request that was dispatched.
    fn respond(&self, outcome: Result<Reply, Failure>, version: Microversion) -> Response<Body> {
        match outcome {
            Ok(reply) => {
                let base = self.service.mount.base_url(&self.parts.headers);
                let mut response = reply.into_response(version, &base);
                set_microversion(&mut response, version);
                response
            }
            Err(failure) => self.refuse(&failure, Some(version)),
        }
    }

    /// Creates an error response.
    fn refuse(&self, failure: &Failure, version: Option<Microversion>) -> Response<Body> {
        let form = ErrorForm::of(joined(&self.parts.headers, &header::ACCEPT).as_deref());
        let mut response = match failure.status {
            StatusCode::UNAUTHORIZED => {
                let by_keystone = self.service.options.auth.challenge().is_some();
                reply::unauthorized(failure, form, by_keystone)
            }
            _ => reply::failure(failure, version, form, &self.request_id),
        };
        if let Some(version) = version {
            set_microversion(&mut response, version);
        }
        response
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
        Some(*self.address.get_or_init(|| client))
    }

    /// Adds the headers that all responses have.
    fn add_headers(&self, response: &mut Response<Body>) {
        let Self { service, parts: Parts { method, headers: request, .. }, .. } = self;
        let status = response.status();
        let headers = response.headers_mut();
        reply::insert(headers, header::HeaderName::from_static(REQUEST_ID), &self.request_id);
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
