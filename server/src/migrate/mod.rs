//! Carrying everything over from the database of another Placement service, and back.
//!
//! Berth speaks to no database. A query, run by the database's own client, prints every row that matters as a line of
//! JSON ([`Dialect::query`]); [`read_dump`] makes records of these lines. The way back is a script for the same client
//! ([`write_script`]). [`Digest`] tells whether two services hold the same.

mod digest;
mod dump;
mod query;
mod rows;
mod script;

pub use digest::{Digest, Summary};
pub use dump::{DumpError, read_dump};
pub use query::Dialect;
pub use script::write_script;
