//! Certificates and keys in PEM files, with errors that say what is wrong with which file.

pub mod peer;

use std::io;
use std::path::{Path, PathBuf};

use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use webpki::{EndEntityCert, OwnedCertRevocationList, anchor_from_trusted_cert};

use crate::bounded_file;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct Unusable {
    /// The file.
    pub path: PathBuf,
    /// The problem.
    pub problem: CertificateProblem,
}

/// The problem of a certificate or key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateProblem {
    /// The operating system cannot read the file.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It begins with a byte order mark, after which no PEM is found.
    #[error("begins with a byte order mark; save it as plain text without one")]
    ByteOrderMark,
    /// It is in UTF-16.
    #[error("is UTF-16; save it as plain text in ASCII or UTF-8")]
    Utf16,
    /// It is binary.
    #[error(
        "is binary (DER or PKCS #12), not PEM; `openssl x509 -inform der`, `openssl pkey -inform der` or \
         `openssl pkcs12` converts it"
    )]
    Der,
    /// There is no `-----BEGIN` in it.
    #[error("is not PEM: there is no line -----BEGIN {expected}-----")]
    NotPem {
        /// The name that such a line would have.
        expected: &'static str,
    },
    /// PEM of something else.
    #[error("holds no {expected}, but this: {found}")]
    Other {
        /// The expected content.
        expected: &'static str,
        /// The actual content, as PEM names it.
        found: String,
    },
    /// The key is encrypted.
    #[error("the key is encrypted; `openssl pkey -in FILE -out FILE` decrypts it")]
    Encrypted,
    /// The PEM is damaged.
    #[error("is damaged PEM: {0}")]
    Damaged(String),
    /// The content of the PEM is not a certificate.
    #[error("certificate {number} in it cannot be read: {reason}")]
    NoCertificate {
        /// Its place, from 1.
        number: usize,
        /// Why.
        reason: String,
    },
    /// The content of the PEM is not a list of revoked certificates.
    #[error("list {number} of revoked certificates in it cannot be read: {reason}")]
    NoRevocations {
        /// Its place, from 1.
        number: usize,
        /// Why.
        reason: String,
    },
    /// The key cannot be used.
    #[error("the key cannot be used: {0}")]
    Key(String),
    /// Key and certificate are of different pairs.
    #[error("the key does not belong to the first certificate in {}", certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
    },
}

/// A certificate with those that lead to its authority, and its key, in PEM.
#[derive(Clone)]
pub struct CertificateAndKey {
    /// The certificate, then its issuers.
    pub certificate: Vec<u8>,
    /// The key.
    pub key: Vec<u8>,
}

impl CertificateAndKey {
    /// Reads the files and checks that they can be used together.
    ///
    /// # Errors
    /// The file, and its problem.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, Unusable> {
        let chain = read(certificate)?;
        let found = self::chain(&chain).map_err(|problem| unusable(certificate, problem))?;
        let secret = read(key)?;
        let fail = |problem| unusable(key, problem);
        let private = private_key(&secret).map_err(fail)?;
        if !belongs_to(&private, found).map_err(fail)? {
            return Err(fail(CertificateProblem::Mismatch { certificate: certificate.to_owned() }));
        }
        Ok(Self { certificate: chain, key: secret })
    }

    /// Whether the issuer of the certificate is neither in its file nor among `authorities`, so
    /// that others can only verify it when they know the issuer.
    #[must_use]
    pub(crate) fn lacks_issuer(&self, authorities: &[u8]) -> bool {
        let (Ok(chain), Ok(known)) = (chain(&self.certificate), self::authorities(authorities)) else {
            return false;
        };
        let subjects: Vec<_> = chain[1..].iter().chain(&known).filter_map(|one| names(one)).collect();
        let issuer = names(&chain[0]).map(|(_, issuer)| issuer);
        issuer.is_some_and(|issuer| subjects.iter().all(|(subject, _)| *subject != issuer))
    }
}

/// Subject and issuer.
fn names(certificate: &CertificateDer<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    Some((certificate.subject().to_vec(), certificate.issuer().to_vec()))
}

/// Reads a file with certificates of authorities; the PEM is returned as it is.
///
/// # Errors
/// The problem of the file.
pub fn read_authorities(path: &Path) -> Result<Vec<u8>, Unusable> {
    let pem = read(path)?;
    authorities(&pem).map_err(|problem| unusable(path, problem))?;
    Ok(pem)
}

