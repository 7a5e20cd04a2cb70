//! Decisions as OpenStack Nova's filter scheduler makes them.
//!
//! [`numa`] fits an instance's virtual NUMA cells to a host's cells, [`pci`] matches requests for passthrough devices
//! with a host's pools of them. Both give the answers of Nova 34, oddities included where they can be observed; tests
//! replay recorded answers of Nova itself.

pub mod numa;
pub mod pci;
