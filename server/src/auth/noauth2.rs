//! `noauth2`: the token names the caller, `USER` or `USER:PROJECT`, and is trusted.
//!
//! The user `admin` has the role admin. `X-Roles` gives other roles, `OpenStack-System-Scope` a
//! token of the whole system.

use axum::http::HeaderMap;

use super::{Identity, Unauthenticated};

pub(super) fn identify(headers: &HeaderMap) -> Result<Identity, Unauthenticated> {
    let text =
        |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let token = text("x-auth-token").ok_or(Unauthenticated::NoToken)?;
    let (user, project) = token.split_once(':').unwrap_or((&token, ""));
    let system = text("openstack-system-scope").is_some_and(|scope| !scope.is_empty());
    let own_project = if project.is_empty() { user } else { project };
    let project_id = if system { None } else { Some(own_project.to_owned()) };
    let project_id = text("x-project-id").filter(|_| !system).or(project_id);
    let roles = match text("x-roles") {
        Some(roles) => roles.split(',').map(|role| role.trim().to_owned()).collect(),
        None if user == "admin" => vec!["admin".to_owned()],
        None => Vec::new(),
    };
    Ok(Identity { user_id: user.to_owned(), project_id, domain_id: None, roles, system })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identify_by(headers: &[(&'static str, &str)]) -> Result<Identity, Unauthenticated> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        identify(&headers.collect())
    }

    #[test]
    fn the_token_is_believed() {
        let admin = identify_by(&[("x-auth-token", "admin")]).unwrap();
        assert_eq!((admin.user_id.as_str(), admin.project_id.as_deref()), ("admin", Some("admin")));
        assert_eq!(admin.roles, ["admin"]);
        let user = identify_by(&[("x-auth-token", "bob:p1"), ("x-roles", "member,reader")]).unwrap();
        assert_eq!((user.project_id.as_deref(), user.roles.len()), (Some("p1"), 2));
        assert_eq!(identify_by(&[]), Err(Unauthenticated::NoToken));
    }

    #[test]
    fn a_token_of_the_system_has_no_project() {
        let headers = [("x-auth-token", "user"), ("openstack-system-scope", "all"), ("x-roles", "reader")];
        let reader = identify_by(&headers).unwrap();
        assert!(reader.system && reader.project_id.is_none());
    }
}
