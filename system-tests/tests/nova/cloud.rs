//! A bus, databases with three compute hosts, and Berth in the places of nova-scheduler and
//! Placement.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use berth_api::v1::ListRequestsRequest;
use berth_api::v1::scheduler_client::SchedulerClient;
use berth_nova_rpc::transport::{BusCertificates, BusOptions, RabbitOptions, TransportUrl};
use berth_system_tests::http::Client;
use berth_system_tests::service::{Service, command};
use berth_test_support::certificates::Certificates;
use berth_test_support::port::free_ports;
use berth_test_support::rabbit::Rabbit;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::databases::Databases;

/// vCPUs of each host. A request takes one.
pub(crate) const VCPUS: u64 = 8;

/// The compute hosts.
pub(crate) const HOSTS: [&str; 3] = ["c1", "c2", "c3"];

pub(crate) struct Cloud {
    pub(crate) rabbit: Rabbit,
    pub(crate) databases: Databases,
    /// The database of a second cell, which has the last host.
    pub(crate) second_cell: Option<Databases>,
    /// Serves Placement; in its process, the virtual host `/` or another one.
    pub(crate) berth: Service,
    /// Serves `/` instead, and claims in the Placement service of the other.
    second: Option<Service>,
    certificates: Option<Certificates>,
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
    /// As one, with PostgreSQL in the place of MariaDB.
    Postgres,
    /// As one, with the last host in a second cell, whose database is on another server.
    TwoCells,
    /// As one, over encrypted connections to the second of two brokers; the first is dead.
    Encrypted,
}

impl Cloud {
    /// Starts everything; nothing where one of the servers is not installed.
    pub(crate) fn start(parts: Parts) -> Option<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let databases = if parts == Parts::Postgres { Databases::postgres()? } else { Databases::mariadb()? };
        let second_cell = if parts == Parts::TwoCells { Some(Databases::mariadb()?) } else { None };
        let certificates = (parts == Parts::Encrypted).then(Certificates::new);
        let rabbit = certificates.as_ref().map_or_else(Rabbit::start, Rabbit::start_with_tls);
        let Some(rabbit) = rabbit else {
            berth_test_support::skip::skip("RabbitMQ is not installed");
            return None;
        };
        let directory = tempfile::tempdir().expect("a directory");
        add_hosts(&databases, second_cell.as_ref());
        if parts == Parts::Shadow {
            rabbit.add_virtual_host("shadow");
        }
        for (name, virtual_host) in [("nova.conf", ""), ("shadow.conf", "shadow")] {
            let bus = match &certificates {
                None => format!("rabbit://guest:guest@127.0.0.1:{}/{virtual_host}", rabbit.port()),
                Some(_) => {
                    let [dead] = free_ports();
                    let all = [dead, rabbit.tls_port()].map(|port| format!("guest:guest@127.0.0.1:{port}"));
                    format!("rabbit://{}/", all.join(","))
                }
            };
            let tls = certificates.as_ref().map(|issuer| tls_options(directory.path(), issuer));
            let conf = conf(&bus, &tls.unwrap_or_default(), &databases);
            fs::write(directory.path().join(name), conf).expect("is written");
        }
        let path = |name: &str| directory.path().join(name);
        let conf = match parts {
            Parts::Two => None,
            Parts::Shadow => Some(path("shadow.conf")),
            _ => Some(path("nova.conf")),
        };
        let berth = serve(&path("data"), conf.as_deref(), &["--init"]);
        let second = matches!(parts, Parts::Two | Parts::Shadow).then(|| {
            let url = format!("http://{}", berth.address);
            let shadow = format!("serve.nova_shadow.conf={}", path("shadow.conf").display());
            let records = format!("serve.nova_shadow.records={}", path("shadow.jsonl").display());
            let mut options = vec!["--placement-url", &url];
            if parts == Parts::Shadow {
                options.extend(["--set", &shadow, "--set", &records]);
            }
            serve(Path::new("none"), Some(&path("nova.conf")), &options)
        });
        let cloud =
            Self { rabbit, databases, second_cell, berth, second, certificates, directory, _alone: alone };
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
        let tls = self.certificates.as_ref().map(|issuer| {
            let (certificate, key) = issuer.client();
            let identity = Some((certificate.into_bytes(), key.into_bytes()));
            BusCertificates { authorities: Some(issuer.authority()), identity }
        });
        let port = if tls.is_some() { self.rabbit.tls_port() } else { self.rabbit.port() };
        let url = format!("rabbit://guest:guest@127.0.0.1:{port}/");
        BusOptions {
            url: TransportUrl::parse(&url).expect("a URL"),
            rabbit: RabbitOptions::default(),
            exchange: "nova".to_owned(),
            topic: "scheduler".to_owned(),
            host: "conductor".to_owned(),
            tls,
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

    /// The service that decides.
    const fn decider(&self) -> &Service {
        match &self.second {
            Some(second) => second,
            None => &self.berth,
        }
    }

    /// Why the latest refused request found no host, as `berth explain --json` prints it. The
    /// explanation follows the reply.
    pub(crate) async fn explanation(&self) -> Value {
        let address = format!("http://{}", self.decider().grpc_address);
        let mut scheduler = SchedulerClient::connect(address).await.expect("it listens");
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut of = ListRequestsRequest { failed: true, request_id: String::new() };
        loop {
            let requests =
                scheduler.list_requests(of.clone()).await.expect("an answer").into_inner().requests;
            let last = requests.last().expect("a request was refused");
            if !last.explanation.is_empty() {
                return serde_json::from_str(&last.explanation).expect("JSON");
            }
            assert!(Instant::now() < deadline, "no explanation of {last:?}");
            of.request_id.clone_from(&last.request_id);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The metrics of the service.
    pub(crate) fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(&self.decider().address).expect("it listens");
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

fn conf(transport_url: &str, tls: &str, databases: &Databases) -> String {
    format!(
        "[DEFAULT]\ntransport_url = {transport_url}\nhost = sched\nservice_down_time = 36000\n\
         [scheduler]\ndiscover_hosts_in_cells_interval = 1\n\
         [oslo_messaging_rabbit]\nrabbit_interval_max = 1\n{tls}[placement]\nauth_type = none\n\
         [api_database]\nconnection = {}\n[database]\nconnection = {}\n",
        databases.url("nova_api"),
        databases.url("nova_cell1"),
    )
}

/// Options of encrypted connections, with the files that they name.
fn tls_options(directory: &Path, issuer: &Certificates) -> String {
    let (certificate, key) = issuer.client();
    let files = [("ssl_ca_file", issuer.authority()), ("ssl_cert_file", certificate), ("ssl_key_file", key)];
    let mut options = "ssl = true\n".to_owned();
    for (option, pem) in files {
        let file = directory.join(option).with_extension("pem");
        fs::write(&file, pem).expect("is written");
        options += &format!("{option} = {}\n", file.display());
    }
    options
}

/// The cells, their services and their compute nodes.
fn add_hosts(databases: &Databases, second_cell: Option<&Databases>) {
    databases.map_cell(Uuid::nil(), "cell0", "none:///");
    databases.map_cell(Uuid::from_u128(0xc1), "cell1", &databases.url("nova_cell1"));
    if let Some(second) = second_cell {
        databases.map_cell(Uuid::from_u128(0xc2), "cell2", &second.url("nova_cell1"));
    }
    for (number, host) in HOSTS.iter().enumerate() {
        let is_last = number + 1 == HOSTS.len();
        let cell = second_cell.filter(|_| is_last).unwrap_or(databases);
        cell.add_host(host, uuid(number), VCPUS);
    }
}
