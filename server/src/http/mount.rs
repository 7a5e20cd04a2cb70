//! Where clients see the service: at which host, and below which path.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
use percent_encoding::percent_decode_str;

/// The public URL of the service, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mount {
    /// All of it, without a slash at the end.
    url: Option<String>,
    /// Its path, such as `/placement`, with nothing percent-encoded in it; empty at the root of a
    /// host.
    prefix: String,
}

impl Mount {
    pub(crate) fn of(public_url: Option<&str>) -> Self {
        let Some(url) = public_url.map(|url| url.trim_end_matches('/').to_owned()) else {
            return Self::default();
        };
        let host = url.find("://").map_or(0, |scheme| scheme + 3);
        let prefix = url[host..].find('/').map_or("", |path| &url[host + path..]).to_owned();
        Self { url: Some(url), prefix }
    }

    /// What stands before the paths in answers.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The path that a request asks for below the prefix, decoded. One that does not begin with the
    /// prefix is as it is: proxies may take the prefix away or leave it.
    pub(crate) fn path<'path>(&self, encoded: &'path str) -> Cow<'path, str> {
        let path = percent_decode_str(encoded).decode_utf8_lossy();
        if self.prefix.is_empty() {
            return path;
        }
        match path.strip_prefix(&self.prefix) {
            Some("") => Cow::Borrowed("/"),
            Some(rest) if rest.starts_with('/') => Cow::Owned(rest.to_owned()),
            _ => path,
        }
    }

    /// What stands before the prefix and the path in `Location`.
    pub(crate) fn base_url(&self, headers: &HeaderMap) -> String {
        if let Some(url) = &self.url {
            return url.clone();
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        host.map_or_else(String::new, |host| format!("http://{host}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_below_the_prefix_and_at_the_root() {
        let mount = Mount::of(Some("https://cloud.example/placement/"));
        assert_eq!(mount.prefix(), "/placement");
        for (asked, path) in [
            ("/placement", "/"),
            ("/placement/", "/"),
            ("/", "/"),
            ("/placement/traits", "/traits"),
            ("/%70lacement/traits", "/traits"),
            ("/traits", "/traits"),
            ("/placements", "/placements"),
            ("/placement/placement", "/placement"),
            ("/resource%5Fproviders%2fa", "/resource_providers/a"),
        ] {
            assert_eq!(mount.path(asked), path, "{asked}");
        }
    }

    #[test]
    fn most_services_have_no_prefix() {
        for url in [None, Some("http://a"), Some("http://a:8778/"), Some("https://[::1]:80")] {
            let mount = Mount::of(url);
            assert_eq!((mount.prefix(), &*mount.path("/traits")), ("", "/traits"), "{url:?}");
        }
    }
}
