//! A token as Keystone describes it.

use berth_placement::Timestamp;
use serde_json::Value;

use crate::auth::Identity;
use crate::utc;

/// The identity that a token represents, and when the token expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) identity: Identity,
    pub(super) expires_at: Timestamp,
}

impl Token {
    /// Reads the answer to `GET` or `POST /v3/auth/tokens`; `None` when something that every token
    /// has is missing.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let document: Value = serde_json::from_slice(body).ok()?;
        let token = document.get("token")?;
        let id_of = |what: &str| Some(token.get(what)?.get("id")?.as_str()?.to_owned());
        let roles = token.get("roles").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let roles = roles.iter().filter_map(|role| Some(role.get("name")?.as_str()?.to_owned()));
        let identity = Identity {
            user_id: id_of("user")?,
            project_id: id_of("project"),
            domain_id: id_of("domain"),
            roles: roles.collect(),
            system: token.get("system").is_some_and(|system| system.get("all") == Some(&Value::Bool(true))),
        };
        Some(Self { identity, expires_at: utc::parse(token.get("expires_at")?.as_str()?)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_distinguished() {
        let token = |scope: &str| {
            let text = format!(
                r#"{{"token": {{"user": {{"id": "u", "name": "n"}}, "roles": [{{"id": "1", "name": "reader"}}],
                    "expires_at": "2026-06-01T00:00:00.000000Z" {scope}}}}}"#
            );
            Token::parse(text.as_bytes()).unwrap().identity
        };
        let project = token(r#", "project": {"id": "p", "domain": {"id": "d"}}"#);
        assert_eq!(
            (project.project_id.as_deref(), project.domain_id, project.system),
            (Some("p"), None, false)
        );
        assert_eq!(project.roles, ["reader"]);
        let system = token(r#", "system": {"all": true}"#);
        assert!(system.system && system.project_id.is_none());
        assert_eq!(token(r#", "domain": {"id": "d"}"#).domain_id.as_deref(), Some("d"));
        assert_eq!(token("").project_id, None, "an unscoped token");
    }

    #[test]
    fn invalid_tokens_are_refused() {
        for body in
            ["", "{}", r#"{"token": {}}"#, r#"{"token": {"user": {"id": "u"}, "expires_at": "soon"}}"#]
        {
            assert_eq!(Token::parse(body.as_bytes()), None, "{body}");
        }
    }
}
