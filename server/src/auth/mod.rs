//! Who is asking.

mod noauth2;

use axum::http::HeaderMap;

/// How the server finds out who is asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Believes what the request says; for development and tests.
    Noauth2,
}

/// What is known about who is asking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user_id: String,
    /// The project the token is scoped to; `None` for a token of the whole system.
    pub project_id: Option<String>,
    /// The user's roles there, implied ones included.
    pub roles: Vec<String>,
    /// Whether the token is scoped to the whole system.
    pub system: bool,
}

/// There is no token, or none that is good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// No token was sent.
    #[error("The request needs an X-Auth-Token header.")]
    NoToken,
}

impl Auth {
    /// Who sent a request with these headers.
    ///
    /// # Errors
    /// Nobody who can be told.
    pub fn identify(self, headers: &HeaderMap) -> Result<Identity, Unauthenticated> {
        match self {
            Self::Noauth2 => noauth2::identify(headers),
        }
    }
}
