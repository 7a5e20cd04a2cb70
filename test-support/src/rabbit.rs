//! A RabbitMQ for the tests, on loopback, with a directory of its own.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::port::free_ports;

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const CONTROL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";

/// A broker; it ends with the test.
#[derive(Debug)]
pub struct Rabbit {
    directory: tempfile::TempDir,
    epmd: Child,
    server: Option<Child>,
    ports: [u16; 3],
}

impl Rabbit {
    /// A broker that accepts connections; none where RabbitMQ is not installed.
    pub fn start() -> Option<Self> {
        if !Path::new(SERVER).exists() {
            return None;
        }
        let ports = free_ports::<3>();
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

    pub const fn port(&self) -> u16 {
        self.ports[2]
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A program of RabbitMQ with the settings of this broker.
    fn command(&self, program: &str) -> Command {
        let [epmd, distribution, port] = self.ports.map(|port| port.to_string());
        let mut command = Command::new(program);
        command
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
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
        command
    }

    /// Adds a virtual host that the user `guest` may use.
    pub fn add_virtual_host(&self, name: &str) {
        self.control(&["add_vhost", name]);
        self.control(&["set_permissions", "-p", name, "guest", ".*", ".*", ".*"]);
    }

    /// Closes all connections of clients.
    pub fn close_connections(&self) {
        self.control(&["close_all_connections", "test"]);
    }

    fn control(&self, arguments: &[&str]) {
        let output = self.command(CONTROL).arg("-q").args(arguments).output().expect("rabbitmqctl starts");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Starts the broker, with what it kept.
    pub fn start_server(&mut self) {
        let log = fs::File::create(self.path("log")).expect("a log");
        let mut server = self.command(SERVER);
        let server = server.stdout(log.try_clone().expect("a log")).stderr(log).spawn();
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
    pub fn kill(&mut self) {
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
