//! The list of revoked certificates.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use berth_process::bounded_file;
use berth_process::certificates::{chain, read_revocations};
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use webpki::{BorrowedCertRevocationList, EndEntityCert};

use super::Revoke;
use super::authority::{Authority, DAY};
use super::files::{self, Pair};
use crate::output;

/// The list, in the directory of the authority.
const LIST: &str = "crl.pem";

/// How long a list says that it is the latest. Nobody refuses an older one.
const NEXT: u32 = 30;

/// Adds a certificate to the list, which is created if it is missing.
pub(super) fn run(revoke: &Revoke) -> Result<()> {
    let list = revoke.dir.join(LIST);
    let mut revoked = if list.exists() { read(&list)? } else { Vec::new() };
    if !revoke.nothing {
        let named = || revoke.name.as_ref().map(|name| revoke.dir.join(format!("{name}.pem")));
        let file = revoke.certificate.clone().or_else(named).context("--name: is needed")?;
        let serial = serial(&file)?;
        if revoked.iter().any(|known| known.serial_number == serial) {
            bail!("{}: the certificate is revoked already", file.display());
        }
        revoked.push(RevokedCertParams {
            serial_number: serial,
            revocation_time: now(),
            reason_code: None,
            invalidity_date: None,
        });
    }
    let authority = Authority::read(&Pair::in_directory(&revoke.dir, "ca"))?;
    let count = revoked.len();
    files::replace(&list, &authority.revoke(revoked)?)?;
    output::print(&format!("{} lists {count} revoked certificates\n", list.display()))
}

impl Authority {
    /// The list of these certificates, in PEM.
    fn revoke(&self, revoked_certs: Vec<RevokedCertParams>) -> Result<String> {
        let number = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let params = CertificateRevocationListParams {
            this_update: now(),
            next_update: now() + DAY * NEXT,
            // Each list has a higher number than those before.
            crl_number: SerialNumber::from(u64::try_from(number).unwrap_or(u64::MAX)),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(self.issuer()).context("cannot sign the list")?;
        list.pem().context("cannot write the list as PEM")
    }
}

fn now() -> time::OffsetDateTime {
    SystemTime::now().into()
}

fn read(list: &Path) -> Result<Vec<RevokedCertParams>> {
    let named = || format!("{}", list.display());
    let mut revoked = Vec::new();
    for der in read_revocations(list).with_context(named)? {
        let known = BorrowedCertRevocationList::from_der(&der).map_err(|error| anyhow::anyhow!("{error}"));
        for one in &known.with_context(named)? {
            let one = one.map_err(|error| anyhow::anyhow!("{error}")).with_context(named)?;
            let at = std::time::Duration::from_secs(one.revocation_date.as_secs());
            revoked.push(RevokedCertParams {
                serial_number: SerialNumber::from_slice(one.serial_number),
                revocation_time: (UNIX_EPOCH + at).into(),
                reason_code: None,
                invalidity_date: None,
            });
        }
    }
    Ok(revoked)
}

fn serial(file: &Path) -> Result<SerialNumber> {
    let named = || format!("{}", file.display());
    let pem = bounded_file::read(file, bounded_file::SETTINGS).with_context(named)?;
    let chain = chain(&pem).with_context(named)?;
    let own =
        EndEntityCert::try_from(&chain[0]).map_err(|error| anyhow::anyhow!("{error}")).with_context(named)?;
    Ok(SerialNumber::from_slice(own.serial()))
}
