//! `transport_url`: brokers and a virtual host.

use std::fmt;

use berth_process::authority::{NotUtf8, decoded, host_and_port, login_and_address, user_and_password};

/// One of the brokers of a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its name or address; an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: Option<u16>,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Broker {
    /// Without the password.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, user, .. } = self;
        write!(out, "{user}@{host}:{}", port.map_or("default".to_owned(), |port| port.to_string()))
    }
}

/// Brokers of one cluster, and the virtual host that is used there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportUrl {
    /// At least one, in the order in which they are tried.
    pub brokers: Vec<Broker>,
    /// The virtual host, `/` if the URL names none.
    pub virtual_host: String,
    /// Options behind the question mark.
    pub query: Vec<(String, String)>,
}

/// A URL that cannot be used. The message does not contain the URL, which has passwords.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// No scheme.
    #[error("is not a URL such as rabbit://user:password@host:5672/virtual-host")]
    Form,
    /// Another bus than RabbitMQ.
    #[error("scheme {0}: only RabbitMQ (rabbit://) is supported")]
    Scheme(String),
    /// A port that is none.
    #[error("host {0}: its port is no port number")]
    Port(String),
    /// An escape sequence does not give UTF-8.
    #[error(transparent)]
    Escape(#[from] NotUtf8),
    /// A host is empty.
    #[error("names no host")]
    NoHost,
}

impl TransportUrl {
    /// Reads a URL such as
    /// `rabbit://user:password@host1:5672,user:password@host2:5672/virtual-host`.
    ///
    /// # Errors
    /// [`InvalidUrl`]
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(InvalidUrl::Form)?;
        if !matches!(scheme, "rabbit" | "kombu+amqp" | "amqp") {
            return Err(InvalidUrl::Scheme(scheme.to_owned()));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let brokers = brokers(hosts)?;
        let virtual_host = if path.is_empty() { "/".to_owned() } else { decoded(path)? };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok::<_, NotUtf8>((decoded(name)?, decoded(value)?))
        };
        Ok(Self { brokers, virtual_host, query: pairs.map(pair).collect::<Result<_, _>>()? })
    }
}

/// A broker that names no user has the user of the one before it.
fn brokers(list: &str) -> Result<Vec<Broker>, InvalidUrl> {
    let mut brokers: Vec<Broker> = Vec::new();
    for text in list.split(',') {
        let (login, address) = login_and_address(text);
        let (user, password) = match (login, brokers.last()) {
            (Some(login), _) => {
                let (user, password) = user_and_password(login);
                (decoded(user)?, decoded(password)?)
            }
            (None, Some(before)) => (before.user.clone(), before.password.clone()),
            (None, None) => ("guest".to_owned(), "guest".to_owned()),
        };
        let (host, port) = host_and_port(address);
        if host.is_empty() {
            return Err(InvalidUrl::NoHost);
        }
        let number = |port: &str| port.parse().map_err(|_| InvalidUrl::Port(host.to_owned()));
        let port = port.map(number).transpose()?;
        brokers.push(Broker { host: host.to_owned(), port, user, password });
    }
    Ok(brokers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_brokers_are_read() {
        let url = TransportUrl::parse("rabbit://nova:p%40ss@a:5671,nova2:x@[::1]:5673,b/%2Fcell1?ssl=1")
            .expect("a URL");
        let broker = |host: &str, port, user: &str, password: &str| Broker {
            host: host.to_owned(),
            port,
            user: user.to_owned(),
            password: password.to_owned(),
        };
        assert_eq!(
            url.brokers,
            [
                broker("a", Some(5671), "nova", "p@ss"),
                broker("::1", Some(5673), "nova2", "x"),
                broker("b", None, "nova2", "x")
            ]
        );
        assert_eq!((url.virtual_host.as_str(), url.query.len()), ("/cell1", 1));
        assert_eq!(TransportUrl::parse("rabbit://a").map(|url| url.virtual_host), Ok("/".to_owned()));
        assert!(!format!("{url:?}").contains("p@ss"));
    }

    #[test]
    fn errors_name_the_part_and_no_password() {
        let problem = |text| TransportUrl::parse(text).expect_err("is refused").to_string();
        assert!(problem("rabbit://u:secret@h:99999/").contains("host h"));
        assert!(!problem("rabbit://u:secret@h:99999/").contains("secret"));
        assert!(problem("kafka://h").contains("kafka"));
        assert!(problem("localhost").contains("rabbit://"));
        assert_eq!(TransportUrl::parse("rabbit://u:p@/"), Err(InvalidUrl::NoHost));
    }
}
