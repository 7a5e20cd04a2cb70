//! Schemas that are built once for each microversion.

use std::sync::OnceLock;

use super::Schema;
use crate::microversion::Microversion;

const VERSIONS: usize = Microversion::MAX.0 as usize + 1;

/// A schema that depends on the microversion.
pub(crate) struct VersionedSchema<T = Schema> {
    build: fn(Microversion) -> T,
    built: [OnceLock<T>; VERSIONS],
}

impl<T> VersionedSchema<T> {
    /// The schema that a function builds.
    pub(crate) const fn new(build: fn(Microversion) -> T) -> Self {
        Self { build, built: [const { OnceLock::new() }; VERSIONS] }
    }

    /// The schema at a microversion.
    pub(crate) fn at(&self, version: Microversion) -> &T {
        let version = version.min(Microversion::MAX);
        self.built[usize::from(version.0)].get_or_init(|| (self.build)(version))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static BUILT: AtomicUsize = AtomicUsize::new(0);

    fn build(version: Microversion) -> Schema {
        BUILT.fetch_add(1, Ordering::Relaxed);
        Schema::Integer { minimum: Some(version.0.into()), maximum: None }
    }

    #[test]
    fn a_version_has_one_schema_which_is_built_once() {
        let schema = VersionedSchema::new(build);
        for version in [Microversion(0), Microversion(39), Microversion(0)] {
            let minimum = i64::from(version.0);
            assert!(
                matches!(schema.at(version), Schema::Integer { minimum: Some(found), .. } if *found == minimum)
            );
        }
        assert_eq!(BUILT.load(Ordering::Relaxed), 2);
    }
}
