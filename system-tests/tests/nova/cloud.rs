//! A bus, databases with three compute hosts, and Berth in the places of nova-scheduler and
//! Placement.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use berth_nova_rpc::transport::{BusOptions, RabbitOptions, TransportUrl};
use berth_system_tests::http::Client;
use berth_system_tests::service::{Service, command};
use berth_test_support::mariadb::MariaDb;
use berth_test_support::rabbit::Rabbit;
use serde_json::{Value, json};
use uuid::Uuid;

/// vCPUs of each host. A request takes one.
pub(crate) const VCPUS: u64 = 8;

/// The compute hosts.
pub(crate) const HOSTS: [&str; 3] = ["c1", "c2", "c3"];

pub(crate) struct Cloud {
    pub(crate) rabbit: Rabbit,
    pub(crate) mariadb: MariaDb,
    /// Serves Placement; in its process, the virtual host `/` or another one.
    pub(crate) berth: Service,
    /// Serves `/` instead, and claims in the Placement service of the other.
    second: Option<Service>,
    directory: tempfile::TempDir,
    /// Last, so that the next cloud starts when this one has ended.
    _alone: MutexGuard<'static, ()>,
}

/// One cloud at a time: four with their servers overload two cores.
static ALONE: Mutex<()> = Mutex::new(());

/// The parts of a cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    /// One process serves Placement and decides.
    One,
    /// One process serves Placement, another one decides.
    Two,
    /// A process that serves Placement decides in nova-scheduler's place on the virtual host
    /// `shadow`; another one passes requests on to it, and compares.
    Shadow,
}

