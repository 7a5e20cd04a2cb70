//! Tokens of Keystone, API version 3.
//!
//! A token is looked up in a bounded cache by its hash. Keystone is asked about a token that is not
//! cached, once, however many requests bring it at the same time. Its answer holds for a while, but
//! never longer than the token; a token that is revoked meanwhile is believed until then. Tokens
//! are never logged: a few digits of the hash stand for them.
//!
//! Clients take turns by their addresses, so that a flood of unknown tokens from one address delays
//! neither known tokens nor new ones of others. Only Keystone distinguishes a new valid token from
//! an unknown one of the same address, so the flood and the valid tokens share the questions that
//! may be asked at a time. There are as many of these as Keystone takes without delay ([`pace`]).
//! Beyond that, the latest token and the one that has waited longest come next in turn, and tokens
//! of clients that have gone are not asked about.

mod cache;
mod client;
mod pace;
mod pause;
mod settings;
mod token;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::task::JoinError;
use tokio::time::timeout;

use super::{Identity, Unauthenticated};
use crate::clock::monotonic;
use crate::service::now;
use crate::turns::{Turn, Turns};
use cache::{Cache, Good, TokenHash, Verdict};
use client::{Answer, Client, Unanswered};
use pace::Pace;

pub use settings::{InvalidKeystone, KeystoneSettings, Secret};

/// How many tokens from one address may wait. With one more, the request that has waited longest is
/// answered as if Keystone was not there.
const WAITING: usize = 1_000;

/// How many tokens from one address wait in order. While there are more, every other turn is that
/// of the latest.
const WAITING_IN_ORDER: usize = 24;

/// How long a rejected token is remembered.
const REJECTED: Duration = Duration::from_secs(10);

/// How long Keystone is left in peace about a token after it could not be asked.
const UNAVAILABLE: Duration = Duration::from_secs(1);

/// The outcomes of requests with tokens.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counters {
    /// Questions to Keystone.
    pub(crate) asked: Family<Asked, Counter>,
    /// Requests that were answered without one.
    pub(crate) cached: Counter,
}

/// Keystone's verdict on a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Asked {
    pub(crate) outcome: &'static str,
}

/// Keystone, as the judge of tokens.
pub struct Keystone {
    client: Arc<Client>,
    cache: Cache,
    questions: Arc<Turns>,
    pace: Arc<Mutex<Pace>>,
    /// How long a request waits for Keystone's word.
    patience: Duration,
    lifetime: Duration,
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
        let pace = Pace::default();
        let (at_once, of_one) = (pace.at_once(), pace.of_one());
        Ok(Self {
            client: Arc::new(Client::new(settings)?),
            cache: Cache::new(settings.cache_entries),
            questions: Turns::with_latest_in_turn(at_once, of_one, WAITING, WAITING_IN_ORDER),
            pace: Arc::new(Mutex::new(pace)),
            patience: settings.timeout,
            lifetime: settings.cache_time,
            public_uri: settings.public_uri().to_owned(),
            counters: Counters::default(),
        })
    }

    /// A token of the service user, for requests to other services; another one than `refused`, if
    /// that is given. The call blocks.
    ///
    /// # Errors
    /// Why Keystone gives none.
    pub fn service_token(&self, refused: Option<&str>) -> Result<String, String> {
        self.client.own_token(refused).map_err(|error| error.to_string())
    }

    /// Where clients get tokens.
    pub(super) fn public_uri(&self) -> &str {
        &self.public_uri
    }

    pub(super) async fn identify(
        &self,
        headers: &HeaderMap,
        client: &str,
        gone: impl Future<Output = ()>,
    ) -> Result<Arc<Identity>, Unauthenticated> {
        let token = headers.get("x-auth-token").filter(|token| !token.is_empty());
        let token = token.ok_or(Unauthenticated::NoToken)?.to_str().map_err(|_| Unauthenticated::Rejected)?;
        let hash = TokenHash::of(token);
        let entry = self.cache.entry(hash, monotonic());
        if entry.initialized() {
            self.counters.cached.inc();
        }
        let verdict = entry.get_or_try_init(|| self.ask(token, hash, client, gone)).await?;
        let identity = verdict.identity(monotonic());
        if identity.is_err() {
            self.cache.demote(&hash);
        }
        identity
    }

    /// Keystone's word on a token, from now on. Fails if the client is gone before its turn comes.
    async fn ask(
        &self,
        token: &str,
        hash: TokenHash,
        client: &str,
        gone: impl Future<Output = ()>,
    ) -> Result<Verdict, Unauthenticated> {
        let question = async {
            let turn = tokio::select! {
                turn = self.questions.turn(client) => turn,
                () = gone => return Err(Unauthenticated::Unavailable),
            };
            Ok(match turn {
                Ok(turn) => Some(self.question(token, turn).await),
                Err(_too_many) => None,
            })
        };
        let answer = timeout(self.patience, question).await;
        // Keystone says by the wall clock when a token expires: what is left of it is measured
        // once, now.
        let (now, asked) = (now(), monotonic());
        let error = match answer {
            Ok(Err(gone)) => return Err(gone),
            Ok(Ok(None)) => "too many tokens from the address of this client are waiting".to_owned(),
            Ok(Ok(Some(Ok(Ok(Answer::Valid(token)))))) if token.expires_at > now => {
                let left = Duration::from_micros(token.expires_at.0 - now.0);
                let good = Good { identity: Arc::new(token.identity), expires_at: asked.after(left) };
                return Ok(self.verdict("valid", Ok(good), self.lifetime.min(left)));
            }
            Ok(Ok(Some(Ok(Ok(_))))) => {
                tracing::debug!(token = %hash, "Keystone does not know the token");
                let lifetime = REJECTED.min(self.lifetime);
                return Ok(self.verdict("rejected", Err(Unauthenticated::Rejected), lifetime));
            }
            Ok(Ok(Some(Ok(Err(error))))) => error.to_string(),
            Ok(Ok(Some(Err(error)))) => format!("the question broke off: {error}"),
            Err(_) => format!("Keystone has not answered within {} seconds", self.patience.as_secs_f64()),
        };
        tracing::error!(token = %hash, error, "a token cannot be validated");
        Ok(self.verdict("unavailable", Err(Unauthenticated::Unavailable), UNAVAILABLE))
    }

    /// Asks Keystone. A question continues when its client has gone, and counts until it ends.
    async fn question(&self, token: &str, turn: Turn) -> Result<Result<Answer, Unanswered>, JoinError> {
        let (client, subject) = (Arc::clone(&self.client), token.to_owned());
        let (questions, pace) = (Arc::clone(&self.questions), Arc::clone(&self.pace));
        let question = move || {
            let start = monotonic();
            let answer = client.validate(&subject);
            {
                let mut pace = pace.lock().unwrap_or_else(PoisonError::into_inner);
                match &answer {
                    Ok(_) => pace.note(monotonic().since(start), questions.has_waiting()),
                    Err(_) => pace.note_failure(),
                }
                questions.set_most(pace.at_once(), pace.of_one());
            }
            drop(turn);
            answer
        };
        tokio::task::spawn_blocking(question).await
    }

    fn verdict(
        &self,
        name: &'static str,
        outcome: Result<Good, Unauthenticated>,
        lifetime: Duration,
    ) -> Verdict {
        self.counters.asked.get_or_create(&Asked { outcome: name }).inc();
        Verdict { outcome, until: monotonic().after(lifetime) }
    }
}
