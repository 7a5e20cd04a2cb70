//! The bytes of a file, plain or gzip, with progress.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::gzip::{self, Members};
use crate::{ReadProgress, TraceError, Unit};

/// Large enough that the cost of system calls is negligible, small enough for the L2 cache.
const BUFFER: usize = 128 * 1024;

/// How files begin that are no text, and what they are.
const OTHER_MAGIC: [(&[u8], &str); 9] = [
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"BZh", "compressed with bzip2"),
    (b"\x04\x22\x4d\x18", "compressed with lz4"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet"),
    (b"PAR1", "a Parquet file, which cannot be read from a pipe"),
    (b"SQLite format 3", "a SQLite database, which cannot be read from a pipe"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
];

/// The path that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// An open file, or standard input, decompressed as it is read.
pub(crate) struct Source {
    path: PathBuf,
    gzip: bool,
    progress: ReadProgress,
    bytes: Box<dyn BufRead + Send>,
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, TraceError> {
        let failed = |source| TraceError::Io { path: path.to_owned(), source };
        let (file, size): (Box<dyn Read + Send>, u64) = if path == Path::new(STANDARD_INPUT) {
            (Box::new(io::stdin()), 0)
        } else {
            let file = File::open(path).map_err(failed)?;
            let size = file.metadata().map_err(failed)?.len();
            (Box::new(file), size)
        };
        let progress = ReadProgress::new(size, Unit::Bytes);
        let counted = Counted { file, read: 0, progress: progress.clone() };
        let mut stored = BufReader::with_capacity(BUFFER, counted);
        let start = stored.fill_buf().map_err(failed)?;
        if let Some((_, what)) = OTHER_MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Err(TraceError::NoText { path: path.to_owned(), what });
        }
        let gzip = start.starts_with(&gzip::MAGIC);
        let bytes: Box<dyn BufRead + Send> = if gzip {
            Box::new(BufReader::with_capacity(BUFFER, Members::new(stored)))
        } else {
            Box::new(stored)
        };
        Ok(Self { path: path.to_owned(), gzip, progress, bytes })
    }

    /// The first bytes of a file as it is stored; none of standard input and of pipes, which can be
    /// read only once.
    pub(crate) fn first_bytes(path: &Path) -> Result<Vec<u8>, TraceError> {
        if path == Path::new(STANDARD_INPUT) {
            return Ok(Vec::new());
        }
        let failed = |source| TraceError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        if file.metadata().map_err(failed)?.is_file() {
            file.take(16).read_to_end(&mut bytes).map_err(failed)?;
        }
        Ok(bytes)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn progress(&self) -> ReadProgress {
        self.progress.clone()
    }

    /// Appends the next line including its end, or its first `limit` bytes, to `line`: nothing at
    /// the end of the file.
    pub(crate) fn read_line(&mut self, line: &mut Vec<u8>, limit: usize) -> Result<(), TraceError> {
        match self.bytes.as_mut().take(limit as u64).read_until(b'\n', line) {
            Ok(_) => Ok(()),
            Err(source) => Err(self.failed(source)),
        }
    }

    fn failed(&self, source: io::Error) -> TraceError {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        let path = self.path.clone();
        // The decoder reports corruption with these kinds, and passes on the file's own errors.
        if self.gzip && matches!(source.kind(), InvalidData | InvalidInput | UnexpectedEof) {
            TraceError::Gzip { path, source }
        } else {
            TraceError::Io { path, source }
        }
    }
}

/// A file that reports how much of it has been read.
struct Counted {
    file: Box<dyn Read + Send>,
    read: u64,
    progress: ReadProgress,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read += count as u64;
        self.progress.set(self.read);
        Ok(count)
    }
}
