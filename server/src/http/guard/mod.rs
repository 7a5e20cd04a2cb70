//! A connection that passes on only requests whose end is beyond doubt, and that ends when it is
//! idle.
//!
//! It reads the bytes of a connection before the HTTP parser does, head by head and body by body,
//! so nothing on a connection escapes it. A head with a [`Violation`] reaches the service as a
//! request that is marked as refused ([`violation`]), and nothing behind it reaches anybody: the
//! service answers, and the connection ends.

mod chunks;
mod head;

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::HeaderMap;
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use chunks::Chunks;
use head::Framing;

use super::connections::{Activity, Answering};
use crate::budget::{Budget, Exceeded, Lease};
use crate::in_flight::UNCOUNTED;

pub(crate) use head::Violation;

/// Bytes of a head that are looked at; the parser refuses a longer one.
pub(crate) const LONGEST_HEAD: usize = 128 << 10;

/// How much is read from the connection at once.
const PIECE: usize = 16 << 10;

/// How long the rest of a refused request is taken in and dropped. Were the connection closed on a
/// client that is still sending, it might never see the answer.
const LINGER: Duration = Duration::from_secs(2);

/// Why the guard has refused the request with these headers, if it has.
pub(crate) fn violation(headers: &HeaderMap) -> Option<Violation> {
    headers.get(head::MARKER).and_then(|code| Violation::of_code(code.as_bytes()))
}

/// A stream whose requests are checked.
pub(crate) struct Guard<S> {
    stream: S,
    state: State,
    /// What has arrived and is not checked.
    arrived: BytesMut,
    /// What is checked and not passed on.
    checked: BytesMut,
    /// Where unfinished heads count, and the address they count for.
    in_flight: (Arc<Budget>, Arc<str>),
    /// What the unfinished head counts.
    counted: Option<Lease>,
    idle: Idle,
    lingering: Option<Pin<Box<Sleep>>>,
}

/// Which part of a request is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A head, of which so many bytes were looked at.
    Head {
        seen: usize,
    },
    /// A body of so many bytes more.
    Body {
        left: u64,
    },
    Chunks(Chunks),
    /// No HTTP, or too long a head: the parser refuses it.
    Unchecked,
    /// Nothing more is passed on; whether the client may still be sending.
    Ended {
        lingers: bool,
    },
}

/// When nobody needs the connection.
struct Idle {
    time: Duration,
    activity: Activity,
    /// Whether the connection has had a request.
    is_used: bool,
    /// The answer of which the client has yet to take some.
    unread: Option<Answering>,
    end: Option<Pin<Box<Sleep>>>,
}

impl<S> Guard<S> {
    /// Guards a stream, which ends when it was idle for `idle_time` after a request. Unfinished
    /// heads count as being in flight for their client's address.
    pub(crate) fn new(
        stream: S,
        idle_time: Duration,
        activity: Activity,
        in_flight: (Arc<Budget>, Arc<str>),
    ) -> Self {
        Self {
            stream,
            state: State::Head { seen: 0 },
            arrived: BytesMut::new(),
            checked: BytesMut::new(),
            in_flight,
            counted: None,
            idle: Idle { time: idle_time, activity, is_used: false, unread: None, end: None },
            lingering: None,
        }
    }

