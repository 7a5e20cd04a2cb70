//! JSON: bodies checked by schema, answers written straight to bytes.

pub(crate) mod patterns;
mod python;
pub(crate) mod schema;
mod writer;

pub(crate) use schema::Schema;
pub(crate) use writer::Writer;
