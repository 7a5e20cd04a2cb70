//! An HTTP client of a Placement server. Every thread has its own client, and so its own
//! connection.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use ureq::Agent;
use ureq::http::StatusCode;
use uuid::Uuid;

/// Supports candidates with `member_of`, required traits and `limit`, and allocations without
/// consumer types.
const VERSION: &str = "placement 1.36";
/// Longer than any response should take; after that, the request counts as failed.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The limit of a response body in bytes: far more than a thousand candidates take.
const MOST_BYTES: u64 = 256 << 20;

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There was no response.
    #[error("{method} {url}: {}", .source)]
    Transport {
        /// The method.
        method: &'static str,
        /// The URL.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The response has an error status.
    #[error("{method} {url}: status {status}: {body}")]
    Status {
        /// The method.
        method: &'static str,
        /// The URL.
        url: String,
        /// The status.
        status: StatusCode,
        /// The beginning of the body.
        body: String,
    },
    /// The response does not follow the API.
    #[error("{method} {url}: not an answer of the Placement API: {source}")]
    Body {
        /// The method.
        method: &'static str,
        /// The URL.
        url: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl RequestError {
    /// Whether the server reported a conflicting change.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Status { status, .. } if *status == StatusCode::CONFLICT)
    }

    /// Whether the server reported that the resource does not exist.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Status { status, .. } if *status == StatusCode::NOT_FOUND)
    }
}

/// The UUID of an object of a run: of those that a run makes, and those of other runs, none has the
/// same.
pub(crate) const fn uuid_of_run(nonce: u64, number: u64) -> Uuid {
    let bytes = ((nonce as u128) << 64 | number as u128).to_be_bytes();
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// A connection to a server.
pub(crate) struct Client {
    agent: Agent,
    root: String,
    token: String,
}

#[derive(Deserialize)]
struct ProviderList {
    resource_providers: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Generation {
    resource_provider_generation: u64,
}

impl Client {
    pub(crate) fn new(endpoint: &str, token: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .max_redirects(0)
            .proxy(None)
            .build();
        let root = endpoint.trim_end_matches('/').to_owned();
        Self { agent: config.into(), root, token: token.to_owned() }
    }

    /// A client with the same settings and its own connection.
    pub(crate) fn another(&self) -> Self {
        Self::new(&self.root, &self.token)
    }

    /// Whether the server has any resource provider.
    pub(super) fn has_providers(&self) -> Result<bool, RequestError> {
        let path = "/resource_providers";
        let list: ProviderList = self.parse("GET", path, &self.get(path)?)?;
        Ok(!list.resource_providers.is_empty())
    }

    /// Writes a subresource of a provider; returns the provider's new generation.
    pub(super) fn put_of_provider(&self, path: &str, body: &Value) -> Result<u64, RequestError> {
        let answer: Generation = self.parse("PUT", path, &self.put(path, body)?)?;
        Ok(answer.resource_provider_generation)
    }

    fn parse<'a, T: Deserialize<'a>>(
        &self,
        method: &'static str,
        path: &str,
        body: &'a [u8],
    ) -> Result<T, RequestError> {
        let error = |source| RequestError::Body { method, url: self.url(path), source };
        serde_json::from_slice(body).map_err(error)
    }

    pub(super) fn get(&self, path: &str) -> Result<Vec<u8>, RequestError> {
        let url = self.url(path);
        let request = self.agent.get(&url).header("X-Auth-Token", &self.token);
        let answer =
            request.header("OpenStack-API-Version", VERSION).header("Accept", "application/json").call();
        read("GET", url, answer)
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Vec<u8>, RequestError> {
        let url = self.url(path);
        let request = self.agent.delete(&url).header("X-Auth-Token", &self.token);
        read("DELETE", url, request.header("OpenStack-API-Version", VERSION).call())
    }

    pub(super) fn put(&self, path: &str, body: &Value) -> Result<Vec<u8>, RequestError> {
        let url = self.url(path);
        let request = self.agent.put(&url).header("X-Auth-Token", &self.token);
        let request = request.header("OpenStack-API-Version", VERSION);
        read("PUT", url, request.header("Content-Type", "application/json").send(body.to_string()))
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Vec<u8>, RequestError> {
        let url = self.url(path);
        let request = self.agent.post(&url).header("X-Auth-Token", &self.token);
        let request = request.header("OpenStack-API-Version", VERSION);
        read("POST", url, request.header("Content-Type", "application/json").send(body.to_string()))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }
}

type Answer = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

fn read(method: &'static str, url: String, answer: Answer) -> Result<Vec<u8>, RequestError> {
    let body = answer.and_then(|mut answer| {
        let body = answer.body_mut().with_config().limit(MOST_BYTES).read_to_vec()?;
        Ok((answer.status(), body))
    });
    match body {
        Ok((status, body)) if status.is_success() => Ok(body),
        Ok((status, body)) => {
            let body = String::from_utf8_lossy(&body).trim().chars().take(300).collect();
            Err(RequestError::Status { method, url, status, body })
        }
        Err(source) => Err(RequestError::Transport { method, url, source: Box::new(source) }),
    }
}
