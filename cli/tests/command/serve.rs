//! `berth serve` as a process: its settings, its signals and its directory.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::placement_client::PlacementClient;
use berth_api::v1::scheduler_client::SchedulerClient;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tonic::transport::Endpoint;
use x509_parser::pem::parse_x509_pem;

use super::{fail, succeed};

const PROVIDER: &str = "00000000-0000-4000-8000-000000000001";
const ANOTHER: &str = "00000000-0000-4000-8000-000000000002";

/// A configuration without settings, so that the machine's own is not read.
const NO_SETTINGS: &str = "/dev/null";

/// A command that ends by itself.
fn done(arguments: &[&str]) -> (Output, String) {
    let named: &[&str] = if arguments.contains(&"--config") { &[] } else { &["--config", NO_SETTINGS] };
    let output = super::run(Path::new("."), [arguments, named].concat());
    let text = super::stderr(&output);
    (output, text)
}

/// The next line of the log with these words.
fn line_with(log: &mut impl BufRead, words: &str) -> String {
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it has ended");
    }
    line
}

fn address(line: &str) -> String {
    let fields: serde_json::Value = serde_json::from_str(line).expect("the log is JSON");
    fields["address"].as_str().unwrap().to_owned()
}

/// A service on a free port.
pub(super) struct Serving {
    process: Child,
    pub(super) address: String,
    /// Where it takes gRPC calls.
    pub(super) grpc: String,
    /// Reads the rest of the log: a service whose log nobody reads stops when the pipe is full.
    reader: Option<JoinHandle<()>>,
    log: Arc<Mutex<String>>,
}

