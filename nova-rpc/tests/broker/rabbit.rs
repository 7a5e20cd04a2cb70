//! A RabbitMQ for the tests, on loopback, with a directory of its own.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// A broker; it ends with the test.
pub(crate) struct Rabbit {
    directory: tempfile::TempDir,
    epmd: Child,
    server: Option<Child>,
    ports: [u16; 3],
}

impl Rabbit {
    /// A broker that accepts connections; none where RabbitMQ is not installed.
    pub(crate) fn start() -> Option<Self> {
        if !Path::new(SERVER).exists() {
            return None;
        }
        let ports = free_ports();
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        fs::write(path("plugins"), "[].\n").expect("is written");
        fs::write(path("env.conf"), "").expect("is written");
        let settings = "vm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 10MB\n";
        fs::write(path("rabbitmq.conf"), settings).expect("is written");
        let epmd = Command::new("epmd")
            .args(["-port", &ports[0].to_string(), "-address", "127.0.0.1"])
            .stdout(Stdio::null())
            .spawn()
            .expect("epmd starts");
        let mut rabbit = Self { directory, epmd, server: None, ports };
        rabbit.start_server();
        Some(rabbit)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.ports[2]
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts the broker, with what it kept.
    pub(crate) fn start_server(&mut self) {
        let [epmd, distribution, port] = self.ports.map(|port| port.to_string());
        let log = fs::File::create(self.path("log")).expect("a log");
        let server = Command::new(SERVER)
            .env("HOME", self.directory.path())
            .env("RABBITMQ_NODENAME", format!("test{port}@localhost"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port)
            .env("RABBITMQ_DIST_PORT", distribution)
            .env("ERL_EPMD_PORT", epmd)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_MNESIA_BASE", self.path("mnesia"))
            .env("RABBITMQ_LOG_BASE", self.path("logs"))
            .env("RABBITMQ_PID_FILE", self.path("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.path("plugins"))
            .env("RABBITMQ_CONFIG_FILE", self.path("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", self.path("env.conf"))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn();
        self.server = Some(server.expect("RabbitMQ starts"));
        let deadline = Instant::now() + Duration::from_secs(120);
        while TcpStream::connect(("127.0.0.1", self.port())).is_err() {
            assert!(
                Instant::now() < deadline,
                "RabbitMQ does not start: {:?}",
                fs::read_to_string(self.path("log"))
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Kills the broker.
    pub(crate) fn kill(&mut self) {
        // The script starts the runtime as its child, which writes its own process id.
        if let Ok(pid) = fs::read_to_string(self.path("pid")) {
            let _ = Command::new("kill").args(["-KILL", pid.trim()]).status();
        }
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
        while TcpStream::connect(("127.0.0.1", self.port())).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        self.kill();
        let _ = self.epmd.kill();
        let _ = self.epmd.wait();
    }
}

fn free_ports() -> [u16; 3] {
    let listeners = [0, 1, 2].map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}
