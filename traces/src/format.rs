//! The trace formats that can be read.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::TraceError;
use crate::error::shown;
use crate::rows::Rows;
use crate::source::Source;

/// A trace format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The neutral CSV: see [`neutral`](crate::neutral).
    Neutral,
    /// The Azure public VM trace V1 of 2017: see [`azure_v1`](crate::azure_v1).
    AzureV1,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Neutral, Self::AzureV1];

    /// The name that [`FromStr`] takes: `neutral` or `azure-v1-2017`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Neutral => "neutral",
            Self::AzureV1 => "azure-v1-2017",
        }
    }

    /// The format of a file, plain or gzip, detected from its header line.
    ///
    /// # Errors
    /// The file cannot be read, or its header has no column that identifies a format.
    pub fn detect(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        Self::of_header(&Rows::start(Source::open(path.as_ref())?)?)
    }

    pub(crate) fn of_header(rows: &Rows) -> Result<Self, TraceError> {
        Self::ALL.into_iter().find(|format| rows.has_column(format.own_column())).ok_or_else(|| {
            TraceError::UnknownFormat { path: rows.path().to_owned(), header: shown(rows.header()) }
        })
    }

    /// A column that no other format has. One is enough: a nearly correct header then gets an error
    /// about the missing column instead of "unknown format".
    const fn own_column(self) -> &'static str {
        match self {
            Self::Neutral => "ram_mb",
            Self::AzureV1 => "mem_gib",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No format has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown trace format {0:?}, expected neutral or azure-v1-2017")]
pub struct UnknownFormatName(String);

impl FromStr for Format {
    type Err = UnknownFormatName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|f| f.name() == name)
            .ok_or_else(|| UnknownFormatName(shown(name.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn names_round_trip() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!(
            "azure".parse::<Format>().unwrap_err().to_string(),
            "unknown trace format \"azure\", expected neutral or azure-v1-2017"
        );
    }
}