impl Serving {
    pub(super) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// With variables in its environment.
    pub(super) fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut arguments = arguments.to_vec();
        let first =
            ["serve", "--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0", "--log-format", "json"];
        if !arguments.contains(&"--config") {
            arguments.extend(["--config", NO_SETTINGS]);
        }
        if !arguments.contains(&"--data") {
            arguments.extend(["--data", "none"]);
        }
        arguments.splice(0..0, first);
        let mut process = super::berth(Path::new("."));
        let process = process.args(arguments).envs(variables.iter().copied());
        let mut process = process.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let grpc = address(&line_with(&mut log, "serving gRPC"));
        let address = address(&line_with(&mut log, "serving the Placement API"));
        let rest = Arc::<Mutex<String>>::default();
        let kept = Arc::clone(&rest);
        let reader = thread::spawn(move || {
            for line in log.lines() {
                *kept.lock().unwrap() += &(line.unwrap() + "\n");
            }
        });
        Self { process, address, grpc, reader: Some(reader), log: rest }
    }

    pub(super) fn on(data: &Path) -> Self {
        Self::start(&["--data", data.to_str().unwrap()])
    }

    fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }

    pub(super) fn get(&self, path: &str) -> String {
        answer(self.send(&format!("GET {path} HTTP/1.1\r\n{HEADERS}Connection: close\r\n\r\n")))
    }

    pub(super) fn add_provider(&self, uuid: &str) -> String {
        let answer = self.ask_for_provider(uuid);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    /// The answer to a request to add a provider.
    pub(super) fn ask_for_provider(&self, uuid: &str) -> String {
        let body = format!("{{\"name\": \"host {uuid}\", \"uuid\": \"{uuid}\"}}");
        let length = body.len();
        let request = format!(
            "POST /resource_providers HTTP/1.1\r\n{HEADERS}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        answer(self.send(&request))
    }

    pub(super) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// How it ended, and the rest of its log.
    fn end(mut self) -> (Option<i32>, String) {
        self.reader.take().unwrap().join().unwrap();
        (self.process.wait().unwrap().code(), self.log_so_far())
    }

    /// The log after the start.
    pub(super) fn log_so_far(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(super) fn stop(self) -> String {
        self.signal("-TERM");
        let (code, log) = self.end();
        assert_eq!(code, Some(0), "{log}");
        log
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

const HEADERS: &str = "Host: localhost\r\nX-Auth-Token: admin\r\nContent-Type: application/json\r\n\
    OpenStack-API-Version: placement 1.39\r\n";

const EXPECT: &str = "Expect: 100-continue\r\n";

/// Waits until the service wants the body of a request with [`EXPECT`].
fn await_continue(stream: &mut TcpStream) {
    let mut line = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"HTTP/1.1 100 Continue\r\n\r\n");
}

/// Waits until something is so.
#[track_caller]
pub(super) fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("{what}: it is not, after twenty seconds");
}

fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_versions_need_no_token() {
    let serving = Serving::start(&[]);
    let text = answer(serving.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("\"max_version\":\"1.39\""), "{text}");
}

#[test]
fn state_outlives_the_process() {
    let directory = TempDir::new().unwrap();
    let serving = Serving::on(directory.path());
    serving.add_provider(PROVIDER);
    serving.stop();
    let serving = Serving::on(directory.path());
    assert!(serving.get("/resource_providers").contains(PROVIDER));
    serving.add_provider(ANOTHER);
    serving.signal("-TERM");
    assert_eq!(serving.end().0, Some(0));
    let serving = Serving::on(directory.path());
    let providers = serving.get("/resource_providers");
    assert!(providers.contains(PROVIDER) && providers.contains(ANOTHER), "{providers}");
}

/// As `systemctl reload berth` does.
#[test]
fn a_hang_up_has_the_settings_read_again() {
    let directory = TempDir::new().unwrap();
    let (file, policy) = (directory.path().join("berth.toml"), directory.path().join("policy.yaml"));
    fs::write(&policy, "\"placement:resource_providers:list\": \"@\"\n").unwrap();
    let settings = |more: &str| fs::write(&file, format!("[serve]\npolicy = {policy:?}\n{more}")).unwrap();
    settings("");
    let serving = Serving::start(&["--config", file.to_str().unwrap()]);
    assert!(serving.get("/resource_providers").starts_with("HTTP/1.1 200"));
    fs::write(&policy, "\"placement:resource_providers:list\": \"!\"\n").unwrap();
    settings("log = \"info\"\npublic_url = \"https://placement.example.com\"\n");
    serving.signal("-HUP");
    wait("the policy changes", || serving.get("/resource_providers").starts_with("HTTP/1.1 403"));
    let log = serving.stop();
    assert!(log.contains("the settings were read again"), "{log}");
    assert!(log.contains("serve.public_url") && log.contains("takes effect at the next start"), "{log}");
}

#[test]
fn refused_settings_change_nothing() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("berth.toml");
    fs::write(&file, "[serve]\n").unwrap();
    let serving = Serving::start(&["--config", file.to_str().unwrap()]);
    fs::write(&file, "[serve]\npolicy = \"secure\"\nlog = \"infoo\"\n").unwrap();
    serving.signal("-HUP");
    wait("the refusal is logged", || serving.log_so_far().contains("nothing has changed"));
    assert!(serving.log_so_far().contains("serve.log"), "{}", serving.log_so_far());
    serving.stop();
}

/// Acknowledged changes are kept, however the process ended.
#[test]
fn a_killed_process_has_lost_nothing() {
    let directory = TempDir::new().unwrap();
    for provider in [PROVIDER, ANOTHER] {
        let serving = Serving::on(directory.path());
        serving.add_provider(provider);
        serving.signal("-KILL");
        drop(serving.end());
    }
    let providers = Serving::on(directory.path()).get("/resource_providers");
    assert!(providers.contains(PROVIDER) && providers.contains(ANOTHER), "{providers}");
}

#[test]
fn a_directory_is_served_by_one_process() {
    let directory = TempDir::new().unwrap();
    let _serving = Serving::on(directory.path());
    let (output, error) = done(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--grpc-listen",
        "127.0.0.1:0",
        "--data",
        directory.path().to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error.contains("serve.data") && error.contains("another process is using this directory"),
        "{error}"
    );
}

/// What a running service would have to save is not in the file yet.
#[test]
fn what_a_service_holds_is_exported_when_it_has_stopped() {
    let directory = TempDir::new().unwrap();
    let export = |data: &Path| {
        let mut export = super::berth(Path::new("."));
        export.args(["export-placement", "--to", "sqlite", "--data"]).arg(data);
        export
    };
    let message = |output: Output| {
        assert_eq!(output.status.code(), Some(1));
        super::stderr(&output)
    };
    let serving = Serving::on(directory.path());
    serving.add_provider(PROVIDER);
    let error = message(export(directory.path()).output().unwrap());
    assert!(error.contains("another process is using this directory"), "{error}");
    serving.stop();
    let script = super::stdout(&export(directory.path()).output().unwrap());
    assert!(script.contains(PROVIDER), "{script}");
    // Nobody else reads what users have, not even in a file that everybody could read before.
    let file = directory.path().join("script.sql");
    for _ in 0..2 {
        assert!(export(directory.path()).arg("--output").arg(&file).output().unwrap().status.success());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), script);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = message(export(directory.path()).stdout(full).output().unwrap());
    assert!(error.contains("cannot write to standard output: No space left"), "{error}");
    let nowhere = directory.path().join("nowhere");
    let error = message(export(&nowhere).output().unwrap());
    assert!(error.contains("nowhere") && !nowhere.exists(), "{error}");
}

