//! Packing by more than free amounts: by the lifetimes of instances, or by the shapes that are
//! requested.
//!
//! A fleet that packs well needs fewer hosts. Best fit looks at one host at one moment. The two
//! rules here know more:
//!
//! - [`PackingRule::Lifetimes`] puts instances that end together on one host, so that hosts become
//!   empty. Every instance has a distribution of its end, from a prediction and from how long it
//!   has run already, so a wrong prediction corrects itself when the instance outlives it. A host's
//!   cost is the time by which the instance is expected to keep it in use longer. After *LAVA:
//!   Lifetime-Aware VM Allocation with Learned Distributions and Adaptation to Mispredictions*
//!   (Ling et al., MLSys 2025), and *Virtual Machine Allocation with Lifetime Predictions*
//!   (Barbalho et al., MLSys 2023). The error of predictions is measured; the worse they are, the
//!   less they count, down to plain best fit.
//! - [`PackingRule::Shapes`] keeps capacity usable for the shapes that are requested: a host's cost
//!   is the number of slots for them that the instance takes. After *Heuristics for Vector Bin
//!   Packing* (Panigrahy et al., 2011), which weighs resources by their demand, and *Beware of
//!   Fragmentation* (Weng et al., USENIX ATC 2023), which measures fragmentation by the workload's
//!   own mix.
//!
//! | file | content |
//! |---|---|
//! | `engine.rs` | decides by a rule and claims on the index |
//! | `model.rs` | how long instances live, and how far predictions are off, as observed |
//! | `lifetime.rs` | the distribution of one instance's end |
//! | `outlook.rs` | when a host is expected to be empty |
//! | `host_lifetimes.rs` | the same of all hosts of a table, for `LifetimeWeigher` |
//! | `mix.rs` | the shapes that are requested |
//! | `slots.rs` | what a placement costs in slots |
//! | `gpu.rs` | hosts whose GPUs are shared: best fit and fragmentation gradient descent |
//!
//! No clock: callers pass the time. No random number. Floating point occurs in costs only, never in
//! amounts.

mod engine;
mod gpu;
mod host_lifetimes;
mod lifetime;
mod mix;
mod model;
mod outlook;
mod slots;

pub(crate) use host_lifetimes::HostLifetimes;
pub(crate) use outlook::OutlookCost;

pub use engine::{PackingEngine, PackingRequest, PackingRule};
pub use gpu::{GpuChooser, GpuHost, GpuMix, GpuPolicy, GpuRequest, WHOLE_GPU};
pub use host_lifetimes::{LIFETIME_SPEC, stated};
