//! Migration of all data from the database of another Placement service, and back.
//!
//! Berth connects to no database. A query, run by the database's own client, prints every relevant
//! row as a line of JSON ([`Dialect::query`]); [`read_dump`] converts these lines to records. The
//! way back is a script for the same client ([`write_script`]). [`berth_store::Digest`] shows
//! whether two services contain the same data.

mod dump;
mod query;
mod rows;
mod script;

pub use dump::{DumpError, read_dump};
pub use query::Dialect;
pub use script::write_script;
