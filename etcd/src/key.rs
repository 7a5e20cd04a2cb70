//! Keys and their values.

use bytes::Bytes;

use crate::proto;

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The revision of etcd at which the key came into being.
    pub created_at: i64,
    /// The revision of etcd that wrote the value.
    pub modified_at: i64,
}

impl From<proto::KeyValue> for KeyEntry {
    fn from(stored: proto::KeyValue) -> Self {
        let proto::KeyValue { key, value, create_revision, mod_revision, .. } = stored;
        Self { key, value, created_at: create_revision, modified_at: mod_revision }
    }
}

/// The keys from `begin` on, before `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key.
    pub begin: Bytes,
    /// The first key after the range. Empty for a range of the one key `begin`.
    pub end: Bytes,
}

impl KeyRange {
    /// All keys that begin with the prefix.
    ///
    /// # Panics
    /// If the prefix is empty or has no byte other than 255: all keys of a cluster are never meant.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        let last = prefix.iter().rposition(|&byte| byte < u8::MAX).expect("a prefix has an end");
        let mut end = prefix[..=last].to_vec();
        end[last] += 1;
        Self { begin: Bytes::copy_from_slice(prefix), end: end.into() }
    }

    /// One key.
    #[must_use]
    pub fn key(key: impl Into<Bytes>) -> Self {
        Self { begin: key.into(), end: Bytes::new() }
    }

    /// The keys from `begin` on, before `end`. Neither is empty.
    #[must_use]
    pub fn between(begin: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self { begin: begin.into(), end: end.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_its_neighbours() {
        let range = KeyRange::prefix(b"berth/a/");
        assert_eq!(&range.end[..], b"berth/a0");
        assert!(b"berth/ab/"[..] >= range.end[..]);
        assert_eq!(&KeyRange::prefix(b"a\xff").end[..], b"b");
    }
}
