//! A Berth on a free port of loopback, and a client for it.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use berth_server::{AccessPolicy, Auth, Server, Service, ServiceOptions};
use tokio::sync::oneshot;
use ureq::Agent;

/// A service that runs until it is dropped.
pub(crate) struct Berth {
    pub(crate) address: SocketAddr,
    pub(crate) agent: Agent,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The response to a request.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) challenge: Option<String>,
    pub(crate) body: String,
}

impl Berth {
    pub(crate) fn start(auth: Auth, policy: AccessPolicy) -> Self {
        Self::with(ServiceOptions { auth, policy, ..ServiceOptions::noauth2() })
    }

    pub(crate) fn with(options: ServiceOptions) -> Self {
        let service = Arc::new(Service::new(options));
        let (stop, stopped) = oneshot::channel();
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            runtime.worker_threads(2).enable_all().build().unwrap().block_on(async {
                let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let server = Server::bind(any_port, service).await.unwrap();
                sender.send(server.address().unwrap()).unwrap();
                server.run(async { drop(stopped.await) }, Duration::from_secs(1)).await;
            });
        });
        let config = Agent::config_builder().http_status_as_error(false).proxy(None).build();
        let address = receiver.recv().unwrap();
        Self { address, agent: config.into(), stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn get(&self, path: &str, token: Option<&str>) -> Answer {
        let mut request = self.agent.get(format!("http://{}{path}", self.address));
        request = request.header("OpenStack-API-Version", "placement 1.39");
        if let Some(token) = token {
            request = request.header("X-Auth-Token", token);
        }
        let mut response = request.call().unwrap();
        let challenge = response.headers().get("www-authenticate");
        Answer {
            status: response.status().as_u16(),
            challenge: challenge.map(|text| text.to_str().unwrap().to_owned()),
            body: response.body_mut().read_to_string().unwrap(),
        }
    }

    /// Sends a request and leaves the answer to the caller.
    #[allow(dead_code, reason = "not every test that shares this file goes away early")]
    pub(crate) fn send(&self, path: &str, token: &str) -> TcpStream {
        self.send_with(path, &format!("X-Auth-Token: {token}"))
    }

    /// Sends a request as a proxy would for a client, and leaves the answer to the caller.
    #[allow(dead_code, reason = "not every test that shares this file has proxies")]
    pub(crate) fn send_for(&self, token: &str, client: &str) -> TcpStream {
        self.send_with("/traits", &format!("X-Forwarded-For: {client}\r\nX-Auth-Token: {token}"))
    }

    fn send_with(&self, path: &str, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let version = "OpenStack-API-Version: placement 1.39";
        write!(stream, "GET {path} HTTP/1.1\r\nHost: berth\r\n{version}\r\n{headers}\r\n\r\n").unwrap();
        stream
    }

    /// The status of the answer to a request that a proxy sends for a client.
    #[allow(dead_code, reason = "not every test that shares this file has proxies")]
    pub(crate) fn status_for(&self, token: &str, client: &str) -> u16 {
        let mut line = String::new();
        BufReader::new(self.send_for(token, client)).read_line(&mut line).unwrap();
        line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    }

    pub(crate) fn status(&self, path: &str, token: &str) -> u16 {
        self.get(path, Some(token)).status
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
