//! Which releases of Nova a database may belong to.

/// A schema that Berth was not written for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{database}: the schema is at revision {found}; Nova 32, 33 and 34 have {expected}")]
pub struct UnknownSchema {
    /// The database.
    pub database: String,
    /// Its revision.
    pub found: String,
    /// The revisions of the releases that are supported.
    pub expected: String,
}

/// Revisions of the API database in releases 32 to 34.
pub(crate) const API: &[&str] = &["cdeec0c85668"];

/// Revisions of a cell's database: of releases 32 and 33, and of release 34.
pub(crate) const CELL: &[&str] = &["2903cd72dc14", "ab450ba04102"];

/// Checks a revision, as `alembic_version` has it.
pub(crate) fn check(database: &str, found: Option<&str>, expected: &[&str]) -> Result<(), UnknownSchema> {
    match found {
        Some(found) if expected.contains(&found) => Ok(()),
        _ => Err(UnknownSchema {
            database: database.to_owned(),
            found: found.unwrap_or("none").to_owned(),
            expected: expected.join(", "),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_releases_are_refused() {
        assert_eq!(check("nova_api", Some("cdeec0c85668"), API), Ok(()));
        let error = check("nova", Some("8f2f1571d55b"), CELL).expect_err("Nova 23").to_string();
        assert!(
            error.contains("nova: ") && error.contains("8f2f1571d55b") && error.contains("ab450ba04102"),
            "{error}"
        );
        assert!(check("nova", None, CELL).is_err());
    }
}
