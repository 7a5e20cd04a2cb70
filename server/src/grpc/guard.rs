//! Nobody gets past it without being known and allowed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::http::{Request, Response};
use rustls_pki_types::CertificateDer;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service as Tower};

use super::access::{self, Access};
use super::audit::{self, Auditing};
use super::call::too_much_in_flight;
use super::deadline::Deadline;
use super::identity::{Caller, CallerKey, chain, connection_key, peer};
use super::metered::{CALL_BYTES, Ended, Held, Metered, STREAM_BYTES};
use super::revocation::Revocations;
use super::status::code_name;
use crate::budget::{Budget, Lease};
use crate::http::connections::{Activity, Holder};
use crate::limits::Limits;
use crate::metrics::Called;
use crate::service::Service;

/// Puts a guard before all services.
#[derive(Clone)]
pub(super) struct Guard {
    service: Arc<Service>,
    /// Bytes of unfinished messages on one connection.
    connections: Arc<Budget>,
    revocations: Option<Arc<Revocations>>,
}

/// Bytes of unfinished messages on one connection, at most.
const CONNECTION_BYTES: usize = 32 << 20;

/// Services behind a guard.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    inner: S,
    service: Arc<Service>,
    connections: Arc<Budget>,
    revocations: Option<Arc<Revocations>>,
}

impl Guard {
    pub(super) fn new(service: Arc<Service>, revocations: Option<Arc<Revocations>>) -> Self {
        Self { service, connections: Budget::new(usize::MAX, CONNECTION_BYTES), revocations }
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        let (service, connections) = (Arc::clone(&self.service), Arc::clone(&self.connections));
        Guarded { inner, service, connections, revocations: self.revocations.clone() }
    }
}

impl<S> Tower<Request<Body>> for Guarded<S>
where
    S: Tower<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        #[expect(
            clippy::disallowed_methods,
            reason = "latencies are measured here, and nothing depends on them"
        )]
        let start = Instant::now();
        let service = Arc::clone(&self.service);
        let admitted = self.admit(&mut request).and_then(|()| self.count(&request));
        let path = request.uri().path().to_owned();
        let auditing = Auditing::begin(&path, request.extensions(), start);
        match admitted {
            Ok(counted) => {
                if let Some(auditing) = &auditing {
                    request.extensions_mut().insert(auditing.record());
                }
                let revoked = self.revoked(&request);
                let activity = peer(request.extensions()).map(|peer| peer.activity.clone());
                let busy = activity.as_ref().map(Activity::begin);
                let request = self.metered(request).map(|body| ended_by(&revoked, body, false));
                let answering = self.inner.call(request);
                Box::pin(async move {
                    let mut response = answering.await?;
                    let lease = response.extensions_mut().remove::<Arc<Lease>>();
                    let held = (counted, lease, busy);
                    let reader = activity.filter(|_| access::answers_once(&path));
                    let response = response.map(|body| Body::new(Held::new(body, held, reader)));
                    let mut response = response.map(|body| ended_by(&revoked, body, true));
                    let status = audit::outcome(&response);
                    let called = Called { path, code: code_name(status.code()) };
                    service.metrics.note_call(called, start.elapsed().as_secs_f64());
                    if let Some(auditing) = auditing {
                        auditing.end(status, &mut response);
                    }
                    Ok(response)
                })
            }
            Err(refused) => {
                tracing::debug!(path, %refused, "refused a call");
                service.metrics.note_refused_call();
                let mut response = refused.clone().into_http();
                if let Some(auditing) = auditing {
                    auditing.end(refused, &mut response);
                }
                Box::pin(std::future::ready(Ok(response)))
            }
        }
    }
}

impl<S> Guarded<S> {
    fn admit(&self, request: &mut Request<Body>) -> Result<(), Status> {
        admit(request)?;
        if let (Some(revocations), Some(chain)) = (&self.revocations, chain(request.extensions()))
            && !revocations.admits(&CallerKey::noted(request.extensions()).0, &chain)
        {
            return Err(Status::unauthenticated("the certificate is revoked, or not valid any more"));
        }
        Ok(())
    }

    /// Counts the call as being in flight until it has ended.
    fn count(&self, request: &Request<Body>) -> Result<Lease, Status> {
        let is_unary = access::answers_once(request.uri().path());
        let bytes = if is_unary { CALL_BYTES } else { STREAM_BYTES };
        let in_flight = &self.service.in_flight;
        let lease = in_flight.lease(&CallerKey::noted(request.extensions()).0, bytes);
        lease.map_err(|exceeded| too_much_in_flight(in_flight, exceeded))
    }

    /// The certificate whose revocation ends the streams of a call; none without a list of revoked
    /// certificates.
    fn revoked(&self, request: &Request<Body>) -> Option<Revocable> {
        let (revocations, chain) = (self.revocations.clone()?, chain(request.extensions())?);
        Some(Revocable { revocations, key: CallerKey::noted(request.extensions()).0, chain })
    }

    /// The request, whose unfinished messages have bounds of bytes and time.
    fn metered(&self, request: Request<Body>) -> Request<Body> {
        let budgets = [
            (Arc::clone(&self.connections), connection_key(request.extensions())),
            (Arc::clone(&self.service.in_flight), CallerKey::noted(request.extensions()).0),
        ];
        let Limits { body_bytes, body_time, .. } = self.service.options.limits;
        let is_streaming = access::is_streaming(request.uri().path());
        request.map(|body| Body::new(Metered::new(body, budgets, (body_bytes, body_time), is_streaming)))
    }
}

/// A certificate that may be revoked.
#[derive(Clone)]
struct Revocable {
    revocations: Arc<Revocations>,
    key: Arc<str>,
    chain: Arc<Vec<CertificateDer<'static>>>,
}

/// The body, which ends with an error when the certificate is revoked.
fn ended_by(revoked: &Option<Revocable>, body: Body, is_response: bool) -> Body {
    match revoked.clone() {
        Some(Revocable { revocations, key, chain }) => {
            Body::new(Ended::new(body, is_response, Box::pin(revocations.revoked(key, chain))))
        }
        None => body,
    }
}

/// Notes the caller, and how long it waits.
fn admit(request: &mut Request<Body>) -> Result<(), Status> {
    let caller =
        Caller::of(request.extensions()).map_err(|nobody| Status::unauthenticated(nobody.to_string()))?;
    let path = request.uri().path();
    let access =
        Access::of(path).ok_or_else(|| Status::unimplemented(format!("there is no method {path}")))?;
    if !access.allows(&caller) {
        return Err(Status::permission_denied(format!("the certificate's role may not call {path}")));
    }
    let deadline = Deadline::of(request.headers());
    let key = CallerKey::of(request.extensions());
    if let Some(peer) = peer(request.extensions()) {
        peer.activity.belongs_to(Holder::Caller(key.among_users()));
    }
    request.extensions_mut().insert(key);
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(deadline);
    Ok(())
}
