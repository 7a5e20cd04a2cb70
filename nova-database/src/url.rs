//! Database URLs as SQLAlchemy reads them, and the templates that cell mappings may have.

use std::collections::BTreeMap;
use std::fmt;

use berth_process::authority::{NotUtf8, decoded, host_and_port, login_and_address, user_and_password};

/// The kind of database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// MySQL or MariaDB.
    MySql,
    /// PostgreSQL.
    Postgres,
}

/// A database.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    /// The kind of server.
    pub kind: Kind,
    /// The server; empty for the default of the kind.
    pub host: String,
    /// Its port.
    pub port: Option<u16>,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// The database.
    pub database: String,
    /// Options behind the question mark.
    pub query: BTreeMap<String, String>,
}

impl fmt::Debug for DatabaseUrl {
    /// Without the password.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl fmt::Display for DatabaseUrl {
    /// Without the password.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, user, database, .. } = self;
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        write!(out, "{user}@{host}{port}/{database}")
    }
}

/// A URL that cannot be used. The message does not contain the URL, which has a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// No URL.
    #[error("is not a URL such as mysql+pymysql://user:password@host/nova")]
    Form,
    /// Another kind of database.
    #[error("scheme {0}: only MySQL, MariaDB (mysql://) and PostgreSQL (postgresql://) are supported")]
    Scheme(String),
    /// A port that is none.
    #[error("host {0}: its port is no port number")]
    Port(String),
    /// An escape sequence does not give UTF-8.
    #[error(transparent)]
    Escape(#[from] NotUtf8),
    /// The URL names no database.
    #[error("names no database")]
    NoDatabase,
    /// A template refers to something that the default URL does not have.
    #[error("is a template with {{{0}}}, which [database] connection does not provide")]
    Template(String),
}

impl DatabaseUrl {
    /// Reads a URL such as `mysql+pymysql://user:password@host:3306/nova?charset=utf8`.
    ///
    /// # Errors
    /// [`InvalidDatabaseUrl`]
    pub fn parse(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(InvalidDatabaseUrl::Form)?;
        let kind = match scheme.split('+').next().unwrap_or_default() {
            "mysql" | "mariadb" => Kind::MySql,
            "postgresql" | "postgres" => Kind::Postgres,
            _ => return Err(InvalidDatabaseUrl::Scheme(scheme.to_owned())),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = login_and_address(authority);
        let (user, password) = user_and_password(login.unwrap_or_default());
        let (host, port) = host_and_port(address);
        let number = |port: &str| port.parse().map_err(|_| InvalidDatabaseUrl::Port(host.to_owned()));
        let port = port.map(number).transpose()?;
        let database = decoded(database)?;
        if database.is_empty() {
            return Err(InvalidDatabaseUrl::NoDatabase);
        }
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let pair = |(name, value): (&str, &str)| Ok::<_, NotUtf8>((decoded(name)?, decoded(value)?));
        let query = pairs.map(pair).collect::<Result<_, _>>()?;
        let (user, password) = (decoded(user)?, decoded(password)?);
        Ok(Self { kind, host: host.to_owned(), port, user, password, database, query })
    }
}

/// The URL of a cell. It may be a template such as
/// `{scheme}://{username}:{password}@{hostname}/{path}?{query}`, which is filled in from
/// `[database] connection`.
///
/// # Errors
/// [`InvalidDatabaseUrl::Template`]
pub(crate) fn filled_in(template: &str, default: Option<&str>) -> Result<String, InvalidDatabaseUrl> {
    if !template.contains('{') {
        return Ok(template.to_owned());
    }
    let parts = parts(default.unwrap_or_default());
    let (mut out, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) =
            after.split_once('}').ok_or_else(|| InvalidDatabaseUrl::Template(after.to_owned()))?;
        let part = parts.get(name).filter(|_| default.is_some());
        out.push_str(before);
        out.push_str(part.ok_or_else(|| InvalidDatabaseUrl::Template(name.to_owned()))?);
        rest = behind;
    }
    Ok(out + rest)
}

/// The parts of a URL as templates name them, as they are written there.
fn parts(url: &str) -> BTreeMap<&'static str, String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, address) = login_and_address(authority);
    let (username, password) = user_and_password(login.unwrap_or_default());
    let (hostname, port) = host_and_port(address);
    let port = port.unwrap_or_default();
    let named = [
        ("scheme", scheme),
        ("username", username),
        ("password", password),
        ("hostname", hostname),
        ("port", port),
        ("path", path),
        ("query", query),
        ("fragment", fragment),
    ];
    named.into_iter().map(|(name, part)| (name, part.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_both_kinds_are_read() {
        let url = DatabaseUrl::parse(
            "mysql+pymysql://cloud:s%40f@127.0.0.1:3307/nova_cell1?charset=utf8&ssl_ca=/a",
        )
        .expect("a URL");
        assert_eq!((url.kind, url.port, url.password.as_str()), (Kind::MySql, Some(3307), "s@f"));
        assert_eq!(url.query.get("ssl_ca").map(String::as_str), Some("/a"));
        assert_eq!(format!("{url:?}"), "cloud@127.0.0.1:3307/nova_cell1");
        let url = DatabaseUrl::parse("postgresql+psycopg2://nova@[::1]/nova_api").expect("a URL");
        assert_eq!((url.kind, url.host.as_str(), url.port), (Kind::Postgres, "::1", None));
    }

    #[test]
    fn errors_contain_no_password() {
        for bad in ["sqlite:///a", "mysql://u:secret@h:x/d", "mysql://u:secret@h/", "x"] {
            let error = DatabaseUrl::parse(bad).expect_err("is refused").to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn templates_are_filled_in() {
        let default = Some("mysql+pymysql://nova:pw@db:3306/nova?charset=utf8");
        let template = "{scheme}://{username}:{password}@{hostname}:{port}/nova_cell1?{query}";
        let expected = "mysql+pymysql://nova:pw@db:3306/nova_cell1?charset=utf8";
        assert_eq!(filled_in(template, default).as_deref(), Ok(expected));
        assert_eq!(filled_in("mysql://h/d", None).as_deref(), Ok("mysql://h/d"));
        let default = Some("mysql://nova:pw@[::1]/nova");
        assert_eq!(filled_in("mysql://[{hostname}]/cell", default).as_deref(), Ok("mysql://[::1]/cell"));
        assert_eq!(filled_in("mysql://h:{port}/cell", default).as_deref(), Ok("mysql://h:/cell"));
        assert_eq!(filled_in("{scheme}://h/d", None), Err(InvalidDatabaseUrl::Template("scheme".to_owned())));
        assert_eq!(filled_in("{what}://h/d", default), Err(InvalidDatabaseUrl::Template("what".to_owned())));
    }
}
