//! Checks that a public type name means one thing in the workspace.
//!
//! The crates that others link may not have two `pub` types of one name. An alias that gives a type
//! of its own name its arguments is no second type:
//! `pub type DataDir = berth_store::DataDir<FleetState>`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::language;
use crate::step::Steps;

const KEYWORDS: [&str; 4] = ["pub struct ", "pub enum ", "pub trait ", "pub type "];

/// Names the types that share a public name.
pub(crate) fn run(steps: &mut Steps) -> Result<()> {
    let root = steps.root();
    steps.check("names", || {
        let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for path in language::files(root)?.into_iter().filter(|path| is_library(path)) {
            // Deleted files stay in the list until they are committed.
            let Ok(text) = fs::read_to_string(root.join(&path)) else { continue };
            for (line, name) in public_types(&text) {
                types.entry(name.to_owned()).or_default().push(format!("{path}:{line}"));
            }
        }
        types.retain(|_, places| places.len() > 1);
        let listed: Vec<String> =
            types.iter().map(|(name, places)| format!("{name}: {}", places.join(", "))).collect();
        ensure!(listed.is_empty(), "public types that share a name; rename one:\n{}", listed.join("\n"));
        Ok(())
    })
}

/// Whether other crates may link the file: not a test, an example or a program of its own, such as
/// `benches/stores`.
fn is_library(path: &str) -> bool {
    let is_rust = Path::new(path).extension().is_some_and(|extension| extension == "rs");
    let is_apart = ["benches/stores/", "fuzz/", "system-tests/", "test-support/"]
        .iter()
        .any(|directory| path.starts_with(directory));
    is_rust && !is_apart && path.contains("/src/")
}

/// The public types of a file, with their lines.
fn public_types(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter_map(|(number, line)| {
        let rest = KEYWORDS.iter().find_map(|keyword| line.strip_prefix(keyword))?;
        let end = rest.find(|character: char| !character.is_alphanumeric()).unwrap_or(rest.len());
        let name = &rest[..end];
        (!is_alias(rest, name)).then_some((number, name))
    })
}

/// Whether the rest of a line makes a name of the type of the same name in another crate.
fn is_alias(rest: &str, name: &str) -> bool {
    let target = rest.split_once(" = ").map(|(_, target)| target.split('<').next().unwrap_or(target));
    target.is_some_and(|target| target.trim_end_matches(';').rsplit("::").next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_found_and_others_are_not() {
        let text = "pub struct Host<'a> {\n    pub enum_like: u8,\n}\npub(crate) struct Own;\npub trait Store: Send {}\n\
                    pub type Dir<R> = store::Dir<R, State>;\npub type Id = u64;\n";
        assert_eq!(public_types(text).collect::<Vec<_>>(), [(1, "Host"), (5, "Store"), (7, "Id")]);
        assert!(is_library("store/src/lib.rs") && !is_library("store/tests/a.rs"));
        assert!(is_library("benches/src/lib.rs") && !is_library("benches/benches/claims.rs"));
        assert!(!is_library("benches/stores/src/digest.rs") && !is_library("docs/glossary.md"));
    }
}
