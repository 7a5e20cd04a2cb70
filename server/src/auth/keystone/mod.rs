//! Tokens of Keystone, API version 3.
//!
//! A token is looked up in a bounded cache by its hash. Keystone is asked about a token that is not there, once, however
//! many requests bring it at the same time. Its answer holds for a while, but never longer than the token; a token that
//! is revoked meanwhile is believed until then. Tokens are never logged: a few digits of the hash stand for them.

mod cache;
mod client;
mod settings;
mod token;

use std::sync::Arc;

use axum::http::HeaderMap;
use berth_placement::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::sync::Semaphore;

use super::{Identity, Unauthenticated};
use crate::service::now;
use cache::{Cache, TokenHash, Verdict};
use client::{Answer, Client};

pub use settings::{InvalidKeystone, KeystoneSettings, Secret};

/// How many questions to Keystone may be under way. Others wait.
const QUESTIONS: usize = 16;

const SECOND: u64 = 1_000_000;

/// How long a rejected token is remembered, in microseconds.
const REJECTED: u64 = 10 * SECOND;

/// How long Keystone is left in peace about a token after it could not be asked, in microseconds.
const UNAVAILABLE: u64 = SECOND;

/// What requests with tokens came to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counters {
    /// Questions to Keystone.
    pub(crate) asked: Family<Asked, Counter>,
    /// Requests that were answered without one.
    pub(crate) cached: Counter,
}

/// What Keystone said about a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Asked {
    pub(crate) outcome: &'static str,
}

/// Keystone, as the judge of tokens.
pub struct Keystone {
    client: Arc<Client>,
    cache: Cache,
    questions: Semaphore,
    lifetime: u64,
    public_uri: String,
    pub(crate) counters: Counters,
}

impl std::fmt::Debug for Keystone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keystone").field("public_uri", &self.public_uri).finish_non_exhaustive()
    }
}

impl Keystone {
    /// Prepares to ask. Nothing is sent before the first token comes.
    ///
    /// # Errors
    /// A setting that cannot be.
    pub fn new(settings: &KeystoneSettings) -> Result<Self, InvalidKeystone> {
        Ok(Self {
            client: Arc::new(Client::new(settings)?),
            cache: Cache::new(settings.cache_entries),
            questions: Semaphore::new(QUESTIONS),
            lifetime: u64::try_from(settings.cache_time.as_micros()).unwrap_or(u64::MAX),
            public_uri: settings.public_uri().to_owned(),
            counters: Counters::default(),
        })
    }

    /// Where clients get tokens.
    pub(super) fn public_uri(&self) -> &str {
        &self.public_uri
    }

    pub(super) async fn identify(&self, headers: &HeaderMap) -> Result<Arc<Identity>, Unauthenticated> {
        let token = headers.get("x-auth-token").filter(|token| !token.is_empty());
        let token = token.ok_or(Unauthenticated::NoToken)?.to_str().map_err(|_| Unauthenticated::Rejected)?;
        let hash = TokenHash::of(token);
        let entry = self.cache.entry(hash, now());
        if entry.initialized() {
            self.counters.cached.inc();
        }
        let verdict = entry.get_or_init(|| self.ask(token, hash)).await;
        match &verdict.outcome {
            Ok(identity) if verdict.holds(now()) => Ok(Arc::clone(identity)),
            Ok(_) => Err(Unauthenticated::Rejected), // it expired while it was being asked about
            Err(error) => {
                self.cache.demote(&hash);
                Err(*error)
            }
        }
    }

    /// Keystone's word on a token, from now on.
    async fn ask(&self, token: &str, hash: TokenHash) -> Verdict {
        let _permit = self.questions.acquire().await.expect("the semaphore is never closed");
        let (client, subject) = (Arc::clone(&self.client), token.to_owned());
        let answer = tokio::task::spawn_blocking(move || client.validate(&subject)).await;
        let since = now();
        let (name, outcome, until) = match answer {
            Ok(Ok(Answer::Valid(token))) if token.expires_at > since => {
                let until = Timestamp(since.0.saturating_add(self.lifetime)).min(token.expires_at);
                ("valid", Ok(Arc::new(token.identity)), until)
            }
            Ok(Ok(_)) => {
                tracing::debug!(token = %hash, "Keystone does not know the token");
                ("rejected", Err(Unauthenticated::Rejected), Timestamp(since.0 + REJECTED.min(self.lifetime)))
            }
            Ok(Err(error)) => {
                tracing::error!(token = %hash, %error, "a token cannot be validated");
                ("unavailable", Err(Unauthenticated::Unavailable), Timestamp(since.0 + UNAVAILABLE))
            }
            Err(error) => {
                tracing::error!(token = %hash, %error, "the validation of a token broke off");
                ("unavailable", Err(Unauthenticated::Unavailable), Timestamp(since.0 + UNAVAILABLE))
            }
        };
        self.counters.asked.get_or_create(&Asked { outcome: name }).inc();
        Verdict { outcome, since, until }
    }
}