#[test]
fn a_damaged_state_is_not_served() {
    let directory = TempDir::new().unwrap();
    Serving::on(directory.path()).stop();
    let store = directory.path().join("state.redb");
    let length = fs::metadata(&store).unwrap().len();
    fs::OpenOptions::new().write(true).open(&store).unwrap().set_len(length / 2).unwrap();
    let data = directory.path().to_str().unwrap();
    let (output, error) =
        done(&["serve", "--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0", "--data", data]);
    assert_eq!(output.status.code(), Some(1));
    for shown in
        ["serve.data", "state.redb: cannot open the store", "berth store verify", "berth store restore"]
    {
        assert!(error.contains(shown), "{shown}: {error}");
    }
}

/// A request whose body is still on its way when SIGTERM comes is answered, and what it did is
/// saved.
#[test]
fn a_request_that_has_begun_is_finished() {
    let directory = TempDir::new().unwrap();
    let serving = Serving::on(directory.path());
    let body = format!("{{\"name\": \"host\", \"uuid\": \"{PROVIDER}\"}}");
    let (first, rest) = body.split_at(10);
    let head = format!(
        "POST /resource_providers HTTP/1.1\r\n{HEADERS}{EXPECT}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut request = serving.send(&head);
    await_continue(&mut request);
    request.write_all(first.as_bytes()).unwrap();
    serving.signal("-TERM");
    wait("it takes no more connections", || TcpStream::connect(&serving.address).is_err());
    request.write_all(rest.as_bytes()).unwrap();
    let text = answer(request);
    assert!(text.starts_with("HTTP/1.1 200") && text.contains(PROVIDER), "{text}");
    assert_eq!(serving.end().0, Some(0));
    let state = succeed(directory.path(), "store dump .");
    assert!(state.contains(PROVIDER), "{state}");
}

/// A client that never sends the rest of its request cannot keep the process from ending.
#[test]
fn a_request_that_does_not_end_is_not_waited_for() {
    let serving = Serving::start(&["--set", "serve.shutdown_timeout=1"]);
    let head = format!("POST /traits HTTP/1.1\r\n{HEADERS}{EXPECT}Content-Length: 100\r\n\r\n");
    let mut request = serving.send(&head);
    await_continue(&mut request);
    assert!(serving.stop().contains("not finished in time"));
}

/// Behind a proxy that terminates TLS, the request does not contain the URL that clients use.
#[test]
fn location_begins_with_the_public_url() {
    let location = |serving: Serving| {
        let answer = serving.add_provider(PROVIDER);
        answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned()
    };
    let shown = Serving::start(&["--set", "serve.public_url=https://placement.example/"]);
    let path = format!("/resource_providers/{PROVIDER}");
    assert_eq!(location(shown), format!("https://placement.example{path}"));
    assert_eq!(location(Serving::start(&[])), format!("http://localhost{path}"));
}

#[test]
fn limits_are_what_was_set() {
    let serving = Serving::start(&["--set", "serve.limits.query_parameters=1"]);
    let query = |parameters: &str| serving.get(&format!("/resource_providers?{parameters}"));
    assert!(query("name=a").starts_with("HTTP/1.1 200"));
    assert!(query("name=a&name=b").contains("A query may have at most 1 parameters."));
}

#[test]
fn every_request_is_logged_with_the_id_of_its_answer() {
    let serving = Serving::start(&[]);
    let text = serving.get("/traits/CUSTOM_NONE");
    let id = text.lines().find_map(|line| line.strip_prefix("x-openstack-request-id: ")).unwrap().to_owned();
    let log = serving.stop();
    let line = log.lines().find(|line| line.contains(&id)).expect("the request is in the log");
    let fields: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&fields["status"], &fields["method"]), (&404.into(), &"GET".into()), "{line}");
    assert!(fields["microseconds"].is_u64(), "{line}");
}

