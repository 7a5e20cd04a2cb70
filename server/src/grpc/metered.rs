//! Bodies of calls: unfinished messages have bounds of bytes and time, and answers are counted
//! until they are read.
//!
//! A message is collected before it is decoded. Clients that begin messages and do not finish them
//! would fill the memory, on one connection or on many. So the bytes of unfinished messages count
//! for their connection and for their caller, and a message has to be finished in time. The first
//! bytes of a message are not counted: what a call counts by itself covers them. They are collected
//! here, because tonic would reserve the whole length of a message when it begins.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::HttpBody;
use axum::http::HeaderMap;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;

use super::call::too_much_in_flight;
use crate::arriving::Arriving;
use crate::budget::{Budget, Lease};
use crate::http::connections::{Activity, Unread};
use crate::in_flight::UNCOUNTED;

/// Bytes that a unary call counts from its beginning until its answer was sent: of the first bytes
/// of its message, of a small answer, and of the memory that any call takes.
pub(super) const CALL_BYTES: usize = 32 << 10;

/// The same of a call whose client or service sends a stream of messages. There are as many as
/// agents.
pub(super) const STREAM_BYTES: usize = 4 << 10;

/// The prefix of a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The messages of a client.
pub(super) struct Metered {
    body: Body,
    budgets: [(Arc<Budget>, Arc<str>); 2],
    leases: Vec<Lease>,
    messages: Messages,
    /// What has arrived and was not passed on.
    held: Arriving,
    /// What follows when `held` was passed on: trailers, or the end.
    behind: Option<Option<Frame<Bytes>>>,
    time: Duration,
    /// Whether the client may send more than one message.
    is_streaming: bool,
    /// When the message has to be finished.
    end: Option<Pin<Box<Sleep>>>,
}

/// The place in a sequence of messages.
#[derive(Debug, Default)]
struct Messages {
    /// The longest message that is decoded.
    most: usize,
    /// Whether a message is longer. It is passed on as it arrives, and the decoder refuses it.
    is_too_long: bool,
    /// The prefix of the message, as far as it has arrived.
    prefix: Vec<u8>,
    /// Bytes of the message behind its prefix that have yet to arrive.
    left: usize,
    /// Bytes of the unfinished message that have arrived.
    arrived: usize,
    /// Whether a message has been finished.
    is_begun: bool,
}

impl Messages {
    /// Follows what has arrived; returns how many of its bytes belong to messages that are
    /// finished.
    fn advance(&mut self, data: &[u8]) -> usize {
        let (whole, mut data, mut finished) = (data.len(), data, 0);
        while !data.is_empty() {
            let wanted = if self.prefix.len() < PREFIX { PREFIX - self.prefix.len() } else { self.left };
            let (taken, rest) = data.split_at(wanted.min(data.len()));
            data = rest;
            self.arrived += taken.len();
            if self.prefix.len() < PREFIX {
                self.prefix.extend_from_slice(taken);
                if let [_, length @ ..] = &self.prefix[..]
                    && let Ok(length) = <[u8; 4]>::try_from(length)
                {
                    self.left = u32::from_be_bytes(length) as usize;
                    self.is_too_long |= self.left > self.most;
                }
            } else {
                self.left -= taken.len();
            }
            if self.prefix.len() == PREFIX && self.left == 0 {
                let Self { most, is_too_long, .. } = *self;
                *self = Self { most, is_too_long, is_begun: true, ..Self::default() };
                finished = whole - data.len();
            }
        }
        finished
    }

    /// Whether no message is unfinished and at least one was finished.
    const fn is_between(&self) -> bool {
        self.is_begun && self.arrived == 0
    }
}

impl Metered {
    pub(super) fn new(
        body: Body,
        budgets: [(Arc<Budget>, Arc<str>); 2],
        (most, time): (usize, Duration),
        is_streaming: bool,
    ) -> Self {
        let messages = Messages { most, ..Messages::default() };
        Self {
            body,
            budgets,
            leases: Vec::new(),
            messages,
            held: Arriving::default(),
            behind: None,
            time,
            is_streaming,
            end: None,
        }
    }

