//! Revoked certificates: a list in a file, which is read again when it changes.
//!
//! Every call is checked, and streams of a certificate that is revoked end. So it takes seconds
//! from a new list until its certificates are of no use, whether their owners are connected or not.
//! A changed file that cannot be used is reported, and the list that was read before stays in
//! force.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use berth_process::certificates::{self, CertificateProblem};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::sync::watch;

/// How often to look whether the file has changed.
const LOOK: Duration = Duration::from_secs(1);

/// Certificates whose standing is remembered.
const REMEMBERED: usize = 20_000;

/// The revoked certificates of the clients' authorities.
#[derive(Debug)]
pub(super) struct Revocations {
    path: PathBuf,
    authorities: Vec<CertificateDer<'static>>,
    list: Mutex<List>,
    /// Counts the lists that were read.
    version: watch::Sender<u64>,
}

/// The list that is in force.
#[derive(Debug)]
struct List {
    verifier: Arc<dyn ClientCertVerifier>,
    file: Option<Stamp>,
    /// By certificate, whether it is valid.
    standing: BTreeMap<Arc<str>, bool>,
}

/// What changes with a file.
type Stamp = (SystemTime, u64, u64);

impl Revocations {
    /// Reads the list in a file.
    pub(super) fn read(
        path: &Path,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Result<Arc<Self>, CertificateProblem> {
        let (verifier, file) = (verifier(path, &authorities)?, stamp(path));
        let list = Mutex::new(List { verifier, file, standing: BTreeMap::new() });
        Ok(Arc::new(Self { path: path.to_owned(), authorities, list, version: watch::Sender::new(0) }))
    }

    /// Reads the file again whenever it changes, for ever.
    pub(super) async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let own = Arc::clone(&self);
            if tokio::task::spawn_blocking(move || own.look()).await.is_err() {
                return; // the service ends
            }
        }
    }

    fn look(&self) {
        let now = stamp(&self.path);
        if now == self.lock().file {
            return;
        }
        let read = verifier(&self.path, &self.authorities);
        let mut list = self.lock();
        list.file = now;
        match read {
            Ok(verifier) => {
                (list.verifier, list.standing) = (verifier, BTreeMap::new());
                drop(list);
                self.version.send_modify(|version| *version += 1);
                tracing::info!(path = %self.path.display(), "read the list of revoked certificates");
            }
            Err(problem) => {
                let path = self.path.display();
                tracing::error!(%path, %problem, "the list of revoked certificates cannot be used; the previous list stays in force");
            }
        }
    }

    /// Whether a client's certificate is valid and not revoked; `key` identifies it.
    pub(super) fn admits(&self, key: &Arc<str>, chain: &[CertificateDer<'_>]) -> bool {
        let mut list = self.lock();
        if let Some(&standing) = list.standing.get(key) {
            return standing;
        }
        let Some((own, issuers)) = chain.split_first() else { return false };
        let verified = list.verifier.verify_client_cert(own, issuers, UnixTime::now());
        if let Err(error) = &verified {
            tracing::warn!(certificate = &**key, %error, "a client's certificate is revoked or has expired");
        }
        if list.standing.len() >= REMEMBERED {
            list.standing.clear();
        }
        list.standing.insert(Arc::clone(key), verified.is_ok());
        verified.is_ok()
    }

    /// Done when the certificate is revoked.
    pub(super) async fn revoked(self: Arc<Self>, key: Arc<str>, chain: Arc<Vec<CertificateDer<'static>>>) {
        let mut version = self.version.subscribe();
        while self.admits(&key, &chain) {
            if version.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len(), file.ino()))
}

/// What checks certificates against the list in a file. Authorities without a list have revoked
/// nothing.
fn verifier(
    path: &Path,
    authorities: &[CertificateDer<'static>],
) -> Result<Arc<dyn ClientCertVerifier>, CertificateProblem> {
    let lists = certificates::read_revocations(path)?;
    let mut roots = RootCertStore::empty();
    authorities.iter().for_each(|authority| drop(roots.add(authority.clone())));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(lists)
        .allow_unknown_revocation_status()
        .build()
        .map_err(|error| CertificateProblem::Damaged(error.to_string()))
}
