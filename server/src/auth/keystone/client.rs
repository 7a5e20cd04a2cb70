//! Keystone over HTTP: a token of our own, with which others are validated.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use berth_placement::Timestamp;
use serde_json::json;
use ureq::Agent;
use ureq::http::{Response, StatusCode};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::pause::Pause;
use super::settings::{InvalidKeystone, KeystoneSettings};
use super::token::Token;
use crate::service::now;

/// Bytes of an answer, beyond which it is not a token.
const LONGEST: u64 = 1 << 20;

/// Our token is renewed so long before it expires, in microseconds.
const EARLY: u64 = 60_000_000;

/// Why Keystone did not say whether a token is good.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("Keystone cannot be reached: {0}")]
    Unreachable(#[from] Box<ureq::Error>),
    #[error("Keystone refuses the service user's name, password or project (status {0})")]
    Credentials(StatusCode),
    #[error("the last login of the service user has failed a moment ago: {0}")]
    Paused(String),
    #[error("Keystone does not let the service user validate tokens (status {0})")]
    Forbidden(StatusCode),
    #[error("Keystone answers with status {0}")]
    Status(StatusCode),
    #[error("Keystone's answer is not a token of API version 3")]
    Malformed,
}

/// Keystone's response about a token.
pub(super) enum Answer {
    Valid(Token),
    Unknown,
}

/// Asks Keystone. Calls block.
pub(super) struct Client {
    agent: Agent,
    url: String,
    /// The body of the request for a token of the service user.
    credentials: Vec<u8>,
    /// Locked while the service user logs in.
    own: Mutex<Own>,
}

/// The service user's token, or why there is none.
#[derive(Default)]
struct Own {
    fresh: Option<Fresh>,
    pause: Pause,
}

struct Fresh {
    token: String,
    renew_at: Timestamp,
}

impl Client {
    pub(super) fn new(settings: &KeystoneSettings) -> Result<Self, InvalidKeystone> {
        settings.check()?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0) // tokens go to no other server
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(settings.timeout))
            .tls_config(tls(settings.ca_certificates.as_deref())?);
        Ok(Self {
            agent: config.build().into(),
            url: settings.url("auth/tokens?nocatalog"),
            credentials: credentials(settings),
            own: Mutex::default(),
        })
    }

    /// Asks about a token; with a new one of our own, if the one we have is no longer taken.
    pub(super) fn validate(&self, subject: &str) -> Result<Answer, Unanswered> {
        let own = self.own_token(None)?;
        let mut response = self.ask_about(subject, &own)?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let renewed = self.own_token(Some(&own))?;
            response = self.ask_about(subject, &renewed)?;
        }
        match response.status() {
            StatusCode::OK => Ok(Answer::Valid(read(response)?)),
            StatusCode::NOT_FOUND => Ok(Answer::Unknown),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(Unanswered::Forbidden(status)),
            status => Err(Unanswered::Status(status)),
        }
    }

    fn ask_about(&self, subject: &str, own: &str) -> Result<Response<ureq::Body>, Unanswered> {
        let request =
            self.agent.get(&self.url).header("X-Auth-Token", own).header("X-Subject-Token", subject);
        Ok(request.call().map_err(Box::new)?)
    }

    /// Our token; a new one if there is none, it is about to expire, or it is the one that was
    /// refused.
    pub(super) fn own_token(&self, refused: Option<&str>) -> Result<String, Unanswered> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fresh) = &own.fresh
            && now() < fresh.renew_at
            && refused != Some(fresh.token.as_str())
        {
            return Ok(fresh.token.clone());
        }
        own.fresh = None;
        if let Some(reason) = own.pause.reason(instant()) {
            return Err(Unanswered::Paused(reason.to_owned()));
        }
        match self.authenticate() {
            Ok(fresh) => {
                own.pause = Pause::default();
                Ok(own.fresh.insert(fresh).token.clone())
            }
            Err(error) => {
                let was_refused = matches!(error, Unanswered::Credentials(_));
                own.pause.begin(instant(), was_refused, error.to_string());
                Err(error)
            }
        }
    }

    fn authenticate(&self) -> Result<Fresh, Unanswered> {
        let request = self.agent.post(&self.url).header("Content-Type", "application/json");
        let response = request.send(&self.credentials[..]).map_err(Box::new)?;
        match response.status() {
            StatusCode::CREATED => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(Unanswered::Credentials(status));
            }
            status => return Err(Unanswered::Status(status)),
        }
        let token = response.headers().get("x-subject-token").and_then(|token| token.to_str().ok());
        let token = token.ok_or(Unanswered::Malformed)?.to_owned();
        let expires_at = read(response)?.expires_at;
        tracing::info!("got a token for the service user");
        Ok(Fresh { token, renew_at: Timestamp(expires_at.0.saturating_sub(EARLY)) })
    }
}

#[expect(clippy::disallowed_methods, reason = "pauses are about real time")]
fn instant() -> Instant {
    Instant::now()
}

fn read(mut response: Response<ureq::Body>) -> Result<Token, Unanswered> {
    let body = response.body_mut().with_config().limit(LONGEST).read_to_vec().map_err(Box::new)?;
    Token::parse(&body).ok_or(Unanswered::Malformed)
}

fn credentials(settings: &KeystoneSettings) -> Vec<u8> {
    let user = json!({
        "name": settings.username,
        "domain": {"name": settings.user_domain_name},
        "password": settings.password.0,
    });
    let scope = json!({
        "name": settings.project_name,
        "domain": {"name": settings.project_domain_name},
    });
    let identity = json!({"methods": ["password"], "password": {"user": user}});
    json!({"auth": {"identity": identity, "scope": {"project": scope}}}).to_string().into_bytes()
}

fn tls(authorities: Option<&str>) -> Result<TlsConfig, InvalidKeystone> {
    let Some(pem) = authorities else { return Ok(TlsConfig::default()) };
    let fail = |problem: String| InvalidKeystone { setting: "ca_file", problem };
    let mut certificates = Vec::new();
    for item in parse_pem(pem.as_bytes()) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| fail(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(fail("has no certificate in PEM".to_owned()));
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates)).build())
}
