//! A stream of VMs.

use std::fmt;
use std::path::Path;

use crate::columnar::{ParquetFile, VmGroups};
use crate::formats::{azure_table, decisions, google, huawei, nova, openb, opendc, packing, rvtools, swf};
use crate::rows::Rows;
use crate::source::Source;
use crate::{Format, ReadProgress, TraceError, Unit, Vm, azure_v1, neutral};

type Vms = Box<dyn Iterator<Item = Result<Vm, TraceError>> + Send>;

/// A stream of VMs in order of arrival, from a file, a generator or memory.
///
/// Ends after the first error, because the rows after a damaged one cannot be trusted.
pub struct Trace {
    name: String,
    progress: ReadProgress,
    vms: Vms,
    ended: bool,
}

impl Trace {
    /// A trace of any VMs, which must be in order of arrival. The source updates `progress`.
    pub fn new(
        name: impl Into<String>,
        progress: ReadProgress,
        vms: impl Iterator<Item = Result<Vm, TraceError>> + Send + 'static,
    ) -> Self {
        Self { name: name.into(), progress, vms: Box::new(vms), ended: false }
    }

    /// A trace of VMs in memory, which must be in order of arrival.
    #[must_use]
    pub fn from_vms(name: impl Into<String>, vms: Vec<Vm>) -> Self {
        let progress = ReadProgress::new(vms.len() as u64, Unit::Vms);
        let reported = progress.clone();
        let vms = vms.into_iter().zip(1..).map(move |(vm, count)| {
            reported.set(count);
            Ok(vm)
        });
        Self::new(name, progress, vms)
    }

    /// Opens a trace file, plain or gzip (detected from its first bytes, not its name), or standard
    /// input for `-`. Without a `format`, the file's first bytes determine it, as in
    /// [`Format::detect`].
    ///
    /// A neutral file and a trace file of Berth are read row by row, so they have to be in order of
    /// arrival; [`open_sorted`](Self::open_sorted) also takes others.
    ///
    /// # Errors
    /// The file cannot be read or its header does not fit. The iterator returns errors in rows, in
    /// their place.
    pub fn open(path: impl AsRef<Path>, format: Option<Format>) -> Result<Self, TraceError> {
        Self::open_ordered(path.as_ref(), format, true)
    }

    /// Opens a trace file whose rows may be in any order, and reads the whole of it.
    ///
    /// # Errors
    /// The file cannot be read, or a row of it has an error.
    pub fn open_sorted(path: impl AsRef<Path>, format: Option<Format>) -> Result<Vec<Vm>, TraceError> {
        let mut vms = Self::open_ordered(path.as_ref(), format, false)?.collect::<Result<Vec<_>, _>>()?;
        vms.sort_by_key(|vm| vm.arrival);
        Ok(vms)
    }

    fn open_ordered(path: &Path, format: Option<Format>, is_ordered: bool) -> Result<Self, TraceError> {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let binary = match format {
            Some(format) => Some(format).filter(|format| format.is_binary()),
            None => Format::of_magic(path)?,
        };
        let whole = |mut vms: Vec<Vm>| {
            vms.sort_by_key(|vm| vm.arrival);
            Self::from_vms(name.clone(), vms)
        };
        match binary {
            Some(Format::AzurePacking) => return Ok(whole(packing::read(path)?)),
            Some(Format::OpenDc) => return Ok(whole(opendc::read(&ParquetFile::open(path)?)?)),
            Some(_) => {
                let groups = VmGroups::new(ParquetFile::open(path)?)?;
                return Ok(Self::new(name, groups.progress(), groups));
            }
            None => {}
        }
        let rows = Rows::start(Source::open(path)?)?;
        let format = match format {
            Some(format) => format,
            None => Format::of_rows(&rows)?,
        };
        let progress = rows.progress();
        Ok(match format {
            Format::Neutral => Self::new(name, progress, neutral::VmRows::new(rows, is_ordered)?),
            Format::AzureV1 => Self::new(name, progress, azure_v1::VmRows::new(rows, is_ordered)?),
            Format::AzureTable => whole(azure_table::read(rows)?),
            Format::HuaweiEast => whole(huawei::read_events(rows)?),
            Format::HuaweiLifetimes => whole(huawei::read_lifetimes(rows)?),
            Format::HuaweiNuma => whole(huawei::read_numa(rows)?),
            Format::Openb => whole(openb::read(rows)?),
            Format::Google if google::is_json(rows.first()) => whole(google::read_json(rows)?),
            Format::Google => whole(google::read_csv(rows)?),
            Format::Swf => whole(swf::read(rows)?),
            Format::NovaInstances => whole(nova::read(rows)?),
            Format::RvTools => whole(rvtools::read(rows)?),
            Format::Decisions => whole(decisions::read(rows)?),
            Format::Berth | Format::AzurePacking | Format::OpenDc => unreachable!("read above"),
        })
    }

    /// The file's name, or the generator's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A handle on the reading progress.
    #[must_use]
    pub fn progress(&self) -> ReadProgress {
        self.progress.clone()
    }
}

impl Iterator for Trace {
    type Item = Result<Vm, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let vm = self.vms.next();
        self.ended = !matches!(vm, Some(Ok(_)));
        vm
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("name", &self.name).finish_non_exhaustive()
    }
}
