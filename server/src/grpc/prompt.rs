//! A connection that ends when its client does not begin to speak, and when others need its place.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

use crate::http::connections::{Activity, Connection};

/// How long a client has for the first bytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bytes of the preface of HTTP/2. A TLS handshake begins with more.
const PREFACE: usize = 24;

/// A stream that fails unless its client sends a preface's bytes in time, and that ends when it is
/// unwanted.
pub(super) struct Prompt<S = TcpStream> {
    stream: S,
    activity: Activity,
    /// How many bytes are missing.
    missing: usize,
    end: Pin<Box<Sleep>>,
    /// `None` once the connection is unwanted.
    unwanted: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _place: Option<Connection>,
}

/// What calls know of their connection.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// The address of the client, if the system knows it.
    pub(super) address: Option<SocketAddr>,
    /// What the connection does.
    pub(super) activity: Activity,
}

impl Prompt {
    pub(super) fn new(stream: TcpStream, place: Connection) -> Self {
        let activity = place.activity();
        Self { _place: Some(place), ..Prompt::within(stream, activity, PATIENCE) }
    }
}

impl<S> Prompt<S> {
    fn within(stream: S, activity: Activity, patience: Duration) -> Self {
        let unwanted = activity.clone().unwanted();
        Self {
            stream,
            activity,
            missing: PREFACE,
            end: Box::pin(sleep(patience)),
            unwanted: Some(Box::pin(unwanted)),
            _place: None,
        }
    }

    /// Fails once others need the place. A client that reads nothing keeps the connection from
    /// reading, so this is checked before writing as well.
    fn check_wanted(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.unwanted.as_mut().is_some_and(|unwanted| unwanted.as_mut().poll(context).is_pending()) {
            return Ok(());
        }
        self.unwanted = None;
        Err(io::Error::new(io::ErrorKind::ConnectionAborted, "others need the place"))
    }
}

impl Connected for Prompt {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        Peer { address: self.stream.peer_addr().ok(), activity: self.activity.clone() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.missing > 0 && self.end.as_mut().poll(context).is_ready() {
            let silent = io::Error::new(io::ErrorKind::TimedOut, "the client does not begin to speak");
            return Poll::Ready(Err(silent));
        }
        self.check_wanted(context)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.missing = self.missing.saturating_sub(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_wanted(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_wanted(context)?;
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[test]
    fn a_client_that_does_not_speak_is_not_waited_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let patience = Duration::from_millis(50);
            let (mut client, server) = duplex(100);
            let mut slow = Prompt::within(server, Activity::default(), patience);
            client.write_all(b"PRI * HTTP/2.0").await.unwrap();
            let mut preface = Vec::new();
            let error = slow.read_to_end(&mut preface).await.unwrap_err();
            assert_eq!((error.kind(), &preface[..]), (io::ErrorKind::TimedOut, &b"PRI * HTTP/2.0"[..]));
            let (mut client, server) = duplex(100);
            let mut prompt = Prompt::within(server, Activity::default(), patience);
            client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
            let mut preface = [0; PREFACE];
            prompt.read_exact(&mut preface).await.unwrap();
            let silence = tokio::time::timeout(4 * patience, prompt.read_u8());
            assert!(silence.await.is_err(), "it may be silent from then on");
        });
    }
}
