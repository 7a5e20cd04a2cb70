//! The trace formats that can be read.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::error::shown;
use crate::rows::Rows;
use crate::source::Source;
use crate::{TraceError, azure_v1, neutral};

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
    /// The file cannot be read, or its header lacks columns of every format.
    pub fn detect(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        Self::of_header(&Rows::start(Source::open(path.as_ref())?)?)
    }

    pub(crate) fn of_header(rows: &Rows) -> Result<Self, TraceError> {
        let lacks = |format: &Self| -> Vec<&'static str> {
            format.columns().iter().copied().filter(|column| !rows.has_column(column)).collect()
        };
        Self::ALL.into_iter().find(|format| lacks(format).is_empty()).ok_or_else(|| {
            let nearest = Self::ALL.into_iter().min_by_key(|format| lacks(format).len());
            let lacking = nearest.map(|format| format!("{format} has also {}", lacks(&format).join(", ")));
            let hint = odd(rows).map(ToOwned::to_owned).or(lacking).unwrap_or_default();
            TraceError::UnknownFormat { path: rows.path().to_owned(), header: shown(rows.header()), hint }
        })
    }

    /// The columns that a file of the format has, all of them: a header that is nearly right belongs to another format
    /// more often than to a damaged file.
    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Neutral => &neutral::VM_REQUIRED,
            Self::AzureV1 => &azure_v1::COLUMNS,
        }
    }
}

/// What else the file may be.
fn odd(rows: &Rows) -> Option<&'static str> {
    let has = |byte: u8| rows.header().contains(&byte);
    if neutral::HOST_REQUIRED.iter().all(|column| rows.has_column(column)) {
        Some("it is a file of hosts, which --hosts takes")
    } else if has(b'"') {
        Some("quoted fields are not supported")
    } else if !has(b',') && (has(b';') || has(b'\t')) {
        Some("there have to be commas between the columns")
    } else {
        None
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
