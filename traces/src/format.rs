//! The trace formats that can be read.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::error::shown;
use crate::formats::{azure_table, decisions, google, huawei, nova, openb, rvtools, swf};
use crate::rows::Rows;
use crate::source::Source;
use crate::{TraceError, azure_v1, columnar, neutral, sqlite};

/// Declares the formats, each with the name that [`FromStr`] takes.
macro_rules! formats {
    ($($(#[$documentation:meta])+ $format:ident = $name:literal,)+) => {
        /// A trace format.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Format {
            $($(#[$documentation])+ $format,)+
        }

        impl Format {
            /// Every format. Detection takes the first that fits.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$format),+];

            /// The name that [`FromStr`] takes.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$format => $name,)+
                }
            }
        }
    };
}

formats! {
    /// Berth's own trace file, Parquet: see [`columnar`](crate::columnar).
    Berth = "berth",
    /// The Azure public VM trace V1 of 2017 with batches: see [`azure_v1`](crate::azure_v1).
    AzureV1 = "azure-v1-2017",
    /// The VM table of Azure's public traces V1 and V2.
    AzureTable = "azure-vmtable",
    /// Azure's trace for packing, of 2020.
    AzurePacking = "azure-packing-2020",
    /// Huawei-East-1: creations and deletions.
    HuaweiEast = "huawei-east-1",
    /// Huawei-East-1 with lifetimes.
    HuaweiLifetimes = "huawei-east-1-lt",
    /// Huawei's sequences with NUMA topology.
    HuaweiNuma = "huawei-numa",
    /// Alibaba's GPU cluster trace of 2023.
    Openb = "alibaba-openb-2023",
    /// The instance events of Google's cluster trace of 2019.
    Google = "google-2019",
    /// The Standard Workload Format.
    Swf = "swf",
    /// OpenDC's Parquet.
    OpenDc = "opendc",
    /// The table `instances` of Nova's database.
    NovaInstances = "nova-instances",
    /// The sheet vInfo of RVTools.
    RvTools = "rvtools",
    /// The decisions in the log of a service.
    Decisions = "berth-decisions",
    /// The neutral CSV: see [`neutral`](crate::neutral).
    Neutral = "neutral",
}

impl Format {
    /// The format of a file, plain or gzip, detected from its first bytes.
    ///
    /// # Errors
    /// The file cannot be read, or is of no known format.
    pub fn detect(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        let path = path.as_ref();
        match Self::of_magic(path)? {
            Some(format) => Ok(format),
            None => Self::of_rows(&Rows::start(Source::open(path)?)?),
        }
    }

    /// The format of a binary file; `None` for text.
    pub(crate) fn of_magic(path: &Path) -> Result<Option<Self>, TraceError> {
        let start = Source::first_bytes(path)?;
        Ok(if start.starts_with(columnar::MAGIC) {
            let file = columnar::ParquetFile::open(path)?;
            Some(if file.is_ours() { Self::Berth } else { Self::OpenDc })
        } else if start.starts_with(sqlite::MAGIC) {
            Some(Self::AzurePacking)
        } else {
            None
        })
    }

    pub(crate) fn of_rows(rows: &Rows) -> Result<Self, TraceError> {
        let first = rows.first();
        if google::is_json(first) {
            return Ok(Self::Google);
        }
        if decisions::is_log(first) {
            return Ok(Self::Decisions);
        }
        if swf::is_first(first) {
            return Ok(Self::Swf);
        }
        let is_number = |place: usize| rows.header()[place].parse::<f64>().is_ok();
        if rows.width() == azure_table::COLUMNS.len() && (3..8).all(is_number) {
            return Ok(Self::AzureTable);
        }
        let lacks = |format: &Self| -> Vec<&'static str> {
            format.columns().iter().copied().filter(|column| !rows.has_column(column)).collect()
        };
        let of_text = Self::ALL.into_iter().filter(|format| !format.columns().is_empty());
        if let Some(format) = of_text.clone().find(|format| lacks(format).is_empty()) {
            return Ok(format);
        }
        if lacks(&Self::Neutral) == ["ram_mb"] && rows.has_column("mem_gib") {
            return Ok(Self::Neutral);
        }
        let nearest = std::iter::once(Self::Neutral)
            .chain(of_text)
            .min_by_key(|format| lacks(format).len() * 100 / format.columns().len());
        let lacking = nearest.map(|format| format!("{format} has also {}", lacks(&format).join(", ")));
        let hosts = neutral::HOST_REQUIRED.iter().all(|column| rows.has_column(column));
        let hint =
            if hosts { Some("it is a file of hosts, which --hosts takes".to_owned()) } else { lacking };
        let header = shown(first);
        Err(TraceError::UnknownFormat {
            path: rows.path().to_owned(),
            header,
            hint: hint.unwrap_or_default(),
        })
    }

    /// The columns that a header names in every file of the format; none for a format without a
    /// header.
    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Neutral => &neutral::VM_REQUIRED,
            Self::AzureV1 => &azure_v1::COLUMNS,
            Self::HuaweiEast => &huawei::EVENTS,
            Self::HuaweiLifetimes => &huawei::LIFETIMES,
            Self::HuaweiNuma => &huawei::NUMA,
            Self::Openb => &openb::COLUMNS,
            Self::Google => &google::COLUMNS,
            Self::NovaInstances => &nova::COLUMNS,
            Self::RvTools => &rvtools::COLUMNS,
            Self::Berth
            | Self::AzureTable
            | Self::AzurePacking
            | Self::Swf
            | Self::OpenDc
            | Self::Decisions => &[],
        }
    }

    /// Whether a file of the format is a table in a binary file.
    pub(crate) const fn is_binary(self) -> bool {
        matches!(self, Self::Berth | Self::AzurePacking | Self::OpenDc)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No format has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown trace format {name:?}, expected one of {}", Format::ALL.map(Format::name).join(", "))]
pub struct UnknownFormatName {
    name: String,
}

impl FromStr for Format {
    type Err = UnknownFormatName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        // The two versions of Azure's VM table are read alike.
        if matches!(name, "azure-v1" | "azure-v2") {
            return Ok(Self::AzureTable);
        }
        Self::ALL
            .into_iter()
            .find(|f| f.name() == name)
            .ok_or_else(|| UnknownFormatName { name: shown(name.as_bytes()) })
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
        let error = "azure".parse::<Format>().unwrap_err().to_string();
        assert!(
            error.starts_with("unknown trace format \"azure\", expected one of berth, azure-v1-2017, "),
            "{error}"
        );
    }
}
