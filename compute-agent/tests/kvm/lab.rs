//! A host with an agent, a service that plays with it, and an image that proves that it runs.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;

use berth_api::v1::agent_message::Message;
use berth_api::v1::{Flavor, GuestSpec, Image};
use berth_compute_agent::libvirt::{Config, CpuMode, Downtime, Libvirt, OpenDriverError};
use berth_test_support::process::without_settings;
use uuid::Uuid;

use crate::host::{Host, pause};
use berth_test_support::agents_service::{Agent, Service};

pub(crate) const CANARY: &str = "canary.bin";

pub(crate) struct Lab {
    pub(crate) host: Host,
    pub(crate) service: Service,
    name: &'static str,
    agent: Option<Agent>,
}

impl Lab {
    pub(crate) async fn new(name: &'static str) -> Self {
        let host = Host::start(name, Uuid::new_v5(&Uuid::NAMESPACE_DNS, name.as_bytes()));
        for directory in ["images", "state"] {
            fs::create_dir(host.path(directory)).expect("a directory");
        }
        build_canary(&host.path("images"));
        let mut lab = Self { host, service: Service::start(0).await, name, agent: None };
        lab.start_agent().await;
        lab.check_facts();
        lab
    }

    pub(crate) async fn start_agent(&mut self) {
        let config = Config {
            uri: self.host.uri(),
            host_uuid: None,
            images: self.host.path("images"),
            instances: self.host.path("instances"),
            state: self.host.path("state"),
            cpu_mode: CpuMode::HostModel,
            disabled_cpu_features: Vec::new(),
            migration_uri: None,
            migration_bandwidth_mib: 0,
            downtime: Downtime::default(),
        };
        // The agent before it may still be in a call of libvirt.
        let libvirt = loop {
            match Libvirt::open(config.clone()) {
                Err(OpenDriverError::InUse(_)) => tokio::task::spawn_blocking(pause).await.expect("paused"),
                opened => break opened.expect("the driver opens"),
            }
        };
        self.service.known().received.clear();
        self.agent = Some(Agent::start(self.name, Arc::new(libvirt), &self.service));
        self.service.joined(self.name).await;
    }

    /// Ends the agent as a crash does.
    pub(crate) async fn kill_agent(&mut self) {
        self.agent.take().expect("it runs").kill().await;
        self.service.part().await;
    }

    pub(crate) async fn end(mut self) {
        self.agent.take().expect("it runs").stop().await;
    }

    /// What a guest has said on its serial port.
    pub(crate) fn console(&self, instance: Uuid) -> String {
        let log = self.host.path("instances").join(instance.to_string()).join("console.log");
        String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
    }

    /// How often it said something.
    pub(crate) fn said(&self, instance: Uuid, what: &str) -> usize {
        self.console(instance).matches(what).count()
    }

    /// Waits until it has said something so many times.
    pub(crate) async fn wait_for(&self, instance: Uuid, what: &str, times: usize) {
        for _ in 0..600 {
            if self.said(instance, what) >= times {
                return;
            }
            tokio::task::spawn_blocking(pause).await.expect("paused");
        }
        panic!("{what:?} was not said {times} times: {}", self.console(instance));
    }

    /// The seconds that the guest has counted.
    pub(crate) fn ticks(&self, instance: Uuid) -> Vec<u32> {
        let console = self.console(instance);
        let count = |line: &str| u32::from_str_radix(line.strip_prefix("TICK ")?.get(..8)?, 16).ok();
        console.lines().filter_map(count).collect()
    }

    /// The agent as a program of its own.
    pub(crate) fn spawn_agent(&self) -> Child {
        let mut agent = without_settings(Command::new(env!("CARGO_BIN_EXE_berth-agent")));
        for directory in ["images", "instances", "state"] {
            agent.arg(format!("--{directory}")).arg(self.host.path(directory));
        }
        agent.args([
            "--service",
            &self.service.url,
            "--libvirt-uri",
            &self.host.uri(),
            "--host-name",
            self.name,
        ]);
        self.service.known().received.clear();
        agent.spawn().expect("it starts")
    }

    /// The resources that the agent reports are those that the kernel reports.
    fn check_facts(&self) {
        let known = self.service.known();
        let [(_, Message::Hello(hello)), (_, Message::Providers(tree)), ..] = &known.received[..] else {
            panic!("no hello")
        };
        let facts = hello.hypervisor.as_ref().expect("reported");
        let [root] = &tree.providers[..] else { panic!("{tree:?}") };
        assert_eq!(root.uuid, hello.host_uuid);
        let memory = fs::read_to_string("/proc/meminfo").expect("there");
        let total_kib: u32 =
            memory.split_whitespace().nth(1).and_then(|total| total.parse().ok()).expect("a number");
        assert_eq!(root.inventories["MEMORY_MB"].total, total_kib / 1024);
        let threads = fs::read_to_string("/proc/cpuinfo").expect("there").matches("processor\t:").count();
        assert_eq!(root.inventories["VCPU"].total as usize, threads);
        assert!(root.inventories["DISK_GB"].total > 0);
        let has_sse2 = root.traits.iter().any(|name| name == "HW_CPU_X86_SSE2");
        assert_eq!(has_sse2, facts.is_accelerated, "{:?}", root.traits);
        let on = if facts.is_accelerated {
            "KVM"
        } else {
            "software emulation (TCG): there is no usable /dev/kvm"
        };
        println!("{}: guests run on {on}; libvirt {}", self.name, facts.libvirt_version);
    }
}

pub(crate) fn canary() -> GuestSpec {
    let image =
        Image { name: CANARY.into(), properties: [("firmware".to_owned(), CANARY.to_owned())].into() };
    let flavor = Flavor { name: "tiny".into(), vcpus: 1, memory_mb: 16, ..Flavor::default() };
    GuestSpec { name: "canary".into(), flavor: Some(flavor), image: Some(image), ..GuestSpec::default() }
}

/// How the canary writes its UUID.
pub(crate) fn introduction(instance: Uuid) -> String {
    format!("CANARY up uuid={}", instance.simple())
}

pub(crate) fn build_canary(images: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kvm/canary.S");
    let object = images.join("canary.o");
    let run = |command: &mut Command| {
        let status = command.status().expect("binutils are installed");
        assert!(status.success(), "{command:?}");
    };
    run(Command::new("as").arg("--32").arg("-o").arg(&object).arg(source));
    let mut link = Command::new("ld");
    link.args(["-m", "elf_i386", "-Ttext", "0", "--oformat", "binary", "-e", "_start", "-o"]);
    run(link.arg(images.join(CANARY)).arg(object));
}
