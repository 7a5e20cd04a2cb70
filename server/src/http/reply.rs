//! Answers, and how they become HTTP responses.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use berth_placement::Timestamp;
use bytes::Bytes;
use std::time::{Duration, UNIX_EPOCH};

use super::accept::ErrorForm;
use crate::error::{Failure, UPDATE_CONFLICT};
use crate::json::Writer;
use crate::microversion::Microversion;

/// When what an answer shows was last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Then.
    At(Timestamp),
    /// There is nothing that could have been.
    Never,
}

/// The answer to a request that was served.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// JSON text; empty for none.
    pub(crate) body: Bytes,
    /// The path of what was made or changed.
    pub(crate) location: Option<String>,
    /// When what is shown was last changed; sent from microversion 1.15 on.
    pub(crate) last_modified: Option<Changed>,
}

impl Reply {
    /// A status alone.
    pub(crate) fn status(status: StatusCode) -> Self {
        Self { status, body: Bytes::new(), location: None, last_modified: None }
    }

    /// 204.
    pub(crate) fn no_content() -> Self {
        Self::status(StatusCode::NO_CONTENT)
    }

    /// 200 with JSON text.
    pub(crate) fn json(body: Vec<u8>) -> Self {
        Self { body: body.into(), ..Self::status(StatusCode::OK) }
    }

    /// 200 with one JSON object.
    pub(crate) fn object(members: impl FnOnce(&mut Writer)) -> Self {
        Self::json(Writer::document(members))
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn at(self, path: String) -> Self {
        Self { location: Some(path), ..self }
    }

    pub(crate) fn modified(self, at: Timestamp) -> Self {
        Self { last_modified: Some(Changed::At(at)), ..self }
    }

    /// An answer that must not be cached, and that shows nothing.
    pub(crate) fn never_modified(self) -> Self {
        Self { last_modified: Some(Changed::Never), ..self }
    }

    /// The response; `base` makes the location a whole URL.
    pub(crate) fn into_response(self, version: Microversion, base: &str) -> Response<Body> {
        let has_body = !self.body.is_empty();
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if has_body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(path) = self.location {
            insert(headers, header::LOCATION, &format!("{base}{path}"));
        }
        if let Some(changed) = self.last_modified.filter(|_| version.at_least(15)) {
            if let Changed::At(at) = changed {
                let at = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_micros(at.0));
                insert(headers, header::LAST_MODIFIED, &at);
            }
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        response
    }
}

/// Sets a header whose value is made of visible characters; leaves it out otherwise.
pub(crate) fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The response that reports a failure. Without a version, the microversion itself was invalid.
pub(crate) fn failure(
    failure: &Failure,
    version: Option<Microversion>,
    form: ErrorForm,
    request_id: &str,
) -> Response<Body> {
    let (media_type, body) = match form {
        ErrorForm::Json => ("application/json", error_document(failure, version, request_id)),
        ErrorForm::Html => ("text/html; charset=UTF-8", page(failure).into_bytes()),
        ErrorForm::Text => {
            ("text/plain; charset=UTF-8", format!("{}\n\n{}\n", failure.status, failure.detail).into_bytes())
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = failure.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Some(allow) = failure.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}

/// The response to a method that a path outside the API does not know.
pub(crate) fn not_allowed(methods: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}

/// The response to a request without a good token. It is made before the API has a say, by the
/// middleware that asks Keystone, or by that which asks nobody.
pub(crate) fn unauthorized(failure: &Failure, form: ErrorForm, by_keystone: bool) -> Response<Body> {
    if by_keystone || form == ErrorForm::Json {
        let title = failure.status.canonical_reason().unwrap_or_default();
        let document = Writer::document(|w| {
            if by_keystone {
                w.key("error").object(|w| {
                    w.key("code").integer(failure.status.as_u16());
                    w.key("title").string(title);
                    w.key("message").string(&failure.detail);
                });
            } else {
                w.key("message").string(&failure.detail);
                w.key("code").string(&failure.status.to_string());
                w.key("title").string(title);
            }
        });
        let mut response = Response::new(Body::from(document));
        *response.status_mut() = failure.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return response;
    }
    self::failure(failure, None, form, "")
}

fn error_document(failure: &Failure, version: Option<Microversion>, request_id: &str) -> Vec<u8> {
    let title = failure.status.canonical_reason().unwrap_or("Error");
    Writer::document(|w| {
        w.key("errors").array(|w| {
            w.object(|w| {
                w.key("status").integer(failure.status.as_u16());
                w.key("title").string(title);
                w.key("detail").string(&detail(failure));
                if version.is_some_and(|version| version.at_least(23)) {
                    w.key("code").string(failure.code.as_str());
                }
                w.key("request_id").string(request_id);
                if version.is_none() && failure.status == StatusCode::NOT_ACCEPTABLE {
                    w.key("max_version").string(&Microversion::MAX.to_string());
                    w.key("min_version").string(&Microversion::MIN.to_string());
                }
            });
        });
    })
}

/// The detail on one line. A conflict over inventories has the original's explanation before it,
/// whose line breaks Nova's functional tests compare.
fn detail(failure: &Failure) -> String {
    let line = failure.detail.replace('\n', " ");
    if failure.detail.starts_with(UPDATE_CONFLICT) {
        return format!("There was a conflict when trying to complete your request.\n\n {line}");
    }
    line
}

fn page(failure: &Failure) -> String {
    let detail = failure.detail.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let status = failure.status;
    format!(
        "<html><head><title>{status}</title></head><body><h1>{status}</h1><p>{detail}</p></body></html>\n"
    )
}
