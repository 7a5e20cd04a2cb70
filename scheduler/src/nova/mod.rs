//! Nova's filter scheduler: the same survivors, weights and order as Nova gives for the same request.
//!
//! [`request_spec`] is what is asked for. [`numa`] fits an instance's virtual NUMA cells to a host's cells, [`pci`]
//! matches requests for passthrough devices with a host's pools of them. All of it gives the answers of Nova 34,
//! oddities included where they can be observed; tests replay recorded answers of Nova itself. Where Berth decides
//! otherwise on purpose, `docs/nova-differences.md` says so.

pub mod numa;
pub mod pci;
pub mod python;
pub mod request_spec;
pub mod version;

pub use request_spec::RequestSpec;
