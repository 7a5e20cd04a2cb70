//! The names that compute hosts may have: a rule of [`Hello`](crate::v1::Hello) that the agent, the
//! service and the reader of certificates check.

/// Characters of a name, at most: the root of the host's provider tree has the same name, and those
/// of providers have no more.
pub const MAX_LENGTH: usize = 200;

/// Why a text is no name of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHostName {
    /// There is nothing.
    #[error("is empty")]
    Empty,
    /// It is longer than [`MAX_LENGTH`].
    #[error("has {0} characters; at most {MAX_LENGTH} are allowed")]
    TooLong(usize),
    /// Names are letters, digits, dots, hyphens and underscores, as Nova has them.
    #[error(
        "has the character {0:?}; names of hosts have letters, digits, '.', '-' and '_' only: requests name them as ZONE:HOST"
    )]
    Character(char),
}

/// Checks the name of a host.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(name: &str) -> Result<(), InvalidHostName> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if name.is_empty() {
        return Err(InvalidHostName::Empty);
    }
    if let Some(other) = name.chars().find(|&c| !is_allowed(c)) {
        return Err(InvalidHostName::Character(other));
    }
    if name.len() > MAX_LENGTH {
        return Err(InvalidHostName::TooLong(name.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_requests_can_write() {
        for good in ["h", "compute-1.rack_2.example.org", "10.0.0.7", &"x".repeat(MAX_LENGTH)] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check(""), Err(InvalidHostName::Empty));
        assert_eq!(check(&"x".repeat(MAX_LENGTH + 1)), Err(InvalidHostName::TooLong(MAX_LENGTH + 1)));
        for bad in [':', ',', ' ', '/', '%', '\0', '\n', '\u{1b}', '\u{7f}', '\u{202e}', 'é', '\u{a0}'] {
            assert_eq!(check(&format!("a{bad}b")), Err(InvalidHostName::Character(bad)));
        }
        assert_eq!(
            check("fe80::1").unwrap_err().to_string(),
            "has the character ':'; names of hosts have letters, digits, '.', '-' and '_' only: requests name them as ZONE:HOST"
        );
    }
}
