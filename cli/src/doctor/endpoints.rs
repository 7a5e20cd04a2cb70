//! Whether the service and Keystone answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use berth_process::{bounded_file, listener};
use berth_server::{Health, HealthCheck};
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::Check;
use crate::BUILD;
use crate::config::{KeystoneTable, ServeSettings};
use crate::health;

const PATIENCE: Duration = Duration::from_secs(5);

/// The Placement API: it answers, all parts work, and the process is of this version.
pub(super) fn placement(serve: &ServeSettings) -> Check {
    const NAME: &str = "placement_api";
    let url = format!("http://{}", own(serve.listen));
    match health::ask(&url) {
        Err(error) => {
            Check::failed(NAME, format!("{url}: {error:#}; `systemctl status berth` shows whether it runs"))
        }
        Ok(Health { is_ready: false, checks, .. }) => {
            let failed = checks.iter().filter(|check| !check.is_ok);
            let reasons = failed.map(|HealthCheck { name, reason, .. }| format!("{name}: {reason}"));
            Check::failed(NAME, reasons.collect::<Vec<_>>().join("\n"))
        }
        Ok(Health { version, commit, .. }) if (&*version, &*commit) != (BUILD.version, BUILD.commit) => {
            let detail = format!(
                "{url} is of version {version} (commit {commit}), this program of {} (commit {}): restart the service",
                BUILD.version, BUILD.commit
            );
            Check::warning(NAME, detail)
        }
        Ok(_) => Check::ok(NAME, format!("{url} answers")),
    }
}

/// The gRPC services: something listens, with TLS if there are certificates.
pub(super) fn grpc(serve: &ServeSettings) -> Check {
    const NAME: &str = "grpc";
    let address = own(serve.grpc_listen);
    if let Err(error) = TcpStream::connect_timeout(&address, PATIENCE) {
        return Check::failed(NAME, format!("{address}: {error}"));
    }
    let scheme = if serve.tls.certificate.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    match listener::grpc_advice(&url) {
        Some(advice) => Check::failed(NAME, format!("{url}: {advice}")),
        None => Check::ok(NAME, format!("{url} answers")),
    }
}

/// Keystone, and its clock.
pub(super) fn keystone(table: &KeystoneTable) -> (Check, Option<SystemTime>) {
    const NAME: &str = "keystone";
    let Some(url) = &table.auth_url else {
        return (Check::failed(NAME, "serve.keystone.auth_url is not set"), None);
    };
    match versions(url, table) {
        Ok((status, date)) if status < 500 => (Check::ok(NAME, format!("{url} answers")), date),
        Ok((status, date)) => (Check::failed(NAME, format!("{url}: status {status}")), date),
        Err(error) => (Check::failed(NAME, format!("{url}: {error:#}")), None),
    }
}

/// The status of the list of versions, which needs no token, and the time of the answer.
fn versions(url: &str, table: &KeystoneTable) -> Result<(u16, Option<SystemTime>)> {
    let roots = match &table.ca_file {
        None => RootCerts::WebPki,
        Some(file) => {
            let pem = bounded_file::read(file, bounded_file::SETTINGS).context("serve.keystone.ca_file")?;
            let certificates = parse_pem(&pem).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            certificates.collect::<Vec<_>>().into()
        }
    };
    let tls = TlsConfig::builder().root_certs(roots).build();
    let config = Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .proxy(None)
        .tls_config(tls);
    let response = Agent::from(config.build()).get(url).call()?;
    let date = response.headers().get("date").and_then(|date| date.to_str().ok());
    Ok((response.status().as_u16(), date.and_then(|date| httpdate::parse_http_date(date).ok())))
}

/// The address at which this machine reaches its own service.
fn own(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (ip, address.port()).into()
}
