//! SSH key pairs: public keys that new instances get by their config drives.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use berth_placement::Timestamp;
use sha2::{Digest, Sha256};

use crate::Fleet;
use crate::error::{FleetError, QUOTA_EXCEEDED, check_name, check_project};

/// The most bytes of a public key: Nova stores as many.
const MAX_PUBLIC_KEY: usize = 16 * 1024;

/// The public half of an SSH key pair. It belongs to a project: Berth knows no users but those that
/// requests name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyPair {
    /// Its name, unique in the project.
    pub name: String,
    /// The project.
    pub project: String,
    /// The public key, as OpenSSH writes it.
    pub public_key: String,
    /// When it was created.
    pub created_at: Timestamp,
}

impl KeyPair {
    /// The digest of the public key, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(key_bytes(&self.public_key).unwrap_or_default());
        format!("SHA256:{}", STANDARD_NO_PAD.encode(digest))
    }

    fn check(&self) -> Result<(), FleetError> {
        check_name("name", &self.name, 255)?;
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || " @._-".contains(c);
        if !self.name.chars().all(is_allowed) {
            return Err(FleetError::field("name", "may have letters, digits, spaces and `@._-` only"));
        }
        check_project(&self.project)?;
        check_public_key(&self.public_key)
    }
}

/// Checks a line of OpenSSH's `authorized_keys` without options.
fn check_public_key(line: &str) -> Result<(), FleetError> {
    let bad = |problem: &str| Err(FleetError::field("public_key", problem));
    if line.len() > MAX_PUBLIC_KEY {
        return bad("has more than 16384 bytes");
    }
    if line.contains("PRIVATE KEY") {
        return bad("is a private key; give the public one, which is in the file with the suffix .pub");
    }
    if line.chars().any(char::is_control) {
        return bad("has control characters; it has to be one line");
    }
    match key_bytes(line) {
        Some(_) => Ok(()),
        None => bad("is no public key of OpenSSH, such as `ssh-ed25519 AAAA… comment`"),
    }
}

/// The key of a line `TYPE BASE64 [COMMENT]`. It begins with the length of the type in four bytes
/// and the type again (RFC 4253, 6.6).
fn key_bytes(line: &str) -> Option<Vec<u8>> {
    let mut words = line.split_ascii_whitespace();
    let (kind, encoded) = (words.next()?, words.next()?);
    let bytes = STANDARD.decode(encoded).ok()?;
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let is_whole = rest.len() > length && rest.starts_with(kind.as_bytes()) && kind.len() == length;
    is_whole.then_some(bytes)
}

impl Fleet {
    /// The key pairs of a project, or all for an empty name, by project and name.
    #[must_use]
    pub fn key_pairs(&self, project: &str) -> Vec<KeyPair> {
        let of_project = |pair: &&KeyPair| project.is_empty() || pair.project == project;
        self.state.key_pairs.values().filter(of_project).cloned().collect()
    }

    /// The key pair of a project with this name.
    ///
    /// # Errors
    /// The project has no such key pair.
    pub fn key_pair(&self, project: &str, name: &str) -> Result<&KeyPair, FleetError> {
        self.state.key_pair(project, name).ok_or_else(|| FleetError::not_found("key pair", name))
    }

    /// Adds a key pair.
    ///
    /// # Errors
    /// An invalid field, a name that the project has, or an exhausted quota.
    pub fn create_key_pair(&mut self, pair: KeyPair) -> Result<KeyPair, FleetError> {
        let pair = KeyPair { public_key: pair.public_key.trim().to_owned(), ..pair };
        pair.check()?;
        if self.state.key_pair(&pair.project, &pair.name).is_some() {
            return Err(FleetError::exists("key pair", pair.name));
        }
        let limit = self.state.quota(&pair.project).and_then(|quota| quota.key_pairs);
        let used = self.state.count_key_pairs(&pair.project);
        if let Some(limit) = limit.filter(|&limit| used >= limit) {
            let message = format!(
                "project {:?} may have no more key pairs: its quota of key_pairs is {limit}",
                pair.project
            );
            return Err(FleetError::exhausted(QUOTA_EXCEEDED, message));
        }
        self.state.put_key_pair(pair.clone());
        Ok(pair)
    }

    /// Removes a key pair. Instances keep their copies.
    ///
    /// # Errors
    /// The project has no such key pair.
    pub fn delete_key_pair(&mut self, project: &str, name: &str) -> Result<(), FleetError> {
        self.key_pair(project, name)?;
        self.state.remove_key_pair(project, name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ssh-keygen -t ed25519`, and what `ssh-keygen -lf` prints of it.
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMS4MkM8ey8Jq6s/q/aWtueCGwu+2X5ZP1Jf00hEtKYj me@laptop";
    const FINGERPRINT: &str = "SHA256:yEBj1zHa7slxlCnFCloO/FpG9Q920DlbbrWo27iVnIg";

    fn key_pair(name: &str, public_key: &str) -> KeyPair {
        KeyPair {
            name: name.to_owned(),
            project: "p".to_owned(),
            public_key: public_key.to_owned(),
            ..KeyPair::default()
        }
    }

    #[test]
    fn the_fingerprint_is_that_of_openssh() {
        let pair = key_pair("laptop", KEY);
        pair.check().unwrap();
        assert_eq!(pair.fingerprint(), FINGERPRINT);
        let without_comment = KEY.rsplit_once(' ').unwrap().0;
        assert_eq!(key_pair("laptop", without_comment).fingerprint(), FINGERPRINT);
    }

    #[test]
    fn bad_keys_and_names_are_refused() {
        let (kind, rest) = KEY.split_once(' ').unwrap();
        let bad = [
            String::new(),
            kind.to_owned(),
            format!("ssh-rsa {rest}"),
            format!("{kind} AAAA"),
            format!("{kind} {}", &rest[1..]),
            format!("command=\"sh\" {KEY}"),
            format!("{KEY}\n{KEY}"),
            "-----BEGIN OPENSSH PRIVATE KEY-----".to_owned(),
            format!("{KEY}{}", "x".repeat(MAX_PUBLIC_KEY)),
        ];
        for key in bad {
            let refused = key_pair("laptop", &key).check().unwrap_err().to_string();
            assert!(refused.starts_with("public_key: "), "{key}: {refused}");
        }
        for name in ["", "a/b", "a\nb", "grün", &"x".repeat(256)] {
            let refused = key_pair(name, KEY).check().unwrap_err().to_string();
            assert!(refused.starts_with("name: "), "{name}: {refused}");
        }
        key_pair("me@laptop.example 2_-", KEY).check().unwrap();
    }
}