/// The lines of the audit log about a method.
fn audited(log: &str, method: &str) -> Vec<serde_json::Value> {
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    lines.filter(|line| line["target"] == "audit" && line["method"] == method).collect()
}

/// Nobody could find out who had disabled a host.
#[test]
fn the_audit_log_names_who_changed_what() {
    let directory = TempDir::new().unwrap();
    let here = directory.path();
    let serving = Serving::start_with(&[], &[("BERTH_LOG", "warn,berth::serve=info,audit=info")]);
    let service = format!("--service http://{}", serving.grpc);
    succeed(here, &format!("flavor create m1.small --vcpus 1 --ram 512 {service}"));
    succeed(here, &format!("host approve host1 --uuid {PROVIDER} {service}"));
    succeed(here, &format!("host set host1 --disable --reason memory {service}"));
    fail(here, 1, &format!("host set host2 --disable {service}"));
    succeed(here, &format!("host list {service}"));
    let answer = serving.add_provider(ANOTHER);
    let id =
        answer.lines().find_map(|line| line.strip_prefix("x-openstack-request-id: ")).unwrap().to_owned();
    serving.get("/traits");
    let log = serving.stop();

    let set = audited(&log, "berth.v1.Fleet/SetHost");
    assert_eq!(set.len(), 2, "{log}");
    assert_eq!((&set[0]["object"], &set[0]["outcome"]), (&"host1".into(), &"OK".into()), "{log}");
    assert_eq!(set[0]["change"], "status=DISABLED reason=\"memory\"");
    assert_eq!(set[0]["role"], "local");
    assert!(set[0]["microseconds"].is_u64(), "{log}");
    assert!(set[0]["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{log}");
    assert!(set[0]["request_id"].as_str().unwrap().starts_with("req-"), "{log}");
    assert_eq!((&set[1]["object"], &set[1]["outcome"]), (&"host2".into(), &"NOT_FOUND".into()), "{log}");
    assert!(set[1]["error"].as_str().unwrap().contains("host2"), "{log}");
    assert_eq!(audited(&log, "berth.v1.Fleet/CreateFlavor")[0]["object"], "m1.small");
    assert_eq!(audited(&log, "berth.v1.Fleet/ApproveHost").len(), 1, "{log}");
    let posted = audited(&log, "POST");
    assert_eq!((&posted[0]["request_id"], &posted[0]["user"]), (&id.into(), &"admin".into()), "{log}");
    // What reads is none of it.
    assert!(!log.contains("ListHosts") && !log.contains("/traits"), "{log}");
}

/// Their lines named no consumer and no instance once they took turns.
#[test]
fn the_audit_log_names_claims_and_decisions_when_it_is_detailed() {
    let serving = Serving::start_with(&[], &[("BERTH_LOG", "warn,berth::serve=info,audit=debug")]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let endpoint = Endpoint::new(format!("http://{}", serving.grpc)).unwrap();
        let channel = endpoint.connect_lazy();
        let claim = v1::ConsumerClaim { consumer: PROVIDER.to_owned(), ..v1::ConsumerClaim::default() };
        let claims = v1::ClaimRequest { claims: vec![claim], ..v1::ClaimRequest::default() };
        PlacementClient::new(channel.clone()).claim(claims).await.unwrap();
        let instances = vec![ANOTHER.to_owned()];
        let wanted = v1::ScheduleRequest { instances, ..v1::ScheduleRequest::default() };
        SchedulerClient::new(channel).schedule(wanted).await.unwrap_err();
    });
    let log = serving.stop();
    assert_eq!(audited(&log, "berth.v1.Placement/Claim")[0]["object"], PROVIDER, "{log}");
    assert_eq!(audited(&log, "berth.v1.Scheduler/Schedule")[0]["object"], ANOTHER, "{log}");
}