    /// Counts what has arrived; returns how many of its bytes can be passed on.
    fn count(&mut self, data: &Bytes) -> Result<usize, Status> {
        let before = self.messages.arrived;
        let mut finished = self.messages.advance(data);
        if !self.is_streaming {
            // The call begins when all of it has arrived.
            (self.messages.arrived, finished) = (before + data.len(), 0);
        }
        if self.messages.is_too_long {
            finished = data.len();
        }
        let Messages { arrived, .. } = self.messages;
        if arrived < before + data.len() {
            (self.leases, self.end) = (Vec::new(), None); // a message was finished
        }
        if arrived <= UNCOUNTED {
            return Ok(finished);
        }
        let counts = !self.leases.is_empty();
        for (place, (budget, key)) in self.budgets.iter().enumerate() {
            let counted = match self.leases.get_mut(place).filter(|_| counts) {
                Some(lease) => lease.grow(data.len()),
                None => budget.lease(key, arrived).map(|lease| self.leases.push(lease)),
            };
            counted.map_err(|exceeded| too_much_in_flight(budget, exceeded))?;
        }
        Ok(finished)
    }

    /// Holds what has arrived, except for its first bytes and what was held before those, which are
    /// returned.
    fn hold(&mut self, mut data: Bytes, passed: usize) -> Result<Option<Bytes>, Status> {
        let rest = data.split_off(passed);
        let passed = match data.is_empty() {
            true => None,
            false if self.held.is_empty() => Some(data),
            false => {
                self.push(&data)?;
                Some(std::mem::take(&mut self.held).finish())
            }
        };
        self.push(&rest)?;
        Ok(passed)
    }

    fn push(&mut self, data: &[u8]) -> Result<(), Status> {
        let none = |error| Status::resource_exhausted(format!("there is no memory for a message: {error}"));
        self.held.push(data).map_err(none)
    }

    /// Passes on what is held, and what is behind it after that.
    fn release(&mut self, behind: Option<Frame<Bytes>>) -> Option<Frame<Bytes>> {
        if self.held.is_empty() {
            return behind;
        }
        self.behind = Some(behind);
        Some(Frame::data(std::mem::take(&mut self.held).finish()))
    }

    /// Whether the message has taken too long.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_streaming && self.messages.is_between() {
            self.end = None;
            return Poll::Pending;
        }
        let time = self.time;
        self.end.get_or_insert_with(|| Box::pin(sleep(time))).as_mut().poll(context)
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(behind) = self.behind.take() {
            return Poll::Ready(behind.map(Ok));
        }
        loop {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        let passed = self.count(&data).and_then(|passed| self.hold(data, passed));
                        if let Some(passed) = passed.transpose() {
                            return Poll::Ready(Some(passed.map(Frame::data)));
                        }
                    }
                    Err(trailers) => return Poll::Ready(self.release(Some(trailers)).map(Ok)),
                },
                Poll::Ready(None) => return Poll::Ready(self.release(None).map(Ok)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Pending => {
                    ready!(self.poll_end(context));
                    let seconds = self.time.as_secs_f64();
                    return Poll::Ready(Some(Err(Status::deadline_exceeded(format!(
                        "a message has to arrive within {seconds} seconds"
                    )))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.behind.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default() // what is held counts, too
    }
}

/// Bytes of an answer that are passed on at once. A client has to read so many in time.
const PIECE: usize = 64 << 10;

/// An answer, or a stream of them. It holds something, such as its bytes in flight, until the
/// connection has taken all of it: HTTP/2 keeps what it was given until the client's window allows
/// to send it.
pub(super) struct Held<T> {
    body: Body,
    /// What has yet to be passed on of the last data of the body.
    rest: Bytes,
    held: Arc<T>,
    /// The connection, which ends when the client reads nothing for long. None for a stream, which
    /// ends alone.
    activity: Option<Activity>,
    _unread: Option<Unread>,
}

/// A piece of an answer, and what is held for it.
struct Piece<T> {
    bytes: Bytes,
    _held: Arc<T>,
    _unread: Option<Unread>,
}

impl<T> AsRef<[u8]> for Piece<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T> Held<T> {
    pub(super) fn new(body: Body, held: T, activity: Option<Activity>) -> Self {
        let unread = activity.as_ref().map(Activity::unread);
        Self { body, rest: Bytes::new(), held: Arc::new(held), activity, _unread: unread }
    }
}

impl<T: Send + Sync + 'static> Held<T> {
    /// The next piece of the rest; none if there is no rest.
    fn piece(&mut self) -> Option<Frame<Bytes>> {
        if self.rest.is_empty() {
            return None;
        }
        let bytes = self.rest.split_to(self.rest.len().min(PIECE));
        let unread = || self.activity.as_ref().map(Activity::unread);
        let piece = Piece { bytes, _held: Arc::clone(&self.held), _unread: unread() };
        self._unread = unread(); // the client has read something
        Some(Frame::data(Bytes::from_owner(piece)))
    }
}

impl<T: Send + Sync + 'static> HttpBody for Held<T> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(piece) = self.piece() {
                return Poll::Ready(Some(Ok(piece)));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default() // the rest counts, too
    }
}

