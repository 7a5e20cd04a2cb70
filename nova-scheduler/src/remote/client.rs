//! A Placement service over HTTP. Calls block.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::StatusCode;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use uuid::Uuid;

use super::candidates::RemoteCandidates;

/// The microversion that nova-scheduler uses for candidates and claims.
const VERSION: &str = "placement 1.36";

/// Bytes of an answer, beyond which it is refused: far more than the candidates of 100,000 hosts.
const LONGEST: u64 = 256 << 20;

/// Idle connections close before servers close them, which may be after 5 seconds.
const IDLE: Duration = Duration::from_secs(3);

/// Gets tokens for requests to Placement.
pub trait TokenSource: Send + Sync {
    /// A token; another one than `refused`, if that is given.
    ///
    /// # Errors
    /// Why there is none.
    fn token(&self, refused: Option<&str>) -> Result<String, String>;
}

/// One token for ever, as development setups have it.
#[derive(Debug, Clone)]
pub struct FixedToken(pub String);

impl TokenSource for FixedToken {
    fn token(&self, _: Option<&str>) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

/// A Placement service that is not in this process.
#[derive(Clone)]
pub struct RemotePlacementSettings {
    /// Its root URL.
    pub url: String,
    /// Tokens for requests.
    pub tokens: Arc<dyn TokenSource>,
    /// Certificates of the authorities to trust, in PEM; Mozilla's list if there are none.
    pub authorities: Option<String>,
    /// How long a request may take.
    pub timeout: Duration,
}

impl std::fmt::Debug for RemotePlacementSettings {
    /// Without tokens.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("RemotePlacementSettings").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Why Placement did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemoteError {
    /// There was no answer.
    #[error("{url}: {source}")]
    Transport {
        /// The service.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// There is no token.
    #[error("no token for Placement: {0}")]
    Token(String),
    /// Another claim was faster, or a consumer holds something already.
    #[error("{0}")]
    Conflict(String),
    /// The service refuses the request.
    #[error("{method} {url}: status {status}: {detail}")]
    Status {
        /// The method.
        method: &'static str,
        /// The service.
        url: String,
        /// The status.
        status: StatusCode,
        /// The message of the service.
        detail: String,
    },
    /// The answer is not one of Placement.
    #[error("{url}: not an answer of Placement: {source}")]
    Answer {
        /// The service.
        url: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// The certificates that a setting names cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAuthorities(String);

/// A client of the service. Its connections are shared.
pub(super) struct PlacementClient {
    agent: Agent,
    url: String,
    tokens: Arc<dyn TokenSource>,
}

/// The allocations of a consumer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Held {
    #[serde(default)]
    pub(super) allocations: BTreeMap<String, HeldResources>,
    #[serde(default)]
    pub(super) consumer_generation: Option<u64>,
}

/// Its allocations on one provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct HeldResources {
    pub(super) resources: BTreeMap<String, u64>,
}

impl PlacementClient {
    pub(super) fn new(settings: &RemotePlacementSettings) -> Result<Self, InvalidAuthorities> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0) // tokens go to no other server
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(settings.timeout))
            .max_idle_age(IDLE)
            .tls_config(tls(settings.authorities.as_deref())?);
        let url = settings.url.trim_end_matches('/').to_owned();
        Ok(Self { agent: config.build().into(), url, tokens: Arc::clone(&settings.tokens) })
    }

    /// The candidates for a query. A service that cannot make sense of it has none.
    pub(super) fn candidates(&self, query: &str) -> Result<RemoteCandidates, RemoteError> {
        let answer = self.call("GET", &format!("/allocation_candidates?{query}"), None)?;
        serde_json::from_slice(&answer).map_err(|source| self.unreadable(source))
    }

    /// The allocations of a consumer.
    pub(super) fn held(&self, consumer: Uuid) -> Result<Held, RemoteError> {
        let answer = self.call("GET", &format!("/allocations/{consumer}"), None)?;
        serde_json::from_slice(&answer).map_err(|source| self.unreadable(source))
    }

    /// Claims for several consumers, all or nothing.
    pub(super) fn claim(&self, body: &Value) -> Result<(), RemoteError> {
        self.call("POST", "/allocations", Some(body)).map(drop)
    }

    fn unreadable(&self, source: serde_json::Error) -> RemoteError {
        RemoteError::Answer { url: self.url.clone(), source }
    }

    /// The body of a successful answer. A token that is refused is replaced once.
    fn call(&self, method: &'static str, path: &str, body: Option<&Value>) -> Result<Vec<u8>, RemoteError> {
        let token = self.tokens.token(None).map_err(RemoteError::Token)?;
        let (mut status, mut answer) = self.try_call(method, path, body, &token)?;
        if status == StatusCode::UNAUTHORIZED {
            let token = self.tokens.token(Some(&token)).map_err(RemoteError::Token)?;
            (status, answer) = self.try_call(method, path, body, &token)?;
        }
        match status {
            status if status.is_success() => Ok(answer),
            StatusCode::CONFLICT => Err(RemoteError::Conflict(detail(&answer))),
            status => {
                Err(RemoteError::Status { method, url: self.url.clone(), status, detail: detail(&answer) })
            }
        }
    }

    fn try_call(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
        token: &str,
    ) -> Result<(StatusCode, Vec<u8>), RemoteError> {
        let url = format!("{}{path}", self.url);
        let failed = |source| RemoteError::Transport { url: self.url.clone(), source: Box::new(source) };
        let response = match body {
            None => {
                let request = self.agent.get(&url).header("X-Auth-Token", token);
                request.header("OpenStack-API-Version", VERSION).header("Accept", "application/json").call()
            }
            Some(body) => {
                debug_assert_eq!(method, "POST");
                let request = self.agent.post(&url).header("X-Auth-Token", token);
                let request = request.header("OpenStack-API-Version", VERSION);
                request.header("Content-Type", "application/json").send(body.to_string())
            }
        };
        let mut response = response.map_err(failed)?;
        let status = response.status();
        let answer = response.body_mut().with_config().limit(LONGEST).read_to_vec().map_err(failed)?;
        Ok((status, answer))
    }
}

