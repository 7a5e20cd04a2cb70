//! A small Keystone: password logins of one service user, and validation of tokens.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// The service user's password.
pub(crate) const PASSWORD: &str = "open sesame";

/// The scope of most tokens.
pub(crate) const PROJECT: &str =
    r#""project": {"id": "p", "name": "work", "domain": {"id": "default", "name": "Default"}}"#;

/// The longest time that a test waits for an event.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Listens on loopback as long as the process lives.
pub(crate) struct FakeKeystone {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

#[derive(Default)]
struct State {
    /// Bodies of good tokens.
    tokens: BTreeMap<String, String>,
    service_tokens: Vec<String>,
    attempts: usize,
    logins: usize,
    validations: usize,
    under_way: usize,
    most_at_once: usize,
    /// Validations of tokens with this prefix wait.
    held: Option<String>,
    /// How long each validation takes.
    takes: Duration,
    /// Validations that were begun.
    begun: usize,
    is_failing: bool,
}

struct Request {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl FakeKeystone {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, shared) = (listener.local_addr().unwrap(), Arc::<Shared>::default());
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v3/", self.address)
    }

    /// A token that Keystone will vouch for.
    pub(crate) fn issue(&self, token: &str, roles: &str, scope: &str, life: Duration) {
        self.shared.lock().tokens.insert(token.to_owned(), body(roles, scope, life));
    }

    pub(crate) fn revoke(&self, token: &str) {
        self.shared.lock().tokens.remove(token);
    }

    pub(crate) fn forget_service_tokens(&self) {
        self.shared.lock().service_tokens.clear();
    }

    /// Makes validations of tokens with this prefix wait until [`Self::release`].
    pub(crate) fn hold(&self, prefix: &str) {
        self.shared.lock().held = Some(prefix.to_owned());
    }

    /// Makes each validation take so long, however many there are.
    pub(crate) fn take(&self, time: Duration) {
        self.shared.lock().takes = time;
    }

    pub(crate) fn release(&self) {
        self.shared.lock().held = None;
        self.shared.changed.notify_all();
    }

