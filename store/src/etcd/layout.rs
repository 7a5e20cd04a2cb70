//! Keys and values in etcd.
//!
//! docs/adr/0035-several-berths-over-etcd.md describes the layout. A value is a checksum, over the
//! key below the prefix and the message, followed by the message.

use berth_etcd::{KeyEntry, KeyRange};
use bytes::Bytes;
use prost::Message;

use super::EtcdStoreError;
use crate::record::FORMAT;
use crate::state_file::{hex, unhex};
use crate::store::Revision;

/// The version of the layout that this release reads and writes.
const LAYOUT: u32 = 1;

/// The length of the checksum before a message.
const HEAD: usize = 4;

/// The versions of what is stored.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Versions {
    #[prost(uint32, tag = "1")]
    pub(super) layout: u32,
    /// The format of the records.
    #[prost(uint32, tag = "2")]
    pub(super) records: u32,
    /// The release that wrote this; informational.
    #[prost(string, tag = "3")]
    pub(super) written_by: String,
}

/// The process that may commit.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WriterRecord {
    /// A name for operators.
    #[prost(string, tag = "1")]
    pub(super) name: String,
    /// The lease of the key: it distinguishes two attempts of one process.
    #[prost(int64, tag = "2")]
    pub(super) lease: i64,
}

/// A part of a batch.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Part {
    /// The create revision of the key of the writer that wrote it.
    #[prost(int64, tag = "1")]
    pub(super) fence: i64,
    /// Whether the batch is complete with this part.
    #[prost(bool, tag = "2")]
    pub(super) is_last: bool,
    #[prost(message, repeated, tag = "3")]
    pub(super) changes: Vec<Change>,
}

/// A record after a batch; without a value it is removed.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Change {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) value: Option<Vec<u8>>,
}

/// How far the log is contained in the runs.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Base {
    #[prost(uint64, tag = "1")]
    pub(super) revision: u64,
}

/// The records of a range of keys, in order.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Run {
    #[prost(message, repeated, tag = "1")]
    pub(super) records: Vec<RunRecord>,
}

/// A record of a run.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RunRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
    /// The batch that wrote it.
    #[prost(uint64, tag = "3")]
    pub(super) revision: u64,
}

impl Versions {
    /// The versions that this release writes.
    pub(super) fn current() -> Self {
        Self { layout: LAYOUT, records: FORMAT, written_by: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// Refuses a store of a later release.
    pub(super) fn check(&self) -> Result<(), EtcdStoreError> {
        let Self { layout, records, written_by } = self;
        if *layout > LAYOUT || *records > FORMAT {
            let (layout, records, by) = (*layout, *records, written_by.clone());
            return Err(EtcdStoreError::Later { layout, records, by });
        }
        Ok(())
    }
}

/// The keys below a prefix.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Ends with a slash.
    prefix: String,
}

impl Layout {
    pub(super) fn below(prefix: &str) -> Self {
        Self { prefix: format!("{prefix}/") }
    }

    pub(super) fn versions(&self) -> String {
        format!("{}format", self.prefix)
    }

    pub(super) fn writer(&self) -> String {
        format!("{}writer", self.prefix)
    }

    pub(super) fn base(&self) -> String {
        format!("{}base", self.prefix)
    }

    pub(super) fn part(&self, Revision(revision): Revision, part: u32) -> String {
        format!("{}log/{revision:016x}/{part:04x}", self.prefix)
    }

    /// The whole log.
    pub(super) fn log(&self) -> KeyRange {
        KeyRange::prefix(format!("{}log/", self.prefix).as_bytes())
    }

    /// The log up to and with a revision.
    pub(super) fn log_to(&self, Revision(revision): Revision) -> KeyRange {
        let begin = format!("{}log/", self.prefix);
        let end = format!("{begin}{:016x}/", revision + 1);
        KeyRange::between(begin, end)
    }

    /// The log after a revision.
    pub(super) fn log_after(&self, Revision(revision): Revision) -> KeyRange {
        let begin = format!("{}log/{:016x}/", self.prefix, revision + 1);
        KeyRange { begin: begin.into(), end: self.log().end }
    }

    /// The run that begins at this key of a record.
    pub(super) fn run(&self, first: &[u8]) -> String {
        format!("{}run/{}", self.prefix, hex(first))
    }

    pub(super) fn runs(&self) -> KeyRange {
        KeyRange::prefix(format!("{}run/", self.prefix).as_bytes())
    }

