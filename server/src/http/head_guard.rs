//! A connection that turns a Content-Length which is no number into something the HTTP parser can pass on.
//!
//! A strict parser ends the connection with a bare 400. The API promises an error body with a request id there, so the
//! header is renamed on its way in ([`BROKEN_LENGTH`], of the same length), and the service refuses the request and closes
//! the connection. The message has no length then, so what follows its head is never taken for another request.
//!
//! Only a head that arrives in one piece at the start of an exchange is looked at. Anything else gets the parser's 400.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The header that stands for a broken Content-Length.
pub(crate) const BROKEN_LENGTH: &str = "x-invalid-clen";
const LENGTH: &[u8] = b"content-length";
const _: () = assert!(BROKEN_LENGTH.len() == LENGTH.len(), "it is renamed in place");

/// A stream whose incoming heads are looked at.
pub(crate) struct HeadGuard<S> {
    stream: S,
    /// Whether what comes next begins a request: nothing was read since the connection began or was written to.
    expects_head: bool,
}

impl<S> HeadGuard<S> {
    pub(crate) const fn new(stream: S) -> Self {
        Self { stream, expects_head: true }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if matches!(outcome, Poll::Ready(Ok(()))) && buffer.filled().len() > before && self.expects_head {
            self.expects_head = false;
            rename_broken_length(&mut buffer.filled_mut()[before..]);
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.expects_head = true;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.expects_head = true;
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Renames every Content-Length of a head that is not made of digits.
fn rename_broken_length(bytes: &mut [u8]) {
    let Some(first) = line_end(bytes, 0).filter(|&end| is_request_line(&bytes[..end])) else { return };
    let mut start = first + 2;
    while let Some(end) = line_end(bytes, start).filter(|&end| end > start) {
        let line = &mut bytes[start..end];
        if is_broken_length(line) {
            line[..LENGTH.len()].copy_from_slice(BROKEN_LENGTH.as_bytes());
        }
        start = end + 2;
    }
}

/// Where the line that begins at `start` ends: the place of its CR LF.
fn line_end(bytes: &[u8], start: usize) -> Option<usize> {
    let found = bytes.get(start..)?.windows(2).position(|pair| pair == b"\r\n");
    found.map(|place| start + place)
}

fn is_request_line(line: &[u8]) -> bool {
    let method = line.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    method > 0
        && line.get(method) == Some(&b' ')
        && (line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0"))
}

fn is_broken_length(line: &[u8]) -> bool {
    let Some((name, rest)) = line.split_at_checked(LENGTH.len()) else { return false };
    let Some(value) = rest.strip_prefix(b":").filter(|_| name.eq_ignore_ascii_case(LENGTH)) else {
        return false;
    };
    let value = value.trim_ascii();
    !value.is_empty() && !value.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(head: &str) -> String {
        let mut bytes = head.as_bytes().to_vec();
        rename_broken_length(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_length_that_is_no_number_is_renamed() {
        let head = "POST /a HTTP/1.1\r\nhost: b\r\nContent-Length: hi mom\r\n\r\n{}";
        assert_eq!(renamed(head), "POST /a HTTP/1.1\r\nhost: b\r\nx-invalid-clen: hi mom\r\n\r\n{}");
    }

    #[test]
    fn everything_else_passes_as_it_is() {
        for head in [
            "POST /a HTTP/1.1\r\ncontent-length: 12\r\n\r\n",
            "POST /a HTTP/1.1\r\n\r\ncontent-length: hi mom\r\n", // in the body
            "{\"a\":\r\ncontent-length: hi mom\r\n",              // no head
            "POST /a HTTP/1.1\r\ncontent-le",
            "",
        ] {
            assert_eq!(renamed(head), head);
        }
    }
}