#[test]
fn the_audit_log_names_certificates_and_refused_calls() {
    let directory = TempDir::new().unwrap();
    let here = directory.path();
    for line in [
        "certs init --dir pki",
        "certs issue --dir pki --role server --name berth --ip 127.0.0.1",
        "certs issue --dir pki --role operator --name olga",
        "certs issue --dir pki --role reader --name rita",
    ] {
        succeed(here, line);
    }
    let file = |name: &str| here.join("pki").join(name).to_str().unwrap().to_owned();
    let (certificate, key, authority) = (file("berth.pem"), file("berth-key.pem"), file("ca.pem"));
    let serving = Serving::start(&[
        "--tls-certificate",
        &certificate,
        "--tls-key",
        &key,
        "--tls-client-ca",
        &authority,
    ]);
    let of = |name: &str| {
        let (certificate, key) = (file(&format!("{name}.pem")), file(&format!("{name}-key.pem")));
        format!("--service https://{} --ca {authority} --cert {certificate} --key {key}", serving.grpc)
    };
    succeed(here, &format!("quota set --project shop --instances 5 {}", of("olga")));
    fail(here, 1, &format!("quota set --project shop --instances 50 {}", of("rita")));
    let log = serving.stop();
    let set = audited(&log, "berth.v1.Fleet/SetQuota");
    let known: Vec<_> = set.iter().map(|line| (&line["role"], &line["outcome"])).collect();
    assert_eq!(known[0], (&"operator".into(), &"OK".into()), "{log}");
    assert_eq!(known[1], (&"reader".into(), &"PERMISSION_DENIED".into()), "{log}");
    assert_eq!(set[0]["change"], "instances=5 vcpus=unlimited memory_mb=unlimited key_pairs=unlimited");
    let der = parse_x509_pem(&fs::read(file("olga.pem")).unwrap()).unwrap().1.contents;
    let fingerprint: String = Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(set[0]["certificate"], fingerprint, "{log}");
}

