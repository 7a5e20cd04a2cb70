//! JSON: bodies read within bounds and checked by schema, answers written straight to bytes.

pub(crate) mod patterns;
mod python;
pub(crate) mod reader;
pub(crate) mod schema;
mod uuid_text;
mod versioned;
mod writer;

pub(crate) use schema::Schema;
pub(crate) use versioned::VersionedSchema;
pub(crate) use writer::Writer;
