//! The values of records, as protobuf messages. This is format 1.
//!
//! Rules for changes:
//! - A field keeps its number and its meaning forever. The number of a removed field is not reused.
//! - A new field gets a new number. Its absence means the behaviour before the field existed. Older
//!   releases ignore it, and lose it when they rewrite the record. If that is not acceptable, the
//!   change requires a new format.
//! - A new format gets a new number and a migration from the previous one (`migrations.rs`). A
//!   release reads formats up to its own.

/// The format of a store.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Format {
    #[prost(uint32, tag = "1")]
    pub(crate) version: u32,
    /// The release that wrote the store; informational.
    #[prost(string, tag = "2")]
    pub(crate) written_by: String,
}

/// The number of rows that were ever assigned to providers.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Rows {
    #[prost(uint32, tag = "1")]
    pub(crate) rows: u32,
}

/// A resource class or a trait.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Name {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Microseconds since 1970, like all times in this file.
    #[prost(uint64, tag = "2")]
    pub(crate) since: u64,
}

/// A resource provider without its inventories.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Provider {
    /// 16 bytes, like all UUIDs in this file.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) uuid: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    /// The row of the parent provider.
    #[prost(uint32, optional, tag = "3")]
    pub(crate) parent: Option<u32>,
    /// The numbers of its traits.
    #[prost(uint32, repeated, tag = "4")]
    pub(crate) traits: Vec<u32>,
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub(crate) aggregates: Vec<Vec<u8>>,
}

/// The inventories of a provider.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Inventories {
    #[prost(message, repeated, tag = "1")]
    pub(crate) inventories: Vec<Inventory>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Inventory {
    /// The number of the class.
    #[prost(uint32, tag = "1")]
    pub(crate) class: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) total: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) reserved: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) min_unit: u32,
    #[prost(uint32, tag = "5")]
    pub(crate) max_unit: u32,
    #[prost(uint32, tag = "6")]
    pub(crate) step_size: u32,
    #[prost(double, tag = "7")]
    pub(crate) allocation_ratio: f64,
}

/// Generations of providers and the times of their last changes, one of each per row.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Counts {
    #[prost(uint32, repeated, tag = "1")]
    pub(crate) rows: Vec<u32>,
    #[prost(uint64, repeated, tag = "2")]
    pub(crate) generations: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    pub(crate) changed_at: Vec<u64>,
}

/// A consumer and its allocations.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Consumer {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) uuid: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub(crate) generation: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) written_at: u64,
    /// The number of its owner.
    #[prost(uint32, optional, tag = "4")]
    pub(crate) owner: Option<u32>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) allocations: Vec<Allocation>,
}

/// The owner of consumers.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Owner {
    #[prost(string, tag = "1")]
    pub(crate) project: String,
    #[prost(string, tag = "2")]
    pub(crate) user: String,
    #[prost(string, optional, tag = "3")]
    pub(crate) consumer_type: Option<String>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Allocation {
    /// The row of the provider.
    #[prost(uint32, tag = "1")]
    pub(crate) row: u32,
    /// The number of the class.
    #[prost(uint32, tag = "2")]
    pub(crate) class: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) amount: u32,
}