#[test]
fn what_is_wrong_with_a_setting_is_said_with_its_name() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("berth.toml");
    fs::write(
        &file,
        "[serve]\nlisten = 'here'\nauth = 'magic'\ndurability = 'lax'\ncors = []\npublic_url = 'x'\n",
    )
    .unwrap();
    let (output, error) = done(&["serve", "--config", file.to_str().unwrap(), "--log-format", "xml"]);
    assert_eq!(output.status.code(), Some(1));
    for words in [
        ["serve.auth: 'magic' is none of noauth2, keystone", "berth.toml"],
        ["serve.cors: no such setting", "berth.toml"],
        ["serve.listen: \"here\" is no address with a port, such as 127.0.0.1:8778", "berth.toml"],
        ["serve.log_format: 'xml' is none of text, json", "--log-format"],
        ["serve.durability: 'lax' is none of strict, relaxed", "berth.toml"],
        ["serve.public_url: is not a URL", "berth.toml"],
    ] {
        assert!(error.lines().any(|line| words.iter().all(|word| line.contains(word))), "{words:?}: {error}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for (arguments, said) in [
        (vec!["--auth", "keystone"], "serve.keystone.password_file: is needed"),
        (
            vec!["--auth", "keystone", "--set", "serve.keystone.password_file=/nowhere"],
            "cannot read /nowhere",
        ),
        (vec!["--policy", "/nowhere"], "serve.policy: cannot read /nowhere"),
        (
            vec!["--listen", "192.0.2.1:1", "--set", "serve.dangerous_anybody_is_administrator=true"],
            "serve.listen: cannot listen on 192.0.2.1:1",
        ),
        (
            vec!["--listen", "127.0.0.1:0", "--grpc-listen", &taken],
            "serve.grpc_listen: cannot listen on 127.0.0.1:",
        ),
        (
            vec!["--listen", "127.0.0.1:0", "--grpc-listen", "0.0.0.0:0"],
            "serve.grpc_listen: 0.0.0.0:0 is not a loopback address, so it needs certificates: serve.tls.certificate",
        ),
        (vec!["--tls-key", "/nowhere"], "serve.tls.certificate: is needed with serve.tls.key"),
        (
            vec!["--tls-certificate", "/nowhere", "--tls-key", "/x", "--tls-client-ca", "/x"],
            "serve.tls.certificate: cannot read /nowhere",
        ),
        (
            vec!["--tls-certificate", "/dev/null", "--tls-key", "/dev/null", "--tls-client-ca", "/dev/null"],
            "serve.tls.certificate: /dev/null: the certificate cannot be used: it is empty",
        ),
        (vec!["--data", "/proc/berth"], "serve.data: /proc/berth"),
    ] {
        let data: &[&str] = if arguments.contains(&"--data") { &[] } else { &["--data", "none"] };
        let (output, error) = done(&[&["serve"], data, &arguments[..]].concat());
        assert!(output.status.code() == Some(1) && error.contains(said), "{arguments:?}: {error}");
        // `config check` passed these before. What another process listens on, and the data
        // directory, are not settings.
        if said.contains("cannot listen") || arguments.contains(&"--data") {
            continue;
        }
        let settings = arguments.chunks(2).map(|option| match option[0] {
            "--set" => option[1].to_owned(),
            name => {
                let name = name.trim_start_matches("--").replacen("tls-", "tls.", 1).replace('-', "_");
                format!("serve.{name}={}", option[1])
            }
        });
        let check = settings.fold(vec!["config".to_owned(), "check".to_owned()], |mut check, setting| {
            check.extend(["--set".to_owned(), setting]);
            check
        });
        let check: Vec<_> = check.iter().map(String::as_str).collect();
        let (output, error) = done(&check);
        assert!(output.status.code() == Some(1) && error.contains(said), "{check:?}: {error}");
    }
}

/// The likeliest mistake, for which the libraries say "broken pipe", "invalid HTTP version" or
/// "frame with invalid size".
#[test]
fn a_wrong_port_or_scheme_is_named() {
    let here = TempDir::new().unwrap();
    for line in ["certs init --dir pki", "certs issue --dir pki --role server --name berth --ip 127.0.0.1"] {
        succeed(here.path(), line);
    }
    let file = |name: &str| here.path().join("pki").join(name).to_str().unwrap().to_owned();
    let plain = Serving::start(&[]);
    let (cert, key, ca) = (file("berth.pem"), file("berth-key.pem"), file("ca.pem"));
    let tls = Serving::start(&["--tls-certificate", &cert, "--tls-key", &key, "--tls-client-ca", &ca]);
    for (line, said) in [
        (
            format!("host list --service http://{}", plain.address),
            "this port is the Placement API; gRPC has a port",
        ),
        (
            format!("host list --service https://{} --ca pki/ca.pem", plain.address),
            "this port is the Placement API",
        ),
        (format!("host list --service https://{} --ca pki/ca.pem", plain.grpc), "speaks gRPC without TLS"),
        (
            format!("host list --service http://{}", tls.grpc),
            "this port speaks TLS: the URL has to begin with https://",
        ),
        (
            format!("host list --service https://{} --ca pki/ca.pem", tls.grpc),
            "it requires a certificate of the client (--cert",
        ),
        (
            format!("audit --url http://{} --token admin", plain.grpc),
            "this port is gRPC; the Placement API has a port",
        ),
        (
            format!("audit --url http://{} --token admin", tls.grpc),
            "this port speaks TLS: the URL has to begin with",
        ),
        (format!("audit --url https://{} --token admin", plain.address), "speaks HTTP without TLS"),
    ] {
        let message = fail(here.path(), 1, &line);
        assert!(message.contains(said), "{line}: {message}");
        assert_eq!(message.lines().count(), 1, "{line}: {message}");
    }
}

