//! A state in etcd, from the settings that name it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use berth_etcd::{EtcdCredentials, EtcdLocation, EtcdOptions, EtcdTls};
use berth_process::bounded_file;
use berth_store::EtcdStoreOptions;

use crate::config::{EtcdTable, ServeSettings};

/// The state of `serve.store`, if that is set.
///
/// # Errors
/// A file cannot be read, or a setting is missing beside another one.
pub(crate) fn store(settings: &ServeSettings) -> Result<Option<EtcdStoreOptions>> {
    settings.store.as_ref().map(|location| options("serve.store", location, &settings.etcd)).transpose()
}

/// The state at a location.
pub(crate) fn options(named: &str, location: &str, table: &EtcdTable) -> Result<EtcdStoreOptions> {
    let location: EtcdLocation = location.parse().with_context(|| named.to_owned())?;
    let (tls, credentials) = (tls(&location, table)?, credentials(table)?);
    let etcd = EtcdOptions { tls, credentials, ..EtcdOptions::of(&location) };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").context("cannot read the host's name")?;
    let name = format!("{} (process {})", host.trim(), std::process::id());
    let options = EtcdStoreOptions::new(etcd, &location.prefix, &name);
    Ok(EtcdStoreOptions { compacts: table.compact, ..options })
}

fn read(setting: &str, file: &Path) -> Result<String> {
    bounded_file::read_to_string(file, bounded_file::SETTINGS)
        .with_context(|| format!("serve.etcd.{setting}: cannot read {}", file.display()))
}

fn tls(location: &EtcdLocation, table: &EtcdTable) -> Result<Option<EtcdTls>> {
    let certificates = [&table.ca_file, &table.certificate, &table.key];
    if !location.is_tls {
        if certificates.iter().any(|file| file.is_some()) {
            bail!(
                "serve.store: certificates are set in serve.etcd, and etcd:// does not use TLS; write etcds://"
            );
        }
        return Ok(None);
    }
    let ca_file = table.ca_file.as_ref().context("serve.etcd.ca_file: is needed with etcds://")?;
    let identity = match (&table.certificate, &table.key) {
        (Some(certificate), Some(key)) => Some((read("certificate", certificate)?, read("key", key)?)),
        (None, None) => None,
        (Some(_), None) => bail!("serve.etcd.key: is needed with serve.etcd.certificate"),
        (None, Some(_)) => bail!("serve.etcd.certificate: is needed with serve.etcd.key"),
    };
    Ok(Some(EtcdTls { authorities: read("ca_file", ca_file)?, identity }))
}

fn credentials(table: &EtcdTable) -> Result<Option<EtcdCredentials>> {
    match (&table.user, &table.password_file) {
        (Some(user), Some(file)) => {
            let password = read("password_file", file)?.trim_end_matches(['\r', '\n']).to_owned();
            Ok(Some(EtcdCredentials { user: user.clone(), password }))
        }
        (None, None) => Ok(None),
        (Some(_), None) => bail!("serve.etcd.password_file: is needed with serve.etcd.user"),
        (None, Some(_)) => bail!("serve.etcd.user: is needed with serve.etcd.password_file"),
    }
}