    /// Checks what has arrived, as far as it goes.
    fn check(&mut self) {
        while !self.arrived.is_empty() {
            match self.state {
                State::Head { seen } => {
                    if !self.check_head(seen) {
                        return;
                    }
                }
                State::Body { left } => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(self.arrived.len());
                    self.pass(taken);
                    self.state = body_of(left - taken as u64);
                }
                State::Chunks(mut chunks) => match chunks.advance(&self.arrived) {
                    Ok(Some(end)) => {
                        self.pass(end);
                        self.state = State::Head { seen: 0 };
                    }
                    Ok(None) => {
                        self.pass(self.arrived.len());
                        self.state = State::Chunks(chunks);
                    }
                    // The body stays unfinished, and its request is refused for it.
                    Err(chunks::Broken) => self.state = State::Ended { lingers: true },
                },
                State::Unchecked => self.pass(self.arrived.len()),
                State::Ended { .. } => self.arrived.clear(),
            }
        }
    }

    /// Checks a head; whether there is anything left to be checked.
    fn check_head(&mut self, seen: usize) -> bool {
        if seen == 0 {
            let blank = self.arrived.chunks(2).take_while(|pair| *pair == b"\r\n").count() * 2;
            self.arrived.advance(blank); // as RFC 9112, section 2.2, recommends
            match self.arrived.first() {
                None => return false,
                Some(b'\r') if self.arrived.len() == 1 => return false,
                Some(&byte) if !head::is_token(byte) && byte != b'\n' => {
                    self.state = State::Unchecked;
                    return true;
                }
                Some(_) => {}
            }
        }
        let framing = match head::end(&self.arrived, seen) {
            Ok(None) if self.arrived.len() > LONGEST_HEAD => {
                self.state = State::Unchecked;
                return true;
            }
            Ok(None) => {
                if self.count_head().is_ok() {
                    self.state = State::Head { seen: self.arrived.len() };
                    return false;
                }
                // No request is lost: none has arrived.
                self.counted = None;
                self.state = State::Ended { lingers: false };
                return true;
            }
            Ok(Some(end)) => head::framing(&self.arrived[..end]).map(|framing| (end, framing)),
            Err(violation) => Err(violation),
        };
        self.idle.is_used = true;
        self.counted = None;
        match framing {
            Ok((end, framing)) => {
                self.pass(end);
                self.state = match framing {
                    Framing::Length(length) => body_of(length),
                    Framing::Chunked => State::Chunks(Chunks::START),
                };
            }
            Err(violation) => {
                self.checked.extend_from_slice(&head::refused(&self.arrived, violation));
                self.state = State::Ended { lingers: true };
            }
        }
        true
    }

    /// Counts the unfinished head that has arrived so far, unless it is short.
    fn count_head(&mut self) -> Result<(), Exceeded> {
        let length = self.arrived.len();
        if length <= UNCOUNTED {
            return Ok(());
        }
        if let Some(counted) = &mut self.counted {
            return counted.grow(length - counted.amount());
        }
        let (budget, client) = &self.in_flight;
        self.counted = Some(budget.lease(client, length)?);
        Ok(())
    }

    fn pass(&mut self, count: usize) {
        self.checked.unsplit(self.arrived.split_to(count));
    }
}

/// The state before so many bytes of a body.
const fn body_of(left: u64) -> State {
    if left == 0 { State::Head { seen: 0 } } else { State::Body { left } }
}

impl Idle {
    /// Whether the connection has been idle for too long.
    fn poll(&mut self, context: &mut Context<'_>, state: State) -> Poll<()> {
        let is_idle = matches!(state, State::Head { seen: 0 }) && self.is_used && !self.activity.is_busy();
        if !is_idle {
            self.end = None;
            return Poll::Pending;
        }
        let time = self.time;
        self.end.get_or_insert_with(|| Box::pin(sleep(time))).as_mut().poll(context)
    }

    fn wrote<T>(&mut self, outcome: &Poll<T>) {
        self.unread =
            outcome.is_pending().then(|| self.unread.take().unwrap_or_else(|| self.activity.begin()));
        self.end = None;
    }
}