/// `noauth2` is the default and trusts every caller: with `--listen 0.0.0.0`, anybody on the
/// network was an administrator.
#[test]
fn noauth2_needs_a_loopback_address() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:1"] {
        for command in [&["serve", "--data", "none"][..], &["config", "check"], &["config", "show"]] {
            let listen = format!("serve.listen={address}");
            let (output, error) = done(&[command, &["--config", "/dev/null", "--set", &listen]].concat());
            assert_eq!(output.status.code(), Some(1), "{command:?} {address}");
            assert!(error.contains(&format!("serve.listen: {address} is not a loopback address")), "{error}");
            assert!(
                error.contains("serve.dangerous_anybody_is_administrator") && error.contains("--set"),
                "{error}"
            );
        }
    }
    for allowed in [
        ["serve.listen=127.0.0.2:1", "serve.auth=noauth2"],
        ["serve.listen=[::1]:1", "serve.auth=noauth2"],
        ["serve.listen=0.0.0.0:1", "serve.dangerous_anybody_is_administrator=true"],
    ] {
        let sets = allowed.map(|setting| ["--set", setting]).concat();
        let (output, error) = done(&[&["config", "check", "--config", "/dev/null"], &sets[..]].concat());
        assert!(output.status.success(), "{allowed:?}: {error}");
    }
    let with_keystone =
        ["config", "check", "--set", "serve.listen=0.0.0.0:1", "--set", "serve.auth=keystone"];
    let (_, error) = done(&with_keystone);
    assert!(error.contains("1 error(s):\n  serve.keystone.password_file: is needed"), "{error}");
}

#[test]
fn an_error_in_a_policy_is_found() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("policy.yaml");
    fs::write(&file, "# ours\n\"placement:traits:list\": \"role:reader and\"\n").unwrap();
    let (_, error) = done(&["serve", "--policy", file.to_str().unwrap()]);
    assert!(error.contains("policy.yaml: line 2: rule placement:traits:list: "), "{error}");
}

/// The example for operators is good, and so are the settings that it shows as defaults.
#[test]
fn the_packaged_configuration_is_good() {
    let example = include_str!("../../../packaging/berth.toml");
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("berth.toml");
    let is_setting = |line: &str| {
        line.starts_with("[serve.")
            || line.starts_with(|first: char| first.is_ascii_lowercase()) && line.contains(" = ")
    };
    let everything: Vec<&str> = example
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line))
        .collect();
    assert!(everything.len() > 20 && everything.contains(&"timeout = 10"));
    let password = directory.path().join("password");
    fs::write(&password, "secret\n").unwrap();
    let password = format!("serve.keystone.password_file={}", password.display());
    for text in [example, &everything.join("\n")] {
        fs::write(&file, text).unwrap();
        let check = ["config", "check", "--config", file.to_str().unwrap()];
        // The files that it names are the operator's.
        let (_, error) = done(&check);
        let mut problems = error.lines().skip(1);
        assert!(problems.all(|problem| problem.contains(": cannot read /etc/berth/")), "{error}");
        assert!(
            error.contains("serve.keystone.password_file: cannot read /etc/berth/keystone-password"),
            "{error}"
        );
    }
    fs::write(&file, example).unwrap();
    let (output, error) = done(&["config", "check", "--config", file.to_str().unwrap(), "--set", &password]);
    assert!(output.status.success(), "{error}");
}