/// Reads a file with lists of revoked certificates, in PEM; at least one.
///
/// # Errors
/// The problem of the file.
pub fn read_revocations(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, CertificateProblem> {
    const EXPECTED: &str = "X509 CRL";
    let pem = bounded_file::read(path, bounded_file::DOCUMENT).map_err(CertificateProblem::Read)?;
    let labels = labels(&pem, EXPECTED)?;
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| CertificateProblem::Damaged(error.to_string()))?;
    if found.is_empty() {
        return Err(CertificateProblem::Other { expected: EXPECTED, found: labels.join(", ") });
    }
    for (list, number) in found.iter().zip(1..) {
        OwnedCertRevocationList::from_der(list)
            .map_err(|error| CertificateProblem::NoRevocations { number, reason: error.to_string() })?;
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, Unusable> {
    bounded_file::read(path, bounded_file::SETTINGS)
        .map_err(|error| unusable(path, CertificateProblem::Read(error)))
}

fn unusable(path: &Path, problem: CertificateProblem) -> Unusable {
    Unusable { path: path.to_owned(), problem }
}

/// The certificates of authorities in PEM; at least one.
///
/// # Errors
/// The problem.
pub fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateProblem> {
    certificates(pem, |certificate| anchor_from_trusted_cert(certificate).map(drop))
}

/// A certificate and its issuers in PEM; at least the certificate.
///
/// # Errors
/// The problem.
pub fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateProblem> {
    certificates(pem, |certificate| EndEntityCert::try_from(certificate).map(drop))
}

fn certificates(
    pem: &[u8],
    check: impl Fn(&CertificateDer<'_>) -> Result<(), webpki::Error>,
) -> Result<Vec<CertificateDer<'static>>, CertificateProblem> {
    const EXPECTED: &str = "CERTIFICATE";
    let labels = labels(pem, EXPECTED)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| CertificateProblem::Damaged(error.to_string()))?;
    if found.is_empty() {
        return Err(CertificateProblem::Other { expected: EXPECTED, found: labels.join(", ") });
    }
    for (certificate, number) in found.iter().zip(1..) {
        check(certificate)
            .map_err(|error| CertificateProblem::NoCertificate { number, reason: error.to_string() })?;
    }
    Ok(found)
}

/// The first private key in PEM.
///
/// # Errors
/// The problem.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateProblem> {
    const EXPECTED: &str = "PRIVATE KEY";
    let labels = labels(pem, EXPECTED)?;
    let found = PrivateKeyDer::pem_slice_iter(pem).next();
    let is_encrypted = labels.iter().any(|label| label == "ENCRYPTED PRIVATE KEY")
        || pem.windows(b"Proc-Type: 4,ENCRYPTED".len()).any(|part| part == b"Proc-Type: 4,ENCRYPTED");
    match found {
        _ if is_encrypted => Err(CertificateProblem::Encrypted),
        Some(Ok(key)) => Ok(key),
        Some(Err(error)) => Err(CertificateProblem::Damaged(error.to_string())),
        None => Err(CertificateProblem::Other { expected: EXPECTED, found: labels.join(", ") }),
    }
}

/// Whether a key is that of the first certificate.
///
/// # Errors
/// The key is of no kind that can be used.
pub(crate) fn belongs_to(
    key: &PrivateKeyDer<'_>,
    chain: Vec<CertificateDer<'static>>,
) -> Result<bool, CertificateProblem> {
    let key = any_supported_type(key).map_err(|error| CertificateProblem::Key(error.to_string()))?;
    // A key that does not show its public half is believed: the peer finds out.
    Ok(!matches!(
        CertifiedKey::new(chain, key).keys_match(),
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch))
    ))
}

