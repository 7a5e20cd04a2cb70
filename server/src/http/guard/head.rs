//! The head of a request, read strictly: what two HTTP parsers could understand in two ways is a
//! violation.
//!
//! A proxy in front of the service and the service itself have to agree where each request ends
//! (RFC 9112, section 11.2). Everything that parsers are known to disagree on is refused rather
//! than repaired.

/// How the end of a request's body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// It has so many bytes.
    Length(u64),
    /// It is a sequence of chunks.
    Chunked,
}

/// Why a request is refused before it is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("a line of the head does not end with CR LF")]
    LineEnd,
    #[error("the head has a NUL character")]
    Nul,
    #[error("a header is folded over several lines")]
    Folded,
    #[error("a header has no name, or a character in it that names do not have")]
    HeaderName,
    #[error("there is more than one Host header")]
    Hosts,
    #[error("content-length header must be an integer")]
    LengthNotInteger,
    #[error("there is more than one Content-Length header")]
    Lengths,
    #[error("there is a Content-Length header together with Transfer-Encoding")]
    LengthAndCoding,
    #[error("the transfer coding is not chunked")]
    Coding,
    #[error("the head has a header that is the server's own")]
    Reserved,
}

impl Violation {
    const ALL: [Self; 10] = [
        Self::LineEnd,
        Self::Nul,
        Self::Folded,
        Self::HeaderName,
        Self::Hosts,
        Self::LengthNotInteger,
        Self::Lengths,
        Self::LengthAndCoding,
        Self::Coding,
        Self::Reserved,
    ];

    /// The number that stands for it in the marker header.
    pub(super) fn code(self) -> usize {
        Self::ALL.iter().position(|known| *known == self).expect("all are listed")
    }

    /// The violation that the number stands for.
    pub(super) fn of_code(code: &[u8]) -> Option<Self> {
        Self::ALL.get(str::from_utf8(code).ok()?.parse::<usize>().ok()?).copied()
    }
}

/// The header by which the guard reports a violation to the service. A client cannot send it.
pub(super) const MARKER: &str = "x-berth-refused";

/// Where a head ends in bytes of which the first `seen` were looked at before: behind its empty
/// line.
///
/// # Errors
/// Characters that no head has.
pub(super) fn end(bytes: &[u8], seen: usize) -> Result<Option<usize>, Violation> {
    for place in seen..bytes.len() {
        match bytes[place] {
            b'\0' => return Err(Violation::Nul),
            b'\n' if place == 0 || bytes[place - 1] != b'\r' => return Err(Violation::LineEnd),
            b'\n' if bytes[..=place].ends_with(b"\r\n\r\n") => return Ok(Some(place + 1)),
            b'\n' => {}
            _ if place > 0 && bytes[place - 1] == b'\r' => return Err(Violation::LineEnd),
            _ => {}
        }
    }
    Ok(None)
}

/// How the body behind a head is delimited.
///
/// # Errors
/// What makes that ambiguous.
pub(super) fn framing(head: &[u8]) -> Result<Framing, Violation> {
    let (mut hosts, mut length, mut is_chunked) = (0, None, false);
    for line in lines(head).skip(1) {
        let (name, value) = header(line)?;
        if name.eq_ignore_ascii_case(b"host") {
            hosts += 1;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if length.replace(integer(value)?).is_some() {
                return Err(Violation::Lengths);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Violation::Coding);
            }
            is_chunked = true;
        } else if name.eq_ignore_ascii_case(MARKER.as_bytes()) {
            return Err(Violation::Reserved);
        }
    }
    match (hosts, length, is_chunked) {
        (2.., ..) => Err(Violation::Hosts),
        (_, Some(_), true) => Err(Violation::LengthAndCoding),
        (_, _, true) => Ok(Framing::Chunked),
        (_, length, false) => Ok(Framing::Length(length.unwrap_or(0))),
    }
}

/// What the parser reads in the place of a head with a violation: the same request without a body,
/// and the marker.
pub(super) fn refused(head: &[u8], violation: Violation) -> Vec<u8> {
    /// The headers that the form of the error depends on.
    const KEPT: [&[u8]; 3] = [b"accept", b"openstack-api-version", b"origin"];
    let mut lines = lines(head);
    let first = lines.next().filter(|line| is_request_line(line)).unwrap_or(b"GET / HTTP/1.1");
    let mut replacement = first.to_vec();
    replacement
        .extend_from_slice(format!("\r\n{MARKER}: {}\r\nconnection: close", violation.code()).as_bytes());
    for line in lines {
        let is_kept = |name: &[u8]| KEPT.iter().any(|kept| name.eq_ignore_ascii_case(kept));
        if header(line).is_ok_and(|(name, _)| is_kept(name)) && !line.iter().any(u8::is_ascii_control) {
            replacement.extend_from_slice(b"\r\n");
            replacement.extend_from_slice(line);
        }
    }
    replacement.extend_from_slice(b"\r\n\r\n");
    replacement
}

