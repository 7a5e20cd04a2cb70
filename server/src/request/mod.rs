//! The common part of the REST and the gRPC API: admission, waiting for durability, reading of
//! requests, and names in messages.
//!
//! Neither API depends on the other. Both depend on this module.
//!
//! | file | content |
//! |---|---|
//! | `epoch.rs` | the state that requests use, which requests it admits, and what responses wait for |
//! | `candidates/` | the query of allocation candidates, and how the search is bounded |
//! | `filters.rs` | query parameters that select resource providers |
//! | `provider.rs` | a resource provider with the snapshot in which it was found |
//! | `message.rs` | messages for errors of the index, worded as in Placement |
//! | `transfer.rs` | allocation writes with retries |

pub(crate) mod candidates;
mod epoch;
pub(crate) mod filters;
pub(crate) mod message;
mod provider;
mod transfer;

pub(crate) use epoch::{Access, Epoch, NotAdmitted, OutcomeUnknown, Purpose};
pub(crate) use provider::FoundProvider;
pub(crate) use transfer::transfer;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    fn check(dir: &Path, other: &str) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                check(&path, other);
            } else {
                let source = fs::read_to_string(&path).unwrap();
                assert!(!source.contains(other), "{} uses {other}", path.display());
            }
        }
    }

    #[test]
    fn the_apis_do_not_import_each_other() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let [rest, grpc] = ["rest", "grpc"].map(|api| format!("crate::{api}"));
        for (module, api) in [("rest", &grpc), ("grpc", &rest)] {
            check(&sources.join(module), api);
        }
        for module in ["request", "fleet"] {
            check(&sources.join(module), &rest);
            check(&sources.join(module), &grpc);
        }
    }
}
