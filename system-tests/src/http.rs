//! A client that keeps its connection and notices when it is cut off.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// The longest time that a response takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to the Placement API.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    token: String,
}

/// A response.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body; null if it is no JSON.
    pub body: Value,
}

impl Client {
    /// A client with the token `admin`.
    ///
    /// # Errors
    /// A service that does not listen.
    pub fn new(address: &str) -> io::Result<Self> {
        Self::with_token(address, "admin")
    }

    /// A client with a token of its own.
    ///
    /// # Errors
    /// A service that does not listen.
    pub fn with_token(address: &str, token: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream), token: token.to_owned() })
    }

    /// Sends a request and waits for the response.
    ///
    /// # Errors
    /// A connection that ended: the outcome of the request is unknown.
    pub fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Reply> {
        self.send(method, path, body)?;
        self.reply()
    }

    /// Sends a request without reading the response.
    ///
    /// # Errors
    /// A connection that ended.
    pub fn send(&mut self, method: &str, path: &str, body: Option<&Value>) -> io::Result<()> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let head = self.head(method, path, body.len());
        self.write((head + &body).as_bytes())
    }

    /// The head of a request with a body of this length.
    pub fn head(&self, method: &str, path: &str, length: usize) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: berth\r\nX-Auth-Token: {}\r\nContent-Type: application/json\r\n\
             OpenStack-API-Version: placement 1.39\r\nContent-Length: {length}\r\n\r\n",
            self.token
        )
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// A connection that ended.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads a response.
    ///
    /// # Errors
    /// A connection that ended.
    pub fn reply(&mut self) -> io::Result<Reply> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut length = 0;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let status = status.ok_or_else(|| io::Error::other("no status line"))?;
        Ok(Reply { status, body: serde_json::from_slice(&body).unwrap_or_default() })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

impl Reply {
    /// Whether the request failed because of a concurrent change.
    pub fn is_conflict(&self) -> bool {
        self.status == 409 && self.body["errors"][0]["code"] == "placement.concurrent_update"
    }

    /// The body of a response that must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}