/// The labels of the parts of a PEM file; at least one.
fn labels(pem: &[u8], expected: &'static str) -> Result<Vec<String>, CertificateProblem> {
    let text = String::from_utf8_lossy(pem);
    let begins =
        text.lines().filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
    let labels: Vec<_> = begins.map(ToOwned::to_owned).collect();
    match pem {
        _ if pem.trim_ascii().is_empty() => Err(CertificateProblem::Empty),
        [0xef, 0xbb, 0xbf, ..] => Err(CertificateProblem::ByteOrderMark),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(CertificateProblem::Utf16),
        _ if !labels.is_empty() => Ok(labels),
        [0x30, ..] if text.contains('\u{fffd}') => Err(CertificateProblem::Der),
        _ => Err(CertificateProblem::NotPem { expected }),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    struct Made {
        certificate: String,
        key: String,
        der: Vec<u8>,
    }

    fn authority(name: &str, by: Option<&Made>) -> Made {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        made(&params, by)
    }

    fn made(params: &CertificateParams, by: Option<&Made>) -> Made {
        let key = KeyPair::generate().unwrap();
        let certificate = match by {
            None => params.self_signed(&key).unwrap(),
            Some(by) => {
                let issuer = Issuer::from_ca_cert_pem(&by.certificate, KeyPair::from_pem(&by.key).unwrap());
                params.signed_by(&key, &issuer.unwrap()).unwrap()
            }
        };
        Made { certificate: certificate.pem(), key: key.serialize_pem(), der: certificate.der().to_vec() }
    }

    /// All of these were "UnknownIssuer … check that serve runs".
    #[test]
    fn what_is_wrong_with_a_file_of_authorities_is_said() {
        let ca = authority("ca", None);
        let pem = ca.certificate.as_bytes();
        assert_eq!(authorities(pem).unwrap().len(), 1);
        assert_eq!(authorities(&[b"comment\n", pem, pem].concat()).unwrap().len(), 2);
        assert_eq!(authorities(ca.certificate.replace('\n', "\r\n").as_bytes()).unwrap().len(), 1);
        let utf16: Vec<u8> =
            [0xfeff].into_iter().chain(ca.certificate.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let cut = &pem[..pem.len() / 2];
        for (bytes, words) in [
            (b"".to_vec(), "is empty"),
            (b" \n\n".to_vec(), "is empty"),
            (ca.der.clone(), "is binary (DER"),
            ([b"\xef\xbb\xbf", pem].concat(), "begins with a byte order mark"),
            (utf16, "is UTF-16"),
            (b"hello\n".to_vec(), "there is no line -----BEGIN CERTIFICATE-----"),
            (b"0123".to_vec(), "there is no line -----BEGIN CERTIFICATE-----"),
            (ca.key.clone().into_bytes(), "holds no CERTIFICATE, but this: PRIVATE KEY"),
            (cut.to_vec(), "is damaged PEM"),
            (b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n".to_vec(), "is damaged PEM"),
            (
                b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(),
                "certificate 1 in it cannot be read",
            ),
            (
                b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n".to_vec(),
                "but this: CERTIFICATE REQUEST",
            ),
        ] {
            let problem = authorities(&bytes).expect_err(words).to_string();
            assert!(problem.contains(words), "{problem}: {words}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_key_is_said() {
        let ca = authority("ca", None);
        assert!(private_key(ca.key.as_bytes()).is_ok());
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for (text, words) in [
            ("", "is empty"),
            (ca.certificate.as_str(), "holds no PRIVATE KEY, but this: CERTIFICATE"),
            (encrypted, "the key is encrypted"),
            ("key", "there is no line -----BEGIN PRIVATE KEY-----"),
        ] {
            let problem = private_key(text.as_bytes()).expect_err(words).to_string();
            assert!(problem.contains(words), "{problem}: {words}");
        }
    }

    #[test]
    fn a_key_belongs_to_one_certificate() {
        let (one, other) = (authority("one", None), authority("other", None));
        let key = private_key(one.key.as_bytes()).unwrap();
        assert!(belongs_to(&key, chain(one.certificate.as_bytes()).unwrap()).unwrap());
        assert!(!belongs_to(&key, chain(other.certificate.as_bytes()).unwrap()).unwrap());
    }

    #[test]
    fn an_issuer_that_is_missing_is_noticed() {
        let root = authority("root", None);
        let between = authority("between", Some(&root));
        let leaf = made(&CertificateParams::default(), Some(&between));
        let identity = |pem: String| CertificateAndKey { certificate: pem.into_bytes(), key: Vec::new() };
        let alone = identity(leaf.certificate.clone());
        assert!(alone.lacks_issuer(root.certificate.as_bytes()));
        assert!(!alone.lacks_issuer(between.certificate.as_bytes()));
        assert!(!identity(leaf.certificate + &between.certificate).lacks_issuer(root.certificate.as_bytes()));
    }
}