impl Cloud {
    /// Starts everything; nothing where RabbitMQ or MariaDB is not installed.
    pub(crate) fn start(parts: Parts) -> Option<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mariadb) = MariaDb::start() else {
            berth_test_support::skip::skip("MariaDB is not installed");
            return None;
        };
        let Some(rabbit) = Rabbit::start() else {
            berth_test_support::skip::skip("RabbitMQ is not installed");
            return None;
        };
        let directory = tempfile::tempdir().expect("a directory");
        mariadb.execute(include_str!("schema.sql"));
        mariadb.execute(&hosts(mariadb.port()));
        if parts == Parts::Shadow {
            rabbit.add_virtual_host("shadow");
        }
        for (name, virtual_host) in [("nova.conf", ""), ("shadow.conf", "shadow")] {
            let conf = conf(rabbit.port(), virtual_host, mariadb.port());
            fs::write(directory.path().join(name), conf).expect("is written");
        }
        let path = |name: &str| directory.path().join(name);
        let conf = match parts {
            Parts::One => Some(path("nova.conf")),
            Parts::Two => None,
            Parts::Shadow => Some(path("shadow.conf")),
        };
        let berth = serve(&path("data"), conf.as_deref(), &["--init"]);
        let second = (parts != Parts::One).then(|| {
            let url = format!("http://{}", berth.address);
            let shadow = format!("serve.nova_shadow.conf={}", path("shadow.conf").display());
            let records = format!("serve.nova_shadow.records={}", path("shadow.jsonl").display());
            let mut options = vec!["--placement-url", &url];
            if parts == Parts::Shadow {
                options.extend(["--set", &shadow, "--set", &records]);
            }
            serve(Path::new("none"), Some(&path("nova.conf")), &options)
        });
        let cloud = Self { rabbit, mariadb, berth, second, directory, _alone: alone };
        cloud.provide();
        Some(cloud)
    }

    /// Starts Berth on what it kept, after it was killed.
    pub(crate) fn start_berth(&mut self) {
        self.berth = serve(&self.path("data"), Some(&self.path("nova.conf")), &[]);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn bus(&self) -> BusOptions {
        let url = format!("rabbit://guest:guest@127.0.0.1:{}/", self.rabbit.port());
        BusOptions {
            url: TransportUrl::parse(&url).expect("a URL"),
            rabbit: RabbitOptions::default(),
            exchange: "nova".to_owned(),
            topic: "scheduler".to_owned(),
            host: "conductor".to_owned(),
            tls: None,
        }
    }

    /// The hosts' providers, as nova-compute creates them.
    fn provide(&self) {
        let mut placement = self.berth.client();
        for (number, host) in HOSTS.iter().enumerate() {
            let uuid = uuid(number);
            let body = json!({"name": host, "uuid": uuid});
            ask(&mut placement, "POST", "/resource_providers", &body);
            let total = |total: u64| json!({"total": total});
            let inventories = json!({"VCPU": total(VCPUS), "MEMORY_MB": total(4_096), "DISK_GB": total(100)});
            let body = json!({"resource_provider_generation": 0, "inventories": inventories});
            ask(&mut placement, "PUT", &format!("/resource_providers/{uuid}/inventories"), &body);
            let body = json!({"resource_provider_generation": 1, "traits": ["OWNER_NOVA"]});
            ask(&mut placement, "PUT", &format!("/resource_providers/{uuid}/traits"), &body);
        }
    }

    /// What an instance holds: amounts by provider.
    pub(crate) fn allocations(&self, instance: Uuid) -> Value {
        let reply = self.berth.client().ask("GET", &format!("/allocations/{instance}"), None);
        reply.expect("an answer").expect(200)["allocations"].clone()
    }

    /// Releases what an instance holds, as the deletion of its server does.
    pub(crate) fn release(&self, instance: Uuid) {
        let reply = self.berth.client().ask("DELETE", &format!("/allocations/{instance}"), None);
        let status = reply.expect("an answer").status;
        assert!(matches!(status, 204 | 404), "{status}");
    }

    /// The metrics of the service.
    pub(crate) fn metrics(&self) -> String {
        let mut stream =
            TcpStream::connect(&self.second.as_ref().unwrap_or(&self.berth).address).expect("it listens");
        let request = "GET /metrics HTTP/1.1\r\nHost: berth\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// vCPUs that instances hold on all hosts.
    pub(crate) fn used(&self) -> u64 {
        let mut placement = self.berth.client();
        let used = |number| {
            let path = format!("/resource_providers/{}/usages", uuid(number));
            let reply = placement.ask("GET", &path, None).expect("an answer").expect(200);
            reply["usages"]["VCPU"].as_u64().expect("a number")
        };
        (0..HOSTS.len()).map(used).sum()
    }
}

/// The compute node and resource provider of a host.
pub(crate) fn uuid(number: usize) -> Uuid {
    Uuid::from_u128(0x1000 + number as u128)
}

pub(crate) fn ask(placement: &mut Client, method: &str, path: &str, body: &Value) {
    let status = placement.ask(method, path, Some(body)).expect("an answer").status;
    assert!((200..300).contains(&status), "{method} {path}: {status}");
}

fn serve(data: &Path, conf: Option<&Path>, options: &[&str]) -> Service {
    let mut command = command(data);
    command.args(options);
    if let Some(conf) = conf {
        command.arg("--nova-conf").arg(conf).args(["--set", "serve.nova_cell_timeout=5"]);
    }
    Service::start(command).unwrap_or_else(|log| panic!("the service does not start: {log}"))
}

fn conf(rabbit: u16, virtual_host: &str, mariadb: u16) -> String {
    let database = format!("mysql+pymysql://berth:secret@127.0.0.1:{mariadb}");
    format!(
        "[DEFAULT]\ntransport_url = rabbit://guest:guest@127.0.0.1:{rabbit}/{virtual_host}\nhost = sched\n\
         service_down_time = 36000\n[oslo_messaging_rabbit]\nrabbit_interval_max = 1\n[placement]\nauth_type = none\n\
         [api_database]\nconnection = {database}/nova_api\n[database]\nconnection = {database}/nova_cell1\n"
    )
}

/// Rows of the cell, its services and its compute nodes.
fn hosts(port: u16) -> String {
    let mut statements = format!(
        "USE nova_api; INSERT INTO cell_mappings (uuid, name, database_connection) VALUES \
         ('00000000-0000-0000-0000-000000000000', 'cell0', 'none:///'), \
         ('00000000-0000-0000-0000-0000000000c1', 'cell1', 'mysql+pymysql://berth:secret@127.0.0.1:{port}/nova_cell1'); \
         USE nova_cell1; "
    );
    for (number, host) in HOSTS.iter().enumerate() {
        statements += &format!(
            "INSERT INTO services (created_at, host, `binary`, topic, last_seen_up, version) VALUES \
             (UTC_TIMESTAMP(), '{host}', 'nova-compute', 'compute', UTC_TIMESTAMP(), 74); \
             INSERT INTO compute_nodes (updated_at, uuid, host, hypervisor_hostname, vcpus, memory_mb, local_gb, \
             hypervisor_type, hypervisor_version, cpu_info, free_ram_mb, free_disk_gb, host_ip, supported_instances, stats, \
             cpu_allocation_ratio, ram_allocation_ratio, disk_allocation_ratio) VALUES (UTC_TIMESTAMP(), '{}', '{host}', \
             '{host}', {VCPUS}, 4096, 100, 'QEMU', 8000000, '{{}}', 4096, 100, '127.0.0.1', \
             '[[\"x86_64\", \"kvm\", \"hvm\"]]', '{{\"num_instances\": \"0\", \"failed_builds\": \"0\"}}', 1, 1, 1); ",
            uuid(number)
        );
    }
    statements
}
