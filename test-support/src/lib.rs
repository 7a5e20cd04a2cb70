//! What tests of several crates share.
//!
//! | module | |
//! |---|---|
//! | [`process`] | programs under test, without settings from the environment |
//! | [`setting`] | numbers that `cargo xtask` passes in environment variables |
//! | [`skip`] | tests that cannot run here, with the reason |
//! | `nova` | random fleets and requests for Nova's scheduler (feature `nova`) |

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    missing_docs,
    reason = "for tests alone: they read the environment, and a test that fails panics"
)]

#[cfg(feature = "nova")]
pub mod nova;
pub mod process;
pub mod setting;
pub mod skip;
