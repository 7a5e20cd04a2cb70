//! The identity of the caller.

mod keystone;
mod noauth2;

use std::future::Future;
use std::sync::Arc;

use axum::http::HeaderMap;

pub(crate) use keystone::Counters as KeystoneCounters;
pub use keystone::{InvalidKeystone, Keystone, KeystoneSettings, Secret};

/// How the server identifies the caller.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Trusts the identity in the request; for development and tests.
    Noauth2,
    /// Validates the token with Keystone.
    Keystone(Arc<Keystone>),
}

/// The identity of the caller.
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

/// Why the caller cannot be identified.
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
    /// Identifies the caller that sent these headers. New tokens from one address wait for each
    /// other; one whose client is `gone` meanwhile waits no longer.
    ///
    /// # Errors
    /// Fails if the caller cannot be identified.
    pub async fn identify(
        &self,
        headers: &HeaderMap,
        client: &str,
        gone: impl Future<Output = ()>,
    ) -> Result<Arc<Identity>, Unauthenticated> {
        match self {
            Self::Noauth2 => noauth2::identify(headers).map(Arc::new),
            Self::Keystone(keystone) => keystone.identify(headers, client, gone).await,
        }
    }

    /// The `WWW-Authenticate` header of a 401, if there is one.
    pub(crate) fn challenge(&self) -> Option<String> {
        match self {
            Self::Noauth2 => None,
            Self::Keystone(keystone) => Some(format!("Keystone uri=\"{}\"", keystone.public_uri())),
        }
    }
}
