//! Who is asking.

mod keystone;
mod noauth2;

use std::sync::Arc;

use axum::http::HeaderMap;

pub(crate) use keystone::Counters as KeystoneCounters;
pub use keystone::{InvalidKeystone, Keystone, KeystoneSettings, Secret};

/// How the server finds out who is asking.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Believes what the request says; for development and tests.
    Noauth2,
    /// Asks Keystone about the token.
    Keystone(Arc<Keystone>),
}

/// What is known about who is asking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user_id: String,
    /// The project the token is scoped to.
    pub project_id: Option<String>,
    /// The domain the token is scoped to.
    pub domain_id: Option<String>,
    /// The user's roles there, implied ones included.
    pub roles: Vec<String>,
    /// Whether the token is scoped to the whole system.
    pub system: bool,
}

/// Nobody who can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// No token was sent.
    #[error("The request needs an X-Auth-Token header.")]
    NoToken,
    /// The token is unknown, expired or revoked.
    #[error("The request you have made requires authentication.")]
    Rejected,
    /// Keystone cannot be asked now.
    #[error("The Keystone service is temporarily unavailable.")]
    Unavailable,
}

impl Auth {
    /// Who sent a request with these headers. Clients of one address wait for each other's new tokens.
    ///
    /// # Errors
    /// Nobody who can be told.
    pub async fn identify(
        &self,
        headers: &HeaderMap,
        client: &str,
    ) -> Result<Arc<Identity>, Unauthenticated> {
        match self {
            Self::Noauth2 => noauth2::identify(headers).map(Arc::new),
            Self::Keystone(keystone) => keystone.identify(headers, client).await,
        }
    }

    /// What a 401 says in `WWW-Authenticate`, if anything.
    pub(crate) fn challenge(&self) -> Option<String> {
        match self {
            Self::Noauth2 => None,
            Self::Keystone(keystone) => Some(format!("Keystone uri=\"{}\"", keystone.public_uri())),
        }
    }
}
