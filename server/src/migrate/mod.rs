//! Carrying everything over from the database of another Placement service, and back.
//!
//! Berth speaks to no database. A query, run by the database's own client, prints every row that matters as a line of
//! JSON ([`Dialect::query`]); [`read_dump`] makes records of these lines. The way back is a script for the same client
//! ([`write_script`]). [`berth_store::Digest`] tells whether two services hold the same.

mod dump;
mod query;
mod rows;
mod script;

pub use dump::{DumpError, read_dump};
pub use query::Dialect;
pub use script::write_script;