/// A body that ends at an event: that of a request with an error, that of a response with a status
/// for the client.
pub(super) struct Ended {
    /// `None` when it has ended.
    body: Option<Body>,
    is_response: bool,
    event: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Ended {
    pub(super) fn new(
        body: Body,
        is_response: bool,
        event: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> Self {
        Self { body: Some(body), is_response, event }
    }
}

impl HttpBody for Ended {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { body, is_response, event } = &mut *self;
        let Some(present) = body else { return Poll::Ready(None) };
        if event.as_mut().poll(context).is_pending() {
            return Pin::new(present).poll_frame(context);
        }
        *body = None;
        let revoked = Status::unauthenticated("the certificate was revoked, or is not valid any more");
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(match *is_response && revoked.add_header(&mut trailers).is_ok() {
            true => Ok(Frame::trailers(trailers)),
            false => Err(revoked),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full, StreamBody};
    use tokio_stream::wrappers::ReceiverStream;
    use tonic::Code;

    use super::*;

    const TIME: Duration = Duration::from_millis(50);

    fn message(length: usize) -> Vec<u8> {
        let prefix = u32::try_from(length).unwrap().to_be_bytes();
        [&[0][..], &prefix, &vec![7; length]].concat()
    }

    /// A body that gets what is sent, and what is counted for it.
    fn body(is_streaming: bool) -> (tokio::sync::mpsc::Sender<Vec<u8>>, Metered, Arc<Budget>) {
        let (sender, receiver) = tokio::sync::mpsc::channel(9);
        let frames = tokio_stream::StreamExt::map(ReceiverStream::new(receiver), |data: Vec<u8>| {
            Ok::<_, Status>(Frame::data(Bytes::from(data)))
        });
        let connections = Budget::new(usize::MAX, 100_000);
        let callers = Budget::new(1_000_000, 1_000_000);
        let budgets = [(Arc::clone(&connections), "1".into()), (callers, "a".into())];
        let body = Metered::new(Body::new(StreamBody::new(frames)), budgets, (1 << 20, TIME), is_streaming);
        (sender, body, connections)
    }

    /// Whether nothing is passed on yet.
    fn is_waiting(body: &mut Metered) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        Pin::new(body).poll_frame(&mut context).is_pending()
    }

    async fn data(body: &mut Metered) -> Bytes {
        body.frame().await.unwrap().unwrap().into_data().unwrap()
    }

    #[tokio::test]
    async fn unfinished_messages_count_until_they_are_finished() {
        let (sender, mut body, in_use) = body(true);
        let (long, next) = (message(50_000), message(20_000));
        for part in [&long[..3], &long[3..30_000]] {
            sender.send(part.to_vec()).await.unwrap();
            assert!(is_waiting(&mut body));
        }
        assert_eq!(in_use.in_use(), 30_000);
        // What is finished does not wait for what is not.
        sender.send([&long[30_000..], &next[..17_000]].concat()).await.unwrap();
        assert_eq!(data(&mut body).await, long);
        assert_eq!(in_use.in_use(), 17_000);
        sender.send(next[17_000..].to_vec()).await.unwrap();
        assert_eq!(data(&mut body).await, next);
        assert_eq!(in_use.in_use(), 0);
        let too_much = message(200_000);
        sender.send(too_much[..110_000].to_vec()).await.unwrap();
        let refused = body.frame().await.unwrap().unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert!(refused.message().contains("more than 100000 bytes"), "{refused}");
        drop(body);
        assert_eq!(in_use.in_use(), 0);
    }

    /// A call with one message begins when the client has finished sending.
    #[tokio::test]
    async fn all_that_was_held_is_passed_on_at_the_end() {
        for ends_with_trailers in [false, true] {
            let (sender, receiver) = tokio::sync::mpsc::channel(9);
            let body = Body::new(StreamBody::new(ReceiverStream::new(receiver)));
            let budget = Budget::new(usize::MAX, usize::MAX);
            let budgets = [(Arc::clone(&budget), "1".into()), (budget, "a".into())];
            let mut body = Metered::new(body, budgets, (1 << 20, TIME), false);
            for part in message(90_000).chunks(40_000) {
                sender.send(Ok::<_, Status>(Frame::data(part.to_vec().into()))).await.unwrap();
                assert!(is_waiting(&mut body) && !body.is_end_stream());
            }
            if ends_with_trailers {
                sender.send(Ok(Frame::trailers(HeaderMap::new()))).await.unwrap();
            }
            drop(sender);
            assert_eq!(data(&mut body).await, message(90_000));
            let last = body.frame().await;
            assert_eq!(last.is_some_and(|last| last.unwrap().is_trailers()), ends_with_trailers);
            assert!(body.frame().await.is_none());
        }
    }

    /// The decoder refuses it; it is not collected.
    #[tokio::test]
    async fn too_long_a_message_is_not_held() {
        let (sender, mut body, _) = body(false);
        let long = message((1 << 20) + 1);
        sender.send(long[..3].to_vec()).await.unwrap();
        assert!(is_waiting(&mut body));
        sender.send(long[3..1_000].to_vec()).await.unwrap();
        assert_eq!(data(&mut body).await, long[..1_000]);
    }

    #[tokio::test]
    async fn a_message_has_to_be_finished_in_time() {
        let late = |outcome: Option<Result<Frame<Bytes>, Status>>| outcome.unwrap().unwrap_err().code();
        for is_streaming in [false, true] {
            let (sender, mut body, _) = body(is_streaming);
            assert_eq!(late(body.frame().await), Code::DeadlineExceeded, "nothing comes");
            sender.send(message(10)[..7].to_vec()).await.unwrap();
            assert_eq!(late(body.frame().await), Code::DeadlineExceeded, "half a message comes");
        }
    }

    #[tokio::test]
    async fn a_stream_may_be_silent_between_messages() {
        let (sender, mut body, _) = body(true);
        sender.send(message(10)).await.unwrap();
        body.frame().await.unwrap().unwrap();
        assert!(tokio::time::timeout(4 * TIME, body.frame()).await.is_err());
        drop(sender);
        assert!(body.frame().await.is_none());
    }

    /// A regression: with a window of one byte, an answer was counted until HTTP/2 had taken it
    /// from the body, and stayed in memory.
    #[tokio::test]
    async fn an_answer_counts_until_it_is_sent() {
        let budget = Budget::new(100, 100);
        let lease = budget.lease("a", 70).unwrap();
        let answer = Bytes::from(vec![7; 3 * PIECE + 1]);
        let mut body = Held::new(Body::new(Full::new(answer.clone())), lease, None);
        let mut pieces = Vec::new();
        while let Some(frame) = body.frame().await {
            pieces.push(frame.unwrap().into_data().unwrap());
        }
        drop(body);
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE, PIECE, PIECE, 1]);
        assert_eq!(pieces.concat(), answer);
        assert_eq!(budget.in_use(), 70, "nothing is sent yet");
        pieces.truncate(1);
        assert_eq!(budget.in_use(), 70);
        drop(pieces);
        assert_eq!(budget.in_use(), 0);
    }
}
