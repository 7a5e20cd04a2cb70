//! The control socket of a running service: `control.sock` in its data directory.
//!
//! It serves HTTP: `GET /status` returns the status of the service, `POST /backup` sends its state
//! as a state file. A process that may open the directory may call both, so callers are not
//! authenticated. A state file marks its own end, so a truncated one is never mistaken for a
//! complete one.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fs, process};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use berth_placement::Snapshot;
use berth_store::write_state;
use bytes::Bytes;
use hyper::body::Frame;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::UnixListener;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::fleet::FleetState;
use crate::request::{Access, Epoch};
use crate::service::Service;

const SOCKET: &str = "control.sock";

/// Bytes of a backup that are sent at a time.
const PIECE: usize = 1 << 16;

/// The pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The service's end of the socket.
pub struct Control {
    listener: UnixListener,
    service: Arc<Service>,
    _file: SocketFile,
}

/// Removed when the service ends.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(%error, "cannot remove the control socket");
        }
    }
}

/// Why a service cannot be reached, or does not do what a command requests.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The socket cannot be connected to.
    #[error("{path}: {error}")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The service refuses the request.
    #[error("the service answers: {0}")]
    Refused(String),
    /// The answer cannot be written to the output, or breaks off.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Control {
    /// Creates the socket in a data directory that this process has locked. Only the owner of the
    /// process may open it.
    ///
    /// # Errors
    /// Fails if the directory cannot be written, or if its path is longer than the system allows
    /// for sockets.
    pub fn bind(directory: &Path, service: Arc<Service>) -> io::Result<Self> {
        let path = directory.join(SOCKET);
        // The directory is locked: the process that created an existing socket has ended.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, service, _file: SocketFile(path) })
    }

    /// Serves requests as long as it is polled. A backup that is still running when the runtime
    /// ends breaks off.
    pub async fn run(self) {
        let routes = Router::new().route("/status", get(status)).route("/backup", post(backup));
        let routes = routes.with_state(Arc::clone(&self.service));
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let routes = TowerToHyperService::new(routes.clone());
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), routes);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to the control socket ended early");
                }
            });
        }
    }
}

async fn status(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let epoch = service.epoch();
    let (access, reason, behind) = match &epoch.access {
        Access::Volatile => ("volatile", None, None),
        Access::Durable(durability) => ("durable", None, Some(durability.behind())),
        Access::ReadOnly(reason) => ("read-only", Some(reason.to_string()), None),
        Access::Down(reason) => ("down", Some(reason.to_string()), None),
    };
    let status = json!({
        "pid": process::id(),
        "version": env!("CARGO_PKG_VERSION"),
        "access": access,
        "reason": reason,
        "providers": epoch.index.topology().providers().count(),
        "consumers": epoch.index.consumers(),
        "changes_begun": behind.map(|(begun, _)| begun),
        "changes_on_disk": behind.map(|(_, on_disk)| on_disk),
    });
    ([(header::CONTENT_TYPE, "application/json")], format!("{status}\n"))
}

async fn backup(State(service): State<Arc<Service>>) -> Response {
    match durable_moment(&service.epoch()).await {
        Ok((snapshot, fleet)) => {
            let (sender, pieces) = channel(4);
            tokio::task::spawn_blocking(move || send(&snapshot, &fleet, sender));
            tracing::info!("sending a backup");
            Body::new(Pieces(pieces)).into_response()
        }
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

/// The state at one moment, once it is on disk.
async fn durable_moment(epoch: &Epoch) -> Result<(Snapshot, FleetState), String> {
    let fleet = Arc::clone(&epoch.fleet);
    let moment = || async move {
        tokio::task::spawn_blocking(move || fleet.moment()).await.map_err(|error| error.to_string())
    };
    match &epoch.access {
        Access::Durable(durability) => {
            let moment = moment().await?;
            durability.wait_on_disk().await.map_err(|reason| reason.to_string())?;
            Ok(moment)
        }
        Access::ReadOnly(_) => moment().await,
        Access::Down(reason) => Err(format!("the service is reloading its state, because {reason}")),
        Access::Volatile => Err("the state of this service is on no disk".to_owned()),
    }
}

fn send(snapshot: &Snapshot, fleet: &FleetState, pieces: Sender<Bytes>) {
    let out = io::BufWriter::with_capacity(PIECE, Sending(pieces));
    if let Err(error) = write_state(out, snapshot.records(), fleet) {
        tracing::warn!(%error, "a backup broke off");
    }
}

/// Passes what is written on to the connection.
struct Sending(Sender<Bytes>);

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Bytes::copy_from_slice(bytes));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A body of pieces as they come.
struct Pieces(Receiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// Requests a backup from the service that uses the directory, and writes it to `out` as a state
/// file.
///
/// # Errors
/// Fails if the service cannot be reached or refuses, or if the answer breaks off before it has
/// begun.
pub fn backup_online(directory: &Path, out: &mut impl Write) -> Result<(), ControlError> {
    let path = directory.join(SOCKET);
    let unreachable = |error| ControlError::Unreachable { path: path.clone(), error };
    let mut stream = UnixStream::connect(&path).map_err(unreachable)?;
    // To HTTP/1.0 the answer is sent as it is, up to the end of the connection.
    stream.write_all(b"POST /backup HTTP/1.0\r\nHost: berth\r\n\r\n")?;
    let mut answer = BufReader::with_capacity(PIECE, stream);
    let is_ok = read_head(&mut answer)?;
    if is_ok {
        io::copy(&mut answer, out)?;
        return Ok(());
    }
    let mut reason = String::new();
    io::Read::read_to_string(&mut answer, &mut reason)?;
    Err(ControlError::Refused(reason.trim_end().to_owned()))
}

/// Reads up to the body; returns whether the answer is 200.
fn read_head(answer: &mut impl BufRead) -> io::Result<bool> {
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line: &String| !line.trim_end().is_empty()) {
        let mut line = String::new();
        if answer.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        lines.push(line);
    }
    Ok(lines[0].split(' ').nth(1) == Some("200"))
}
