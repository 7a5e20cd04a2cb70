//! Whether certificates are valid, and for how long.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use berth_process::bounded_file;
use x509_parser::pem::Pem;

use super::Check;
use crate::config::TlsTable;

const DAY: i64 = 86_400;

/// Certificates that end so soon deserve a warning, in days.
const SOON: i64 = 14;

/// One check for each file.
pub(super) fn checks(table: &TlsTable) -> Vec<Check> {
    let files = [("certificate", &table.certificate), ("client_ca_certificate", &table.client_ca)];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs().cast_signed());
    files.into_iter().filter_map(|(name, file)| Some(check(name, file.as_deref()?, now))).collect()
}

fn check(name: &'static str, file: &Path, now: i64) -> Check {
    let shown = file.display();
    let spans = match validity(file) {
        Ok(spans) if spans.is_empty() => return Check::failed(name, format!("{shown}: has no certificate")),
        Ok(spans) => spans,
        Err(problem) => return Check::failed(name, format!("{shown}: {problem}")),
    };
    let (starts, ends) = (
        spans.iter().map(|span| span.0).max().unwrap_or_default(),
        spans.iter().map(|span| span.1).min().unwrap_or_default(),
    );
    let days = (ends - now).div_euclid(DAY);
    match days {
        _ if starts > now => Check::failed(name, format!("{shown}: is not valid yet; is the clock right?")),
        ..0 => Check::failed(name, format!("{shown}: has expired {} days ago", -days)),
        0..SOON => Check::warning(name, format!("{shown}: expires within {} days", days + 1)),
        _ => Check::ok(name, format!("{shown}: valid for {days} days")),
    }
}

/// From when until when each certificate in the file is valid, in seconds since 1970.
fn validity(file: &Path) -> Result<Vec<(i64, i64)>, String> {
    let pem = bounded_file::read(file, bounded_file::SETTINGS).map_err(|error| error.to_string())?;
    Pem::iter_from_buffer(&pem)
        .map(|item| {
            let item = item.map_err(|error| error.to_string())?;
            let certificate = item.parse_x509().map_err(|error| error.to_string())?;
            let validity = certificate.validity();
            Ok((validity.not_before.timestamp(), validity.not_after.timestamp()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::super::CheckState;
    use super::*;

    #[test]
    fn certificates_end() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cert.pem");
        let mut params = CertificateParams::new(vec!["host".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 3, 1));
        let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        std::fs::write(&file, pem).unwrap();
        let at = |year, month, day| {
            let found = check("certificate", &file, date_time_ymd(year, month, day).unix_timestamp());
            (found.state, found.detail)
        };
        assert_eq!(at(2026, 1, 30).0, CheckState::Ok);
        let (state, detail) = at(2026, 2, 25);
        assert_eq!(state, CheckState::Warning, "{detail}");
        assert!(detail.ends_with("expires within 5 days"), "{detail}");
        let (state, detail) = at(2026, 3, 5);
        assert!(state == CheckState::Failed && detail.ends_with("has expired 4 days ago"), "{detail}");
        let (state, detail) = at(2025, 12, 31);
        assert!(state == CheckState::Failed && detail.contains("not valid yet"), "{detail}");
        std::fs::write(&file, "rubbish").unwrap();
        assert_eq!(at(2026, 1, 30).0, CheckState::Failed);
    }
}
