//! Pools of equal devices.

use rustc_hash::FxHasher;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

/// Free devices of a host that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(from = "PoolRecord")]
pub struct Pool {
    vendor_id: String,
    product_id: String,
    numa_node: Option<i64>,
    count: u32,
    #[serde(flatten)]
    tags: BTreeMap<String, Option<String>>,
    #[serde(skip)]
    traits: Traits,
}

/// The properties of a pool that requests match, computed once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Traits {
    /// Vendor, product and tags in lower case: specs are compared without regard to case.
    vendor_id: String,
    product_id: String,
    tags: Vec<(String, Option<String>)>,
    is_pf: bool,
    is_vdpa: bool,
    is_remote_managed: bool,
}

/// A pool as hosts report it.
#[derive(Deserialize)]
struct PoolRecord {
    vendor_id: String,
    product_id: String,
    #[serde(default)]
    numa_node: Option<i64>,
    count: u32,
    #[serde(flatten)]
    tags: BTreeMap<String, Option<String>>,
}

impl From<PoolRecord> for Pool {
    fn from(record: PoolRecord) -> Self {
        let PoolRecord { vendor_id, product_id, numa_node, count, tags } = record;
        let lower = |(key, value): (&String, &Option<String>)| {
            (key.clone(), value.as_ref().map(|text| text.to_lowercase()))
        };
        let dev_type = tag(&tags, "dev_type");
        let traits = Traits {
            vendor_id: vendor_id.to_lowercase(),
            product_id: product_id.to_lowercase(),
            tags: tags.iter().map(lower).collect(),
            is_pf: dev_type == Some("type-PF"),
            is_vdpa: dev_type == Some("vdpa"),
            is_remote_managed: tag(&tags, "remote_managed").is_some_and(super::request::is_true),
        };
        Self { vendor_id, product_id, numa_node, count, tags, traits }
    }
}

fn tag<'a>(tags: &'a BTreeMap<String, Option<String>>, key: &str) -> Option<&'a str> {
    tags.get(key)?.as_deref()
}

impl Pool {
    /// Free devices.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The host cell the devices are attached to, if known.
    #[must_use]
    pub const fn numa_node(&self) -> Option<i64> {
        self.numa_node
    }

    /// The value of a tag.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<&str> {
        tag(&self.tags, key)
    }

    /// Whether the pool has this tag at all, be it without a value.
    pub(super) fn has_tag(&self, key: &str) -> bool {
        self.tags.contains_key(key)
    }

    /// Whether these are SR-IOV physical functions.
    #[must_use]
    pub(crate) const fn is_pf(&self) -> bool {
        self.traits.is_pf
    }

    /// Whether these are vDPA devices.
    #[must_use]
    pub(crate) const fn is_vdpa(&self) -> bool {
        self.traits.is_vdpa
    }

    /// Whether a SmartNIC manages the devices.
    #[must_use]
    pub(crate) const fn is_remote_managed(&self) -> bool {
        self.traits.is_remote_managed
    }

    /// A property as specs see it, in lower case.
    pub(super) fn property(&self, key: &Key) -> Property<'_> {
        let own = &self.traits;
        match key {
            Key::Product => Property::Text(&own.product_id),
            Key::Vendor => Property::Text(&own.vendor_id),
            Key::Number => Property::Number,
            Key::NumaNode => self.numa_node.map_or(Property::Absent, |_| Property::Number),
            Key::Tag(key) => {
                let tag = own.tags.iter().find(|(name, _)| name == key);
                tag.and_then(|(_, value)| value.as_deref()).map_or(Property::Absent, Property::Text)
            }
        }
    }
}

/// The properties that a spec can match, the most selective first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The product's number.
    Product,
    /// The vendor's number.
    Vendor,
    /// The host cell: a number or nothing.
    NumaNode,
    /// Something that is always a number.
    Number,
    /// Any other property.
    Tag(String),
}

impl From<&str> for Key {
    fn from(key: &str) -> Self {
        match key {
            "product_id" => Self::Product,
            "vendor_id" => Self::Vendor,
            "numa_node" => Self::NumaNode,
            "count" => Self::Number,
            tag => Self::Tag(tag.into()),
        }
    }
}

/// A property of a pool, as specs (which are text or nothing) can see it.
#[derive(PartialEq, Eq)]
pub(super) enum Property<'a> {
    Absent,
    Text(&'a str),
    Number,
}

/// The pools of a host, those with fewer tags first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "Vec<Pool>", into = "Vec<Pool>")]
pub struct Pools {
    pools: Vec<Pool>,
    fingerprint: u64,
}

impl From<Vec<Pool>> for Pools {
    fn from(mut pools: Vec<Pool>) -> Self {
        pools.sort_by_key(|pool| pool.tags.len());
        Self { fingerprint: fingerprint(&pools), pools }
    }
}

fn fingerprint(pools: &[Pool]) -> u64 {
    let mut hasher = FxHasher::default();
    pools.hash(&mut hasher);
    hasher.finish()
}

impl From<Pools> for Vec<Pool> {
    fn from(pools: Pools) -> Self {
        pools.pools
    }
}

impl Pools {
    /// Each pool, in the order in which devices are taken.
    #[must_use]
    pub fn as_slice(&self) -> &[Pool] {
        &self.pools
    }

    /// Free devices of the host in all.
    #[must_use]
    pub(crate) fn free_devices(&self) -> u64 {
        self.pools.iter().map(|pool| u64::from(pool.count)).sum()
    }

    /// Free devices attached to a host cell.
    #[must_use]
    pub(crate) fn free_devices_on(&self, cell: i64) -> u64 {
        let local = self.pools.iter().filter(|pool| pool.numa_node == Some(cell));
        local.map(|pool| u64::from(pool.count)).sum()
    }

    /// Sets the devices left in each pool; a pool with none is dropped.
    pub(super) fn set_left(&mut self, left: &[Option<u32>]) {
        let mut left = left.iter();
        self.pools.retain_mut(|pool| match left.next().copied().flatten() {
            Some(count) => {
                pool.count = count;
                true
            }
            None => false,
        });
        self.fingerprint = fingerprint(&self.pools);
    }
}
