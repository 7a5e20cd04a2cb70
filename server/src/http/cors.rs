//! Cross-origin requests, for dashboards in a browser.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// The cross-origin requests that browsers may make.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    /// Origins that may call, such as `https://dashboard.example.com`.
    pub allowed_origins: Vec<String>,
}

/// Methods a page may use, as the original's default.
const METHODS: [&str; 8] = ["OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "PATCH"];

/// Headers a page may send: those any page may, and those that clients of this API need.
const HEADERS: [&str; 16] = [
    "accept",
    "accept-language",
    "content-type",
    "cache-control",
    "content-language",
    "expires",
    "last-modified",
    "pragma",
    "openstack-api-version",
    "x-auth-token",
    "x-identity-status",
    "x-roles",
    "x-service-catalog",
    "x-user-id",
    "x-tenant-id",
    "x-openstack-request-id",
];

const EXPOSED: &str =
    "X-Auth-Token,X-Openstack-Request-Id,X-Subject-Token,X-Service-Token,OpenStack-API-Version";

const MAX_AGE_SECONDS: &str = "3600";

impl Cors {
    /// Whether cross-origin requests are handled at all.
    pub(crate) fn is_on(&self) -> bool {
        !self.allowed_origins.is_empty()
    }

    fn origin<'request>(&self, request: &'request HeaderMap) -> Option<&'request HeaderValue> {
        let origin = request.get(header::ORIGIN)?;
        self.allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then_some(origin)
    }

    /// What is added to the answer of a request that is no preflight.
    pub(crate) fn decorate(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if let Some(origin) = self.origin(request) {
            allow(origin, answer);
            let exposed = HeaderValue::from_static(EXPOSED);
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }

    /// The headers that answer a preflight; none when it asks for what is not allowed.
    pub(crate) fn preflight(&self, request: &HeaderMap) -> HeaderMap {
        self.preflight_answer(request).unwrap_or_default()
    }

    fn preflight_answer(&self, request: &HeaderMap) -> Option<HeaderMap> {
        let origin = self.origin(request)?;
        let method = request.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        METHODS.iter().find(|allowed| allowed.as_bytes() == method.as_bytes())?;
        let asked = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let asked = asked.map(HeaderValue::to_str).transpose().ok()?.unwrap_or_default();
        let asked: Vec<&str> = asked.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let is_known = |name: &&str| HEADERS.iter().any(|allowed| allowed.eq_ignore_ascii_case(name));
        if !asked.iter().all(is_known) {
            return None;
        }
        let mut answer = HeaderMap::new();
        allow(origin, &mut answer);
        answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS));
        answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method.clone());
        if !asked.is_empty() {
            let names = HeaderValue::from_str(&asked.join(",")).ok()?;
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
        Some(answer)
    }
}

fn allow(origin: &HeaderValue, answer: &mut HeaderMap) {
    answer.append(header::VARY, HeaderValue::from_static("Origin"));
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    let credentials: HeaderName = header::ACCESS_CONTROL_ALLOW_CREDENTIALS;
    answer.insert(credentials, HeaderValue::from_static("true"));
}

/// Whether a request asks what a later one may do.
pub(crate) fn is_preflight(method: &Method) -> bool {
    method == Method::OPTIONS
}
