//! A stream of VMs.

use std::fmt;
use std::path::Path;

use crate::rows::Rows;
use crate::source::Source;
use crate::{Format, Progress, TraceError, Unit, Vm, azure_v1, neutral};

type Vms = Box<dyn Iterator<Item = Result<Vm, TraceError>> + Send>;

/// A stream of VMs in order of arrival, from a file, a generator or memory.
///
/// Ends after the first error, because the rows after a damaged one cannot be trusted.
pub struct Trace {
    name: String,
    progress: Progress,
    vms: Vms,
    ended: bool,
}

impl Trace {
    /// A trace of any VMs, which must be in order of arrival. The source updates `progress`.
    pub fn new(
        name: impl Into<String>,
        progress: Progress,
        vms: impl Iterator<Item = Result<Vm, TraceError>> + Send + 'static,
    ) -> Self {
        Self { name: name.into(), progress, vms: Box::new(vms), ended: false }
    }

    /// A trace of VMs in memory, which must be in order of arrival.
    #[must_use]
    pub fn from_vms(name: impl Into<String>, vms: Vec<Vm>) -> Self {
        let progress = Progress::new(vms.len() as u64, Unit::Vms);
        let reported = progress.clone();
        let vms = vms.into_iter().zip(1..).map(move |(vm, count)| {
            reported.set(count);
            Ok(vm)
        });
        Self::new(name, progress, vms)
    }

    /// Opens a trace file, plain or gzip (detected from its first bytes, not its name). Without a
    /// `format`, the header determines it, as in [`Format::detect`].
    ///
    /// # Errors
    /// The file cannot be read or its header does not fit. The iterator returns errors in rows, in
    /// their place.
    pub fn open(path: impl AsRef<Path>, format: Option<Format>) -> Result<Self, TraceError> {
        let path = path.as_ref();
        let rows = Rows::start(Source::open(path)?)?;
        let format = match format {
            Some(format) => format,
            None => Format::of_header(&rows)?,
        };
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let progress = rows.progress();
        Ok(match format {
            Format::Neutral => Self::new(name, progress, neutral::VmRows::new(rows)?),
            Format::AzureV1 => Self::new(name, progress, azure_v1::VmRows::new(rows)?),
        })
    }

    /// The file's name, or the generator's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A handle on the reading progress.
    #[must_use]
    pub fn progress(&self) -> Progress {
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