    /// The revision and the number of a part, by its key.
    pub(super) fn part_of(&self, key: &[u8]) -> Option<(Revision, u32)> {
        let rest = self.local(key)?.strip_prefix("log/")?;
        let (revision, part) = rest.split_once('/')?;
        let revision = u64::from_str_radix(revision, 16).ok()?;
        Some((Revision(revision), u32::from_str_radix(part, 16).ok()?))
    }

    /// The key of a record at which a run begins, by the key of the run.
    pub(super) fn first_of(&self, key: &[u8]) -> Option<Vec<u8>> {
        unhex(self.local(key)?.strip_prefix("run/")?)
    }

    fn local<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(key).ok()?.strip_prefix(&self.prefix)
    }

    /// The value for a key.
    pub(super) fn seal(&self, key: &str, message: &impl Message) -> Bytes {
        let mut value = vec![0; HEAD];
        message.encode(&mut value).expect("a vector grows");
        let sum = self.sum(key.as_bytes(), &value[HEAD..]);
        value[..HEAD].copy_from_slice(&sum);
        value.into()
    }

    /// The message in the value of a key.
    pub(super) fn unseal<M: Message + Default>(&self, entry: &KeyEntry) -> Result<M, EtcdStoreError> {
        let damaged = |what: &str| self.damaged(&entry.key, what);
        let (head, body) = entry.value.split_at_checked(HEAD).ok_or_else(|| damaged("it is cut off"))?;
        if head != self.sum(&entry.key, body) {
            return Err(damaged("its checksum is wrong"));
        }
        M::decode(body).map_err(|error| damaged(&format!("its value is not of the format: {error}")))
    }

    /// The checksum does not cover the prefix, so that keys can be copied below another one.
    fn sum(&self, key: &[u8], body: &[u8]) -> [u8; HEAD] {
        let local = key.strip_prefix(self.prefix.as_bytes()).unwrap_or(key);
        let mut sum = crc32fast::Hasher::new();
        [local, body].into_iter().for_each(|part| sum.update(part));
        sum.finalize().to_be_bytes()
    }

    pub(super) fn damaged(&self, key: &[u8], what: &str) -> EtcdStoreError {
        EtcdStoreError::Damaged { key: String::from_utf8_lossy(key).into_owned(), what: what.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_numbers() {
        let layout = Layout::below("a/b");
        let keys = [(9, 0xffff), (0x10, 0), (0x10, 1), (0x100, 0)];
        let keys = keys.map(|(revision, part)| layout.part(Revision(revision), part));
        assert!(keys.is_sorted(), "{keys:?}");
        assert_eq!(layout.part_of(keys[0].as_bytes()), Some((Revision(9), 0xffff)));
        assert_eq!(layout.part_of(b"a/bc/log/0/0"), None);
        let to = layout.log_to(Revision(0x10));
        let is_in = |key: &&String| key.as_bytes() >= &to.begin[..] && key.as_bytes() < &to.end[..];
        assert_eq!(keys.iter().filter(is_in).count(), 3);
        assert_eq!(layout.log_after(Revision(0x10)).begin, to.end);
        assert_eq!(layout.first_of(layout.run(b"j\0\xff").as_bytes()).as_deref(), Some(&b"j\0\xff"[..]));
        assert_eq!(layout.first_of(layout.run(b"").as_bytes()).as_deref(), Some(&b""[..]));
    }

    #[test]
    fn a_value_of_another_key_is_damage() {
        let layout = Layout::below("a");
        let value = layout.seal(&layout.base(), &Base { revision: 7 });
        let entry =
            |key: String| KeyEntry { key: key.into(), value: value.clone(), created_at: 1, modified_at: 1 };
        assert_eq!(layout.unseal::<Base>(&entry(layout.base())).unwrap().revision, 7);
        let moved = Layout::below("b");
        assert_eq!(moved.unseal::<Base>(&entry(moved.base())).unwrap().revision, 7);
        let error = layout.unseal::<Base>(&entry(layout.run(b""))).unwrap_err();
        assert_eq!(error.to_string(), "etcd's key a/run/ is damaged: its checksum is wrong");
    }

    #[test]
    fn later_versions_are_refused_by_name() {
        let later = Versions { layout: LAYOUT + 1, written_by: "9.0".to_owned(), ..Versions::current() };
        let error = later.check().unwrap_err().to_string();
        assert!(error.contains("layout 2") && error.contains("9.0"), "{error}");
        Versions::current().check().unwrap();
    }
}
