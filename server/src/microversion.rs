//! Microversions: which version of the API a request speaks.

use std::fmt;

use axum::http::HeaderMap;

/// The header that requests a microversion, and in a response names the one that was used.
pub(crate) const HEADER: &str = "openstack-api-version";
const SERVICE: &str = "placement";

/// A version of the API, 1.0 to 1.39; the number is what stands behind the dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Microversion(pub u16);

impl Microversion {
    /// The microversion of a request without the header.
    pub const MIN: Self = Self(0);
    /// The microversion that `latest` means.
    pub const MAX: Self = Self(39);

    /// Whether the version is 1.`minor` or later.
    #[must_use]
    pub const fn at_least(self, minor: u16) -> bool {
        self.0 >= minor
    }

    /// The version that the headers ask for.
    ///
    /// # Errors
    /// Text that is no version, or a version that there is not.
    pub fn of(headers: &HeaderMap) -> Result<Self, InvalidMicroversion> {
        let values = headers.get_all(HEADER).iter();
        let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        // Several services may be named; the last word about this one counts.
        let words = values.iter().flat_map(|value| value.split(',')).rev();
        let wanted = words.filter_map(|word| word.trim().split_once(char::is_whitespace));
        let wanted = wanted.filter(|(service, _)| service.eq_ignore_ascii_case(SERVICE));
        match wanted.map(|(_, version)| version.trim()).next() {
            None => Ok(Self::MIN),
            Some("latest") => Ok(Self::MAX),
            Some(version) => Self::parse(version),
        }
    }

    fn parse(version: &str) -> Result<Self, InvalidMicroversion> {
        let malformed = || InvalidMicroversion::Malformed(version.to_owned());
        let (major, minor) = version.split_once('.').ok_or_else(malformed)?;
        let major: i64 = major.trim().parse().map_err(|_| malformed())?;
        let minor: i64 = minor.trim().parse().map_err(|_| malformed())?;
        match u16::try_from(minor) {
            Ok(minor) if major == 1 && minor <= Self::MAX.0 => Ok(Self(minor)),
            _ => Err(InvalidMicroversion::Unacceptable(version.to_owned())),
        }
    }
}

impl fmt::Display for Microversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

/// Why a request's microversion cannot be spoken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMicroversion {
    /// There is no such version.
    #[error("Unacceptable version header: {0}")]
    Unacceptable(String),
    /// It is not of the form `1.39`.
    #[error("invalid version string: {0}")]
    Malformed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Result<Microversion, InvalidMicroversion> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, value.parse().unwrap());
        }
        Microversion::of(&headers)
    }

    #[test]
    fn the_last_word_about_placement_counts() {
        assert_eq!(of(&[]), Ok(Microversion(0)));
        assert_eq!(of(&["placement 1.4, compute 2.90"]), Ok(Microversion(4)));
        assert_eq!(of(&["placement 1.4", "Placement latest"]), Ok(Microversion::MAX));
        assert_eq!(of(&["compute 2.90"]), Ok(Microversion(0)));
    }

    #[test]
    fn unsupported_and_malformed_versions_are_distinguished() {
        let unacceptable = |version: &str| Err(InvalidMicroversion::Unacceptable(version.to_owned()));
        let malformed = |version: &str| Err(InvalidMicroversion::Malformed(version.to_owned()));
        assert_eq!(of(&["placement 0.5"]), unacceptable("0.5"));
        assert_eq!(of(&["placement 1.40"]), unacceptable("1.40"));
        assert_eq!(of(&["placement 1.-1"]), unacceptable("1.-1"));
        assert_eq!(of(&["placement 1.2.3"]), malformed("1.2.3"));
        assert_eq!(of(&["placement pony.horse"]), malformed("pony.horse"));
    }
}
