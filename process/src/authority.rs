//! The part of a URL between `//` and the path: a login, a host and a port.
//!
//! Nova's URLs of databases and brokers are not those of the web: one URL may name several brokers,
//! and cell mappings may be templates. So each of their readers splits its own URL, and has these
//! parts in common.

use percent_encoding::percent_decode_str;

/// Text with escapes that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("contains percent escapes that are not UTF-8")]
pub struct NotUtf8;

/// The login and the address of an authority; no login without an `@`.
#[must_use]
pub fn login_and_address(authority: &str) -> (Option<&str>, &str) {
    authority.rsplit_once('@').map_or((None, authority), |(login, address)| (Some(login), address))
}

/// User and password of a login, as they are written there.
#[must_use]
pub fn user_and_password(login: &str) -> (&str, &str) {
    login.split_once(':').unwrap_or((login, ""))
}

/// Host and port of an address, as they are written there. An IPv6 address loses its brackets; an
/// empty port is none.
#[must_use]
pub fn host_and_port(address: &str) -> (&str, Option<&str>) {
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => address.rsplit_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    (host, port.filter(|port| !port.is_empty()))
}

/// The text without its percent escapes.
///
/// # Errors
/// [`NotUtf8`]
pub fn decoded(text: &str) -> Result<String, NotUtf8> {
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split() {
        for (address, host, port) in [
            ("db:3306", "db", Some("3306")),
            ("db", "db", None),
            ("db:", "db", None),
            ("[::1]:3306", "::1", Some("3306")),
            ("[::1]", "::1", None),
            ("[fe80::1%25eth0]:", "fe80::1%25eth0", None),
            ("", "", None),
        ] {
            assert_eq!(host_and_port(address), (host, port), "{address}");
        }
    }

    #[test]
    fn a_password_may_contain_separators() {
        assert_eq!(login_and_address("u:p@ss@h:1"), (Some("u:p@ss"), "h:1"));
        assert_eq!(login_and_address("h"), (None, "h"));
        assert_eq!(user_and_password("u:a:b"), ("u", "a:b"));
        assert_eq!(user_and_password("u"), ("u", ""));
        assert_eq!(decoded("p%40ss"), Ok("p@ss".to_owned()));
        assert_eq!(decoded("%ff"), Err(NotUtf8));
    }
}