/// The message of an error, shortened.
fn detail(answer: &[u8]) -> String {
    let document: Value = serde_json::from_slice(answer).unwrap_or(Value::Null);
    let detail = document.pointer("/errors/0/detail").and_then(Value::as_str);
    let text = detail.map_or_else(|| String::from_utf8_lossy(answer).into_owned(), str::to_owned);
    text.trim().chars().take(500).collect()
}

/// Amounts by provider and resource class.
pub(super) type Amounts = BTreeMap<String, BTreeMap<String, u64>>;

/// The new allocations of one consumer.
pub(super) struct RemoteClaim {
    pub(super) consumer: Uuid,
    pub(super) allocations: Amounts,
    /// The generation that it has; none for a new one.
    pub(super) generation: Option<u64>,
}

/// The new allocations of the consumers, as the body of `POST /allocations`.
pub(super) fn claim_body(claims: &[RemoteClaim], (project, user): (&str, &str)) -> Value {
    let of_one = |claim: &RemoteClaim| {
        let providers = claim.allocations.iter();
        let providers =
            providers.map(|(provider, amounts)| (provider.clone(), json!({"resources": amounts})));
        let allocations: serde_json::Map<String, Value> = providers.collect();
        let body = json!({
            "allocations": allocations, "project_id": project, "user_id": user,
            "consumer_generation": claim.generation,
        });
        (claim.consumer.to_string(), body)
    };
    Value::Object(claims.iter().map(of_one).collect())
}

fn tls(authorities: Option<&str>) -> Result<TlsConfig, InvalidAuthorities> {
    let Some(pem) = authorities else { return Ok(TlsConfig::default()) };
    let mut certificates = Vec::new();
    for item in parse_pem(pem.as_bytes()) {
        if let PemItem::Certificate(certificate) =
            item.map_err(|error| InvalidAuthorities(error.to_string()))?
        {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(InvalidAuthorities("has no certificate in PEM".to_owned()));
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates)).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_shortened_to_what_they_say() {
        let answer =
            br#"{"errors": [{"status": 409, "detail": " Unable to allocate inventory ", "code": "x"}]}"#;
        assert_eq!(detail(answer), "Unable to allocate inventory");
        assert_eq!(detail(b"<html>"), "<html>");
        assert_eq!(detail("x".repeat(1_000).as_bytes()).len(), 500);
    }

    #[test]
    fn a_claim_names_owner_and_generation() {
        let allocations = [("p".to_owned(), [("VCPU".to_owned(), 1)].into())].into();
        let claim = RemoteClaim { consumer: Uuid::from_u128(1), allocations, generation: None };
        let body = claim_body(&[claim], ("project", "user"));
        assert_eq!(
            body[Uuid::from_u128(1).to_string()],
            json!({"allocations": {"p": {"resources": {"VCPU": 1}}}, "project_id": "project", "user_id": "user",
                "consumer_generation": null})
        );
    }
}
