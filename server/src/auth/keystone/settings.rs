//! Settings of Keystone: its URL and the service user.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

/// The URL of Keystone, the user that validates tokens, and how long answers are cached.
#[derive(Debug, Clone)]
pub struct KeystoneSettings {
    /// The URL of Keystone, with or without `/v3`.
    pub auth_url: String,
    /// The URL that clients without a token are pointed to; `auth_url` if not given.
    pub www_authenticate_uri: Option<String>,
    /// The user that validates tokens.
    pub username: String,
    /// The user's password.
    pub password: Secret,
    /// The name of the user's domain.
    pub user_domain_name: String,
    /// The project in which the user may validate tokens.
    pub project_name: String,
    /// The name of the project's domain.
    pub project_domain_name: String,
    /// Certificates of the authorities to trust, in PEM; those of Mozilla's list if not given.
    pub ca_certificates: Option<String>,
    /// How long an answer is cached.
    pub cache_time: Duration,
    /// The number of answers that are cached.
    pub cache_entries: NonZeroUsize,
    /// The time within which Keystone must answer.
    pub timeout: Duration,
}

/// A text that is never shown.
#[derive(Clone)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A setting of Keystone that is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct InvalidKeystone {
    /// The setting.
    pub setting: &'static str,
    /// The problem.
    pub problem: String,
}

impl KeystoneSettings {
    /// The URL of a resource of the API.
    pub(super) fn url(&self, path: &str) -> String {
        let base = self.auth_url.trim_end_matches('/');
        let base = base.strip_suffix("/v3").unwrap_or(base);
        format!("{base}/v3/{path}")
    }

    pub(super) fn public_uri(&self) -> &str {
        self.www_authenticate_uri.as_deref().unwrap_or(&self.auth_url)
    }

    /// Checks that all required settings are present.
    pub(super) fn check(&self) -> Result<(), InvalidKeystone> {
        let fail = |setting, problem: &str| Err(InvalidKeystone { setting, problem: problem.to_owned() });
        let is_url = |url: &str| {
            let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['"', ' ']))
        };
        if !is_url(&self.auth_url) {
            return fail("auth_url", "is not a URL that begins with http:// or https://");
        }
        if !is_url(self.public_uri()) {
            return fail("www_authenticate_uri", "is not a URL that begins with http:// or https://");
        }
        let texts = [
            ("username", &self.username),
            ("password", &self.password.0),
            ("user_domain_name", &self.user_domain_name),
            ("project_name", &self.project_name),
            ("project_domain_name", &self.project_domain_name),
        ];
        match texts.into_iter().find(|(_, text)| text.is_empty()) {
            Some((setting, _)) => fail(setting, "is empty"),
            None => Ok(()),
        }
    }
}
