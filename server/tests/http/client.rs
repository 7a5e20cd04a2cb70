//! A client that keeps its connection, and can also send what no client should.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// No answer takes that long.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Null when there is none, or when it is no JSON.
    pub(crate) body: Value,
    /// Whether the server ends the connection now.
    pub(crate) closes: bool,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// The text of an error.
    #[track_caller]
    pub(crate) fn error(self, status: u16) -> String {
        self.expect(status)["errors"][0]["detail"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether it says that somebody else was faster.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status == 409 && self.body["errors"][0]["code"] == "placement.concurrent_update"
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// A client on a connection that there is.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Asks at the latest microversion.
    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Value {
        self.ask("GET", path).expect(200)
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str) -> Answer {
        self.bytes(method, path, b"")
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        self.bytes(method, path, body.to_string().as_bytes())
    }

    pub(crate) fn bytes(&mut self, method: &str, path: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let head =
            head(method, path, &format!("content-type: application/json\r\ncontent-length: {length}\r\n"));
        self.raw(&[head.as_bytes(), body].concat());
        self.answer().expect("the server hung up")
    }

    /// Sends anything at all. A server that has had enough may have hung up before the end.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Sends no more.
    pub(crate) fn finish(&self) {
        let _ = self.stream.get_ref().shutdown(std::net::Shutdown::Write);
    }

    /// The next answer; `None` when the server has hung up.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        let status =
            self.line()?.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
        let mut headers = Vec::new();
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap_or((&line, ""));
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let find = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        let length = find("content-length").map_or(0, |length| length.parse().unwrap());
        let closes = find("connection").is_some_and(|value| value == "close");
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        let json = serde_json::from_slice(&body).unwrap_or_default();
        let text = String::from_utf8_lossy(&body).into_owned();
        Some(Answer { status, body: json, closes, headers, text })
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no answer: {error}"),
        }
    }
}

/// The head of a request by an administrator at the latest microversion; `more` are lines.
pub(crate) fn head(method: &str, path: &str, more: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: berth\r\nx-auth-token: admin\r\n\
         openstack-api-version: placement latest\r\n{more}\r\n"
    )
}
