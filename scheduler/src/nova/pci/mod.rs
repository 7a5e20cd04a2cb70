//! Passthrough devices: pools of equal devices on a host, and requests for some of them.

mod pool;
mod request;

pub use pool::{Pool, Pools};
pub use request::{LiveMigratable, NumaAffinity, PciRequest, ProviderMapping, Spec};
