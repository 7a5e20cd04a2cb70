//! The certificates of `berth serve`.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use berth_process::bounded_file;
use berth_server::{BindError, InvalidTls, Tls};

use crate::config::TlsTable;

/// The certificates of the files that are given; nothing if none is.
pub(super) fn read(table: &TlsTable) -> Result<Option<Tls>> {
    let files = [("certificate", &table.certificate), ("key", &table.key), ("client_ca", &table.client_ca)];
    let beside = [("client_crl", &table.client_crl)];
    let given = files.iter().chain(&beside).find(|(_, file)| file.is_some());
    let Some((given, _)) = given else { return Ok(None) };
    let read = |(setting, file): (&str, &Option<PathBuf>)| {
        let file = file.as_ref();
        let file = file.with_context(|| format!("serve.tls.{setting}: is needed with serve.tls.{given}"))?;
        bounded_file::read(file, bounded_file::SETTINGS)
            .with_context(|| format!("serve.tls.{setting}: cannot read {}", file.display()))
    };
    let [certificate, key, client_ca] = files;
    let (certificate, key, client_ca) = (read(certificate)?, read(key)?, read(client_ca)?);
    let tls = Tls::new(&certificate, &key, &client_ca).and_then(|tls| match &table.client_crl {
        Some(file) => tls.with_revocations(file),
        None => Ok(tls),
    });
    tls.map(Some).map_err(|error| invalid(&error, table))
}

/// Why there is no gRPC, with the setting to look at.
pub(super) fn advised(error: BindError) -> anyhow::Error {
    match error {
        BindError::Open(_) => anyhow!(
            "serve.grpc_listen: {error}, so it needs certificates: serve.tls.certificate, serve.tls.key and serve.tls.client_ca"
        ),
        BindError::Listen(..) => anyhow::Error::new(error).context("serve.grpc_listen"),
    }
}

fn invalid(error: &InvalidTls, table: &TlsTable) -> anyhow::Error {
    let (setting, file) = match error {
        InvalidTls::Certificate(_) => ("certificate", &table.certificate),
        InvalidTls::Key(_) | InvalidTls::Mismatch(_) => ("key", &table.key),
        InvalidTls::ClientCa(_) => ("client_ca", &table.client_ca),
        InvalidTls::ClientCrl(_) => ("client_crl", &table.client_crl),
    };
    let file = file.as_deref().unwrap_or_else(|| "".as_ref());
    anyhow!("serve.tls.{setting}: {}: {error}", file.display())
}
