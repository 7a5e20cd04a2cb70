//! The command line of `berth-agent`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use berth_api::host_name;
use berth_compute_agent::Offer;
use berth_compute_agent::agent::Settings;
use berth_compute_agent::disks::{DiskServer, Peers};
use berth_compute_agent::libvirt::{Config, CpuMode, Downtime};
use berth_compute_agent::service::Certificates;
use berth_process::certificates::{self, CertificateAndKey};
use clap::{Args, Parser, ValueEnum};
use uuid::Uuid;

/// The default port of agents with certificates.
const DISKS_PORT: u16 = 8780;

/// What `--version` prints after the name.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("BERTH_COMMIT"), ")");

/// Reconciles the guests on this host with their desired state in Berth, through libvirt.
#[derive(Parser, Debug)]
#[command(name = "berth-agent", version = VERSION)]
pub(crate) struct Options {
    /// URL of the service.
    #[arg(long, value_name = "URL", env = "BERTH_SERVICE", default_value = "http://127.0.0.1:8779")]
    pub(crate) service: String,
    /// Name of this host, unique in the fleet [default: the machine's].
    #[arg(long, value_name = "NAME")]
    host_name: Option<String>,
    /// UUID of this host; stored in the state directory at the first start [default: libvirt's].
    #[arg(long, value_name = "UUID")]
    host_uuid: Option<Uuid>,
    /// Address by which other hosts reach this one [default: its name].
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// URI of a libvirtd on this machine.
    #[arg(long, value_name = "URI", default_value = "qemu:///system")]
    libvirt_uri: String,
    /// URI by which libvirtds of other hosts reach this host's, such as qemu+tls://compute-7/system
    /// [default: no running guest is sent to this host].
    #[arg(long, value_name = "URI")]
    migration_uri: Option<String>,
    /// Directory of the images that guests boot from.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/berth-agent/images")]
    images: PathBuf,
    /// Directory of the guests' disks.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/berth-agent/instances")]
    instances: PathBuf,
    /// Directory of the agent's state.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/berth-agent/state")]
    state: PathBuf,
    /// CPU model of guests on KVM.
    #[arg(long, value_name = "MODE", value_enum, default_value_t = CpuModeOption::HostModel)]
    cpu_mode: CpuModeOption,
    /// Feature that the CPUs of guests do not get, such as avx512f, as on hosts that lack it; can
    /// be repeated.
    #[arg(long = "disable-cpu-feature", value_name = "NAME")]
    disabled_cpu_features: Vec<String>,
    /// Seconds that guests have to shut down before they are destroyed.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=3600))]
    shutdown_timeout: u64,
    /// Port at which other hosts fetch disks of instances that move there; 0 to offer none
    /// [default: 8780; without certificates, any on loopback].
    #[arg(long, value_name = "PORT")]
    disks_port: Option<u16>,
    /// Address at which /healthz and /readyz report the agent's health over HTTP [default: none].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) health_listen: Option<SocketAddr>,
    /// Write the manual page into this directory, and exit.
    #[arg(long, value_name = "DIR", exclusive = true, hide = true)]
    pub(crate) manual: Option<PathBuf>,
    #[command(flatten)]
    certificates: CertificateOptions,
    #[command(flatten)]
    live: LiveOptions,
    #[command(flatten)]
    offer: OfferOptions,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Live migration from this host (names and defaults are Nova's)")]
struct LiveOptions {
    /// The most that is sent of a guest, in MiB/s; 0 for no limit.
    #[arg(long, value_name = "MIB_PER_SECOND", default_value_t = 0)]
    live_migration_bandwidth: u32,
    /// The longest time that a guest may be paused at the end, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u32).range(100..))]
    live_migration_downtime: u32,
    /// Steps in which that time is reached.
    #[arg(long, value_name = "STEPS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(3..=1000))]
    live_migration_downtime_steps: u32,
    /// Seconds from one step to the next, for each GiB of memory and disks that are sent.
    #[arg(long, value_name = "SECONDS", default_value_t = 75, value_parser = clap::value_parser!(u32).range(3..=86400))]
    live_migration_downtime_delay: u32,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Certificates (without them, only a service on this machine is accepted)")]
struct CertificateOptions {
    /// File with the certificate of the authority that issued the service's, as PEM.
    #[arg(long, value_name = "FILE", env = "BERTH_CA", requires_all = ["cert", "key"])]
    ca: Option<PathBuf>,
    /// File with this agent's certificate, as PEM.
    #[arg(long, value_name = "FILE", env = "BERTH_CERT", requires_all = ["ca", "key"])]
    cert: Option<PathBuf>,
    /// File with its key, as PEM.
    #[arg(long, value_name = "FILE", env = "BERTH_KEY", requires_all = ["ca", "cert"])]
    key: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Resources offered to guests")]
struct OfferOptions {
    /// Allocation ratio of VCPU [default: the service's configuration].
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    cpu_allocation_ratio: Option<f64>,
    /// Allocation ratio of MEMORY_MB [default: the service's configuration].
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    ram_allocation_ratio: Option<f64>,
    /// Allocation ratio of DISK_GB [default: the service's configuration].
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    disk_allocation_ratio: Option<f64>,
    /// Threads reserved for the host.
    #[arg(long, value_name = "THREADS", default_value_t = 0)]
    reserved_host_cpus: u32,
    /// MiB of memory reserved for the host.
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    reserved_host_memory_mb: u32,
    /// GiB of disk reserved for the host.
    #[arg(long, value_name = "GIB", default_value_t = 0)]
    reserved_host_disk_gb: u32,
    /// Report NUMA cells as resource providers, if the host has several.
    #[arg(long)]
    numa_cells: bool,
    /// Report huge pages as resource providers.
    #[arg(long)]
    huge_pages: bool,
    /// Report PCI devices of this kind as resource providers, such as 8086:1572; can be repeated.
    #[arg(long = "pci-device", value_name = "VENDOR:PRODUCT", value_parser = pci_device)]
    pci_devices: Vec<(u16, u16)>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CpuModeOption {
    /// QEMU's default.
    Default,
    /// The model closest to the host's.
    HostModel,
    /// The host's.
    HostPassthrough,
}

impl Options {
    pub(crate) fn settings(&self, seed: u64) -> Result<Settings> {
        if !self.disabled_cpu_features.is_empty() && matches!(self.cpu_mode, CpuModeOption::Default) {
            bail!(
                "--disable-cpu-feature: the CPU of --cpu-mode default is QEMU's, and the same on each host"
            );
        }
        let host = self.host_name()?;
        let certificates = self.certificates()?;
        Ok(Settings {
            disks: self.disk_server(certificates.as_ref())?.map(Arc::new),
            peers: Peers::new(certificates),
            address: self.address.clone().unwrap_or_else(|| host.clone()),
            host,
            offer: self.offer.offer(),
            shutdown_grace: Duration::from_secs(self.shutdown_timeout),
            seed,
        })
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            uri: self.libvirt_uri.clone(),
            host_uuid: self.host_uuid,
            images: self.images.clone(),
            instances: self.instances.clone(),
            state: self.state.clone(),
            migration_uri: self.migration_uri.clone(),
            migration_bandwidth_mib: self.live.live_migration_bandwidth,
            downtime: Downtime {
                most_ms: self.live.live_migration_downtime,
                steps: self.live.live_migration_downtime_steps,
                delay_s: self.live.live_migration_downtime_delay,
            },
            disabled_cpu_features: self.disabled_cpu_features.clone(),
            cpu_mode: match self.cpu_mode {
                CpuModeOption::Default => CpuMode::HypervisorDefault,
                CpuModeOption::HostModel => CpuMode::HostModel,
                CpuModeOption::HostPassthrough => CpuMode::HostPassthrough,
            },
        }
    }

    pub(crate) fn certificates(&self) -> Result<Option<Certificates>> {
        let CertificateOptions { ca, cert, key } = &self.certificates;
        let (Some(ca), Some(cert), Some(key)) = (ca, cert, key) else { return Ok(None) };
        let authority = certificates::read_authorities(ca).context("--ca")?;
        let CertificateAndKey { certificate, key } =
            CertificateAndKey::read(cert, key).context("--cert, --key")?;
        Ok(Some(Certificates { authority, certificate, key }))
    }

    fn disk_server(&self, certificates: Option<&Certificates>) -> Result<Option<DiskServer>> {
        let port = match (self.disks_port, certificates) {
            (Some(0), _) => return Ok(None),
            (Some(port), _) => port,
            (None, Some(_)) => DISKS_PORT,
            (None, None) => 0,
        };
        DiskServer::bind(port, certificates).map(Some).context("--disks-port")
    }

    fn host_name(&self) -> Result<String> {
        let name = match &self.host_name {
            Some(name) => name.clone(),
            None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        };
        if let Err(invalid) = host_name::check(&name) {
            bail!("--host-name {name:?} {invalid}");
        }
        Ok(name)
    }
}

impl OfferOptions {
    fn offer(&self) -> Offer {
        Offer {
            cpu_ratio: self.cpu_allocation_ratio,
            memory_ratio: self.ram_allocation_ratio,
            disk_ratio: self.disk_allocation_ratio,
            reserved_cpus: self.reserved_host_cpus,
            reserved_memory_mb: self.reserved_host_memory_mb,
            reserved_disk_gb: self.reserved_host_disk_gb,
            numa_cells: self.numa_cells,
            huge_pages: self.huge_pages,
            pci_devices: self.pci_devices.clone(),
        }
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if ratio.is_finite() && ratio > 0.0 { Ok(ratio) } else { Err("a ratio must be above 0".to_owned()) }
}

fn pci_device(text: &str) -> Result<(u16, u16), String> {
    let id = |digits: &str| u16::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 4);
    let both = text.split_once(':').and_then(|(vendor, product)| Some((id(vendor)?, id(product)?)));
    both.ok_or_else(|| "expected VENDOR:PRODUCT, such as 8086:1572".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        Options::try_parse_from([&["berth-agent"], arguments].concat())
    }

    #[test]
    fn without_options_a_host_is_offered_as_nova_would() {
        let options = parse(&["--host-name", "h1"]).expect("valid");
        let settings = options.settings(1).expect("valid");
        assert_eq!((settings.host.as_str(), settings.address.as_str()), ("h1", "h1"));
        assert_eq!(settings.offer, Offer::default());
        assert!(settings.disks.is_some_and(|server| server.port() > 0));
        let none = parse(&["--host-name", "h1", "--disks-port", "0"]).expect("valid").settings(1);
        assert!(none.expect("valid").disks.is_none());
        assert!(options.certificates().expect("none").is_none());
    }

    #[test]
    fn errors_name_the_option() {
        let message = |arguments: &[&str]| parse(arguments).expect_err("refused").to_string();
        assert!(message(&["--cpu-allocation-ratio", "0"]).contains("--cpu-allocation-ratio"));
        assert!(message(&["--ram-allocation-ratio", "nan"]).contains("a ratio must be above 0"));
        assert!(message(&["--pci-device", "8086"]).contains("expected VENDOR:PRODUCT, such as 8086:1572"));
        assert!(message(&["--cert", "c.pem"]).contains("--key"));
        assert!(message(&["--host-uuid", "7"]).contains("--host-uuid"));
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("bound").port().to_string();
        let refused = parse(&["--host-name", "h", "--disks-port", &port]).expect("parsed").settings(1);
        let refused = format!("{:#}", refused.expect_err("it is in use"));
        assert!(refused.starts_with("--disks-port: 127.0.0.1:"), "{refused}");
        for (name, why) in [("a b", "' '"), ("fe80::1", "':'"), ("", "empty"), (&"x".repeat(201), "201")] {
            let refused = parse(&["--host-name", name]).expect("parsed").settings(1).expect_err("refused");
            let refused = refused.to_string();
            assert!(refused.starts_with("--host-name") && refused.contains(why), "{refused}");
        }
        let absent = parse(&["--ca", "/none", "--cert", "/none", "--key", "/none"]).expect("parsed");
        let absent = absent.certificates().expect_err("refused");
        assert!(format!("{absent:#}").starts_with("--ca: /none: cannot be read"), "{absent:#}");
    }
}
