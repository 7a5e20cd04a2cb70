//! Passthrough devices: pools of equal devices on a host, and requests for some of them.

mod affinity;
mod filter;
mod pool;
mod refusal;
mod request;
mod tally;

pub use affinity::Locality;
pub use filter::retain_candidates;
pub use pool::{Pool, Pools};
pub use refusal::{PciFault, PciMisfit, PciRefusal, Stage};
pub use request::{LiveMigratable, NumaAffinity, PciRequest, ProviderMapping};
