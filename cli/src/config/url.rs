//! URLs that other URLs are made of, and origins of pages.

use tonic::transport::Uri;

/// Whether paths can be put behind the URL: scheme, host, perhaps a port and a path, and nothing
/// else.
pub(super) fn check_base(url: &str) -> Result<(), &'static str> {
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return Err("is not a URL that begins with http:// or https://");
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port = |port: &str| {
        port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port > 0)
    };
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err("has a blank, a control character or one outside of ASCII in it")
    } else if url.contains('?') {
        Err("has a query, which a base of URLs cannot have")
    } else if url.contains('#') {
        Err("has a fragment, which a base of URLs cannot have")
    } else if authority.contains('@') {
        Err("names a user, which a base of URLs cannot do")
    } else if host.is_empty() {
        Err("names no host")
    } else if !port.is_none_or(is_port) {
        Err("has a port that is not from 1 to 65535")
    } else if url.contains('%') {
        Err("has a percent-encoded character, which a base of URLs cannot have")
    } else if has_odd_segment(&rest[authority.len()..]) {
        Err("has an empty segment, `.` or `..` in its path")
    } else if url.parse::<Uri>().is_err() {
        Err("is not a URL such as https://placement.example.com")
    } else {
        Ok(())
    }
}

/// Whether clients read the path as another one, or, behind `//`, as a host.
fn has_odd_segment(path: &str) -> bool {
    path.contains("//") || path.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// Whether the text is an origin as browsers send it.
pub(super) fn check_origin(origin: &str) -> Result<(), &'static str> {
    check_base(origin)?;
    let (_, authority) = origin.split_once("://").unwrap_or_default();
    if authority.contains('/') {
        return Err("has a path; an origin is scheme://host or scheme://host:port");
    }
    if authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("has capitals, which no browser sends");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line feed went into the `Location` header, and a query in front of every path.
    #[test]
    fn bases_are_checked() {
        for url in [
            "http://h",
            "https://placement.example.com:8778",
            "https://h/placement",
            "https://h/a/b/",
            "http://[2001:db8::1]:80/x",
            "http://[::1]",
            "http://10.0.0.1",
        ] {
            assert_eq!(check_base(url), Ok(()), "{url}");
        }
        for (url, words) in [
            ("", "begins with http"),
            ("ftp://h", "begins with http"),
            ("https://h//p", "empty segment"),
            ("https://h/p//", "empty segment"),
            ("https://h/..", "`..`"),
            ("https://h/a/./b", "`.`"),
            ("https://h/%2e%2e", "percent-encoded"),
            ("placement.example.com", "begins with http"),
            ("http://h\n", "control character"),
            ("http://h\r\nX: y", "control character"),
            ("http://h /x", "blank"),
            ("http://h\u{e4}", "outside of ASCII"),
            ("http://h\u{0}", "control character"),
            ("http://h?x=1", "query"),
            ("http://h/p?", "query"),
            ("http://h#top", "fragment"),
            ("http://user@h", "user"),
            ("http://user:secret@h:80/", "user"),
            ("http://", "no host"),
            ("http:///placement", "no host"),
            ("http://:8778", "no host"),
            ("http://h:", "port"),
            ("http://h:0", "port"),
            ("http://h:65536", "port"),
            ("http://h:80x", "port"),
            ("http://[::1", "not a URL"),
            ("http://h<>", "not a URL"),
        ] {
            let problem = check_base(url).expect_err(url);
            assert!(problem.contains(words), "{url:?}: {problem}");
        }
    }

    #[test]
    fn origins_have_no_path() {
        assert_eq!(check_origin("https://dashboard.example.com"), Ok(()));
        assert_eq!(check_origin("http://localhost:8080"), Ok(()));
        for (origin, words) in [
            ("*", "begins with http"),
            ("https://h/", "has a path"),
            ("https://h/x", "has a path"),
            ("https://Horizon.example", "capitals"),
            ("https://h\n", "control"),
        ] {
            let problem = check_origin(origin).expect_err(origin);
            assert!(problem.contains(words), "{origin:?}: {problem}");
        }
    }
}