impl<S: AsyncRead + Unpin> Guard<S> {
    /// Reads once; how many bytes came.
    fn poll_arrival(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut piece = [MaybeUninit::uninit(); PIECE];
        let mut buffer = ReadBuf::uninit(&mut piece);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        self.arrived.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.checked.is_empty() {
                let taken = self.checked.len().min(buffer.remaining());
                buffer.put_slice(&self.checked[..taken]);
                self.checked.advance(taken);
                return Poll::Ready(Ok(()));
            }
            if matches!(self.state, State::Ended { .. }) {
                return Poll::Ready(Ok(()));
            }
            match self.poll_arrival(context)? {
                Poll::Ready(0) => {
                    // The parser is to see that a head is unfinished.
                    let rest = self.arrived.split();
                    self.checked.unsplit(rest);
                    self.state = State::Ended { lingers: false };
                }
                Poll::Ready(_) => {
                    self.idle.end = None;
                    self.check();
                }
                Poll::Pending => {
                    let guard = &mut *self;
                    ready!(guard.idle.poll(context, guard.state));
                    guard.state = State::Ended { lingers: false };
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.idle.wrote(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.idle.wrote(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = ready!(Pin::new(&mut self.stream).poll_shutdown(context));
        if outcome.is_err() || self.state != (State::Ended { lingers: true }) {
            return Poll::Ready(outcome);
        }
        let end = self.lingering.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        while let Ok(1..) = ready!(self.poll_arrival(context)) {
            self.arrived.clear();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    fn in_flight(bytes: usize) -> (Arc<Budget>, Arc<str>) {
        (Budget::new(bytes, bytes), "192.0.2.1".into())
    }

    /// What the parser reads of bytes that come in parts of this length.
    fn passed_on(bytes: &[u8], part: usize) -> String {
        block_on(async {
            let (mut client, server) = duplex(1 << 20);
            let mut guard = Guard::new(server, PATIENCE, Activity::default(), in_flight(1 << 20));
            let mut passed = Vec::new();
            for part in bytes.chunks(part) {
                client.write_all(part).await.unwrap();
                let piece = tokio::time::timeout(Duration::from_millis(1), guard.read_buf(&mut passed));
                drop(piece.await);
            }
            drop(client);
            guard.read_to_end(&mut passed).await.unwrap();
            String::from_utf8(passed).unwrap()
        })
    }

    #[test]
    fn sound_requests_pass_unchanged_however_they_arrive() {
        let requests = "POST /a HTTP/1.1\r\ncontent-length: 5\r\n\r\nGET /GET /b HTTP/1.1\r\n\r\n\
                        POST /c HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
                        PUT /d HTTP/1.1\r\ncontent-length: 0\r\n\r\nDELETE /e HTTP/1.1\r\n\r\n";
        for part in [1, 2, 7, 50, 1000] {
            assert_eq!(passed_on(requests.as_bytes(), part), requests, "in parts of {part}");
        }
    }

    /// Wherever it stands on a connection, and however it arrives.
    #[test]
    fn nothing_passes_behind_a_violation() {
        let smuggled = "POST /a HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc\
                        POST /metrics HTTP/1.1\r\ncontent-length: +40\r\n\r\nDELETE /b HTTP/1.1\r\n\r\n";
        let expected = "POST /a HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc\
                    POST /metrics HTTP/1.1\r\nx-berth-refused: 5\r\nconnection: close\r\n\r\n";
        for part in [1, 3, 64, 1000] {
            assert_eq!(passed_on(smuggled.as_bytes(), part), expected, "in parts of {part}");
        }
        let chunks =
            "POST /c HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\nabc\n0\n\nDELETE /b HTTP/1.1\r\n\r\n";
        assert!(!passed_on(chunks.as_bytes(), 1000).contains("DELETE"));
    }

    /// A regression: 2,000 connections with half a head each took a gigabyte, and nothing counted
    /// it.
    #[test]
    fn long_unfinished_heads_count_until_they_are_finished() {
        block_on(async {
            let (budget, client) = in_flight(100_000);
            let open = || {
                let (client_end, server) = duplex(1 << 20);
                let in_flight = (Arc::clone(&budget), Arc::clone(&client));
                (client_end, Guard::new(server, PATIENCE, Activity::default(), in_flight))
            };
            let ((mut one, mut guard), (mut other, mut refused)) = (open(), open());
            let half = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(60_000));
            let mut passed = Vec::new();
            let waits = |outcome: Result<_, tokio::time::error::Elapsed>| assert!(outcome.is_err());
            one.write_all(&half.as_bytes()[..10_000]).await.unwrap();
            waits(tokio::time::timeout(Duration::from_millis(20), guard.read_buf(&mut passed)).await);
            assert_eq!(budget.in_use(), 0, "most heads are short");
            one.write_all(&half.as_bytes()[10_000..]).await.unwrap();
            waits(tokio::time::timeout(Duration::from_millis(20), guard.read_buf(&mut passed)).await);
            assert_eq!(budget.in_use(), half.len());
            other.write_all(half.as_bytes()).await.unwrap();
            assert_eq!(refused.read_buf(&mut passed).await.unwrap(), 0, "the connection ends");
            one.write_all(b"\r\n\r\n").await.unwrap();
            guard.read_buf(&mut passed).await.unwrap();
            assert!(passed.starts_with(b"GET / HTTP/1.1\r\nx: x"));
            assert_eq!(budget.in_use(), 0);
        });
    }

    #[test]
    fn only_a_connection_that_nobody_needs_is_idle() {
        block_on(async {
            let (mut client, server) = duplex(1 << 10);
            let activity = Activity::default();
            let mut guard = Guard::new(server, Duration::from_millis(40), activity.clone(), in_flight(0));
            let mut buffer = [0; 100];
            let silence = Duration::from_millis(120);
            // A new connection has the time of a head.
            assert!(tokio::time::timeout(silence, guard.read(&mut buffer)).await.is_err());
            client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            assert_eq!(guard.read(&mut buffer).await.unwrap(), 18);
            // A request that is being answered keeps it.
            let answering = activity.begin();
            assert!(tokio::time::timeout(silence, guard.read(&mut buffer)).await.is_err());
            drop(answering);
            // So does a head that has begun.
            client.write_all(b"GET /").await.unwrap();
            assert!(tokio::time::timeout(silence, guard.read(&mut buffer)).await.is_err());
            client.write_all(b" HTTP/1.1\r\n\r\n").await.unwrap();
            assert_eq!(guard.read(&mut buffer).await.unwrap(), 18);
            assert_eq!(guard.read(&mut buffer).await.unwrap(), 0);
        });
    }
}
