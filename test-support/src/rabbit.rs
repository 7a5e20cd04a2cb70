//! A RabbitMQ for the tests, on loopback, with a directory of its own.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::certificates::Certificates;
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
    tls_port: Option<u16>,
}

impl Rabbit {
    /// A broker that accepts connections; none where RabbitMQ is not installed.
    pub fn start() -> Option<Self> {
        Self::start_with(None)
    }

    /// The same with a second port for encrypted connections of clients that have a certificate.
    pub fn start_with_tls(certificates: &Certificates) -> Option<Self> {
        Self::start_with(Some(certificates))
    }

    fn start_with(certificates: Option<&Certificates>) -> Option<Self> {
        if !Path::new(SERVER).exists() {
            return None;
        }
        let [ports @ .., tls_port] = free_ports::<4>();
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        fs::write(path("plugins"), "[].\n").expect("is written");
        fs::write(path("env.conf"), "").expect("is written");
        let mut settings =
            "vm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 10MB\n".to_owned();
        if let Some(certificates) = certificates {
            settings += &tls_settings(directory.path(), certificates, tls_port);
        }
        fs::write(path("rabbitmq.conf"), settings).expect("is written");
        let epmd = Command::new("epmd")
            .args(["-port", &ports[0].to_string(), "-address", "127.0.0.1"])
            .stdout(Stdio::null())
            .spawn()
            .expect("epmd starts");
        let tls_port = certificates.map(|_| tls_port);
        let mut rabbit = Self { directory, epmd, server: None, ports, tls_port };
        rabbit.start_server();
        Some(rabbit)
    }

    pub const fn port(&self) -> u16 {
        self.ports[2]
    }

    /// The port for encrypted connections, of a broker that has one.
    pub fn tls_port(&self) -> u16 {
        self.tls_port.expect("the broker has certificates")
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
        // After SIGKILL, and beside other work, it may take minutes.
        let deadline = Instant::now() + Duration::from_secs(600);
        let listens = |port: u16| TcpStream::connect(("127.0.0.1", port)).is_ok();
        while !(listens(self.port()) && self.tls_port.is_none_or(listens)) {
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

/// Settings for encrypted connections in which both sides verify the other, and their files.
fn tls_settings(directory: &Path, certificates: &Certificates, port: u16) -> String {
    let mut settings = format!("listeners.ssl.1 = 127.0.0.1:{port}\n");
    let (server, key) = certificates.server();
    for (option, file, pem) in [
        ("cacertfile", "authority.pem", &certificates.authority()),
        ("certfile", "server.pem", &server),
        ("keyfile", "server.key", &key),
    ] {
        let file = directory.join(file);
        fs::write(&file, pem).expect("is written");
        settings += &format!("ssl_options.{option} = {}\n", file.display());
    }
    settings + "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        self.kill();
        let _ = self.epmd.kill();
        let _ = self.epmd.wait();
    }
}