    /// Waits until this many requests are being answered.
    pub(crate) fn until_under_way(&self, count: usize) {
        let is_less = |state: &mut State| state.under_way < count;
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), PATIENCE, is_less);
        let (state, timeout) = waited.unwrap();
        assert!(!timeout.timed_out(), "{} requests of {count}", state.under_way);
    }

    /// Validations that were begun.
    pub(crate) fn begun(&self) -> usize {
        self.shared.lock().begun
    }

    pub(crate) fn fail(&self, fails: bool) {
        self.shared.lock().is_failing = fails;
    }

    /// Logins that were tried.
    pub(crate) fn attempts(&self) -> usize {
        self.shared.lock().attempts
    }

    /// Requests that were being answered at the same time, at most.
    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.lock().most_at_once
    }

    pub(crate) fn logins(&self) -> usize {
        self.shared.lock().logins
    }

    /// Questions about tokens that were answered.
    pub(crate) fn validations(&self) -> usize {
        self.shared.lock().validations
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(request) = read(&mut reader) {
        begin(&request, &mut shared.lock());
        shared.changed.notify_all();
        let is_held = |state: &mut State| state.holds(&request);
        thread::sleep(shared.lock().takes_for(&request));
        let mut state = shared.changed.wait_while(shared.lock(), is_held).unwrap();
        let (status, token, body) = answer(&request, &mut state);
        drop(state);
        let token = token.map_or_else(String::new, |token| format!("X-Subject-Token: {token}\r\n"));
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\n{token}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

/// Counts a request that has arrived.
fn begin(request: &Request, state: &mut State) {
    state.begun += usize::from(request.subject().is_some());
    state.under_way += 1;
    state.most_at_once = state.most_at_once.max(state.under_way);
}

impl Request {
    /// The token to validate.
    fn subject(&self) -> Option<&String> {
        self.headers.get("x-subject-token")
    }
}

impl State {
    fn takes_for(&self, request: &Request) -> Duration {
        request.subject().map_or(Duration::ZERO, |_| self.takes)
    }

    fn holds(&self, request: &Request) -> bool {
        let subject = request.subject().zip(self.held.as_ref());
        subject.is_some_and(|(subject, held)| subject.starts_with(held))
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut lines = reader.by_ref().lines().map_while(Result::ok);
    let line = lines.next()?;
    let headers = lines.take_while(|line| !line.is_empty());
    let headers: BTreeMap<String, String> = headers
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { line, headers, body })
}

const REFUSED: &str = r#"{"error": {"code": 401, "message": "The request you have made requires authentication.", "title": "Unauthorized"}}"#;

fn answer(request: &Request, state: &mut State) -> (&'static str, Option<String>, String) {
    state.under_way -= 1;
    if state.is_failing {
        return ("500 Internal Server Error", None, String::new());
    }
    match request.line.as_str() {
        "POST /v3/auth/tokens?nocatalog HTTP/1.1" => log_in(&request.body, state),
        "GET /v3/auth/tokens?nocatalog HTTP/1.1" => validate(&request.headers, state),
        _ => ("404 Not Found", None, String::new()),
    }
}

fn log_in(body: &[u8], state: &mut State) -> (&'static str, Option<String>, String) {
    state.attempts += 1;
    let auth: Value = serde_json::from_slice(body).unwrap();
    let is_user = auth["auth"]["identity"]["methods"] == serde_json::json!(["password"])
        && auth["auth"]["identity"]["password"]["user"]
            == serde_json::json!({"name": "placement", "domain": {"name": "Default"}, "password": PASSWORD})
        && auth["auth"]["scope"]["project"]
            == serde_json::json!({"name": "service", "domain": {"name": "Default"}});
    if !is_user {
        return ("401 Unauthorized", None, REFUSED.to_owned());
    }
    state.logins += 1;
    let token = format!("service-{}", state.logins);
    state.service_tokens.push(token.clone());
    ("201 Created", Some(token), self::body("service", PROJECT, Duration::from_secs(3600)))
}

fn validate(headers: &BTreeMap<String, String>, state: &mut State) -> (&'static str, Option<String>, String) {
    if !headers.get("x-auth-token").is_some_and(|token| state.service_tokens.contains(token)) {
        return ("401 Unauthorized", None, REFUSED.to_owned());
    }
    state.validations += 1;
    let subject = headers.get("x-subject-token");
    match subject.and_then(|token| state.tokens.get(token).map(|body| (token, body))) {
        Some((token, body)) => ("200 OK", Some(token.clone()), body.clone()),
        None => {
            let error = r#"{"error": {"code": 404, "message": "This is not a recognized Fernet token.", "title": "Not Found"}}"#;
            ("404 Not Found", None, error.to_owned())
        }
    }
}

/// A token, as Keystone shows it without a catalog.
fn body(roles: &str, scope: &str, life: Duration) -> String {
    let roles: Vec<String> = roles
        .split(',')
        .filter(|role| !role.is_empty())
        .map(|role| format!(r#"{{"id": "id of {role}", "name": "{role}"}}"#))
        .collect();
    let comma = if scope.is_empty() { "" } else { ", " };
    let expires_at = iso(SystemTime::now() + life);
    format!(
        r#"{{"token": {{"methods": ["password"], "user": {{"domain": {{"id": "default", "name": "Default"}}, "id": "u",
        "name": "user", "password_expires_at": null}}, "audit_ids": ["a"], "expires_at": "{expires_at}",
        "issued_at": "2026-01-01T00:00:00.000000Z", "roles": [{}]{comma}{scope}}}}}"#,
        roles.join(", ")
    )
}

/// A time as Keystone writes it, to the microsecond.
fn iso(at: SystemTime) -> String {
    let text = httpdate::fmt_http_date(at); // Sun, 06 Nov 1994 08:49:37 GMT
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = 1 + months.iter().position(|&month| month == &text[8..11]).unwrap();
    let micros = at.duration_since(UNIX_EPOCH).unwrap().subsec_micros();
    format!("{}-{month:02}-{}T{}.{micros:06}Z", &text[12..16], &text[5..7], &text[17..25])
}
