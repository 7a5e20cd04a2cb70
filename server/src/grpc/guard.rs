//! Nobody gets past it without being known and allowed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service as Tower};

use super::access::Access;
use super::deadline::Deadline;
use super::identity::Caller;
use crate::metrics::Called;
use crate::service::Service;

/// Puts a guard before all services.
#[derive(Clone)]
pub(super) struct Guard {
    service: Arc<Service>,
}

/// Services behind a guard.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    inner: S,
    service: Arc<Service>,
}

impl Guard {
    pub(super) fn new(service: Arc<Service>) -> Self {
        Self { service }
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, service: Arc::clone(&self.service) }
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
        match admit(&mut request) {
            Ok(()) => {
                let path = request.uri().path().to_owned();
                let answering = self.inner.call(request);
                Box::pin(async move {
                    let response = answering.await?;
                    let code =
                        Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
                    service
                        .metrics
                        .note_call(Called { path, code: i32::from(code) }, start.elapsed().as_secs_f64());
                    Ok(response)
                })
            }
            Err(refused) => {
                tracing::debug!(path = request.uri().path(), %refused, "refused a call");
                service.metrics.note_refused_call();
                Box::pin(std::future::ready(Ok(refused.into_http())))
            }
        }
    }
}

/// Notes who is calling and how long they wait.
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
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(deadline);
    Ok(())
}