/// The lines up to the empty one, or of what there is of a head; a bare LF ends a line, too.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.take_while(|line| !line.is_empty())
}

fn header(line: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(Violation::Folded);
    }
    let colon = line.iter().position(|&byte| byte == b':').ok_or(Violation::HeaderName)?;
    let name = &line[..colon];
    if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
        return Err(Violation::HeaderName);
    }
    Ok((name, line[colon + 1..].trim_ascii()))
}

fn integer(value: &[u8]) -> Result<u64, Violation> {
    let digits = str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or(Violation::LengthNotInteger)
}

/// Whether names and methods may have the byte.
pub(super) const fn is_token(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#'
            | b'$'
            | b'%'
            | b'&'
            | b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'^'
            | b'_'
            | b'`'
            | b'|'
            | b'~'
    ) || byte.is_ascii_alphanumeric()
}

fn is_request_line(line: &[u8]) -> bool {
    let method = line.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let parts = line.split(|&byte| byte == b' ').count();
    method > 0
        && line.get(method) == Some(&b' ')
        && parts == 3
        && (line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0"))
        && line.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing_of(lines: &str) -> Result<Framing, Violation> {
        framing(format!("POST /a HTTP/1.1\r\n{lines}\r\n").as_bytes())
    }

    #[test]
    fn one_length_or_chunks_say_where_a_body_ends() {
        assert_eq!(framing_of("host: a\r\n"), Ok(Framing::Length(0)));
        assert_eq!(framing_of("Content-Length:  12 \r\n"), Ok(Framing::Length(12)));
        assert_eq!(framing_of("transfer-encoding: Chunked\r\n"), Ok(Framing::Chunked));
    }

    #[test]
    fn what_parsers_disagree_on_is_a_violation() {
        for (lines, violation) in [
            ("host: a\r\nHost: a\r\n", Violation::Hosts),
            ("content-length: +5\r\n", Violation::LengthNotInteger),
            ("content-length: 5, 5\r\n", Violation::LengthNotInteger),
            ("content-length: 0x5\r\n", Violation::LengthNotInteger),
            ("content-length: hi mom\r\n", Violation::LengthNotInteger),
            ("content-length:\r\n", Violation::LengthNotInteger),
            ("content-length: 99999999999999999999\r\n", Violation::LengthNotInteger),
            ("content-length: 5\r\nContent-Length: 5\r\n", Violation::Lengths),
            ("transfer-encoding: chunked\r\ncontent-length: 5\r\n", Violation::LengthAndCoding),
            ("content-length: 5\r\ntransfer-encoding: chunked\r\n", Violation::LengthAndCoding),
            ("transfer-encoding: gzip, chunked\r\n", Violation::Coding),
            ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", Violation::Coding),
            ("transfer-encoding: identity\r\n", Violation::Coding),
            ("transfer-encoding:\x0bchunked\r\n", Violation::Coding),
            ("content-length : 5\r\n", Violation::HeaderName),
            ("no colon\r\n", Violation::HeaderName),
            ("a: b\r\n content-length: 5\r\n", Violation::Folded),
            ("X-Berth-Refused: 1\r\n", Violation::Reserved),
        ] {
            assert_eq!(framing_of(lines), Err(violation), "{lines}");
        }
    }

    #[test]
    fn a_head_ends_with_an_empty_line_and_no_other_ends() {
        assert_eq!(end(b"GET / HTTP/1.1\r\na: b\r\n\r\nbody", 0), Ok(Some(24)));
        assert_eq!(end(b"GET / HTTP/1.1\r\na: b\r\n\r", 0), Ok(None));
        assert_eq!(end(b"GET / HTTP/1.1\r\na: b\r\n\r\n", 23), Ok(Some(24)));
        assert_eq!(end(b"GET / HTTP/1.1\n\n", 0), Err(Violation::LineEnd));
        assert_eq!(end(b"GET / HTTP/1.1\r\na: b\n\r\n", 0), Err(Violation::LineEnd));
        assert_eq!(end(b"GET / HTTP/1.1\r\na: b\rc\r\n", 0), Err(Violation::LineEnd));
        assert_eq!(end(b"GET / HTTP/1.1\r\na: \0", 0), Err(Violation::Nul));
    }

    #[test]
    fn a_refused_head_keeps_what_the_refusal_depends_on() {
        let head = "PUT /a HTTP/1.1\r\nAccept: text/html\r\ncontent-length: 5, 5\r\nx-auth-token: a\r\n\r\n";
        let replacement = String::from_utf8(refused(head.as_bytes(), Violation::LengthNotInteger)).unwrap();
        assert_eq!(
            replacement,
            "PUT /a HTTP/1.1\r\nx-berth-refused: 5\r\nconnection: close\r\nAccept: text/html\r\n\r\n"
        );
        assert_eq!(Violation::of_code(b"5"), Some(Violation::LengthNotInteger));
        assert!(refused(b"a b\nc", Violation::LineEnd).starts_with(b"GET / HTTP/1.1\r\n"));
    }
}
