//! The placements CSV, in the reference oracle's format: `vm_id,host_id`, one line per VM in order of the trace.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use berth_traces::{TraceHost, Vm};
use sha2::{Digest, Sha256};

/// Lines gathered before they are hashed and written.
const BUFFER: usize = 1 << 16;

/// Writes decisions, or only hashes them.
pub(crate) struct Placements {
    pending: Vec<u8>,
    digest: Sha256,
    file: Option<BufWriter<File>>,
}

impl Placements {
    pub(crate) fn new(file: Option<BufWriter<File>>) -> Self {
        let mut pending = Vec::with_capacity(BUFFER + 256);
        pending.extend_from_slice(b"vm_id,host_id\n");
        Self { pending, digest: Sha256::new(), file }
    }

    pub(crate) fn push(&mut self, vm: &Vm, host: Option<&TraceHost>) -> io::Result<()> {
        self.pending.extend_from_slice(vm.id.as_bytes());
        self.pending.push(b',');
        self.pending.extend_from_slice(host.map_or("rejected", |host| &host.id).as_bytes());
        self.pending.push(b'\n');
        if self.pending.len() >= BUFFER { self.drain() } else { Ok(()) }
    }

    /// Writes what is pending; returns the SHA-256 of the whole file.
    pub(crate) fn finish(mut self) -> io::Result<String> {
        self.drain()?;
        if let Some(file) = &mut self.file {
            file.flush()?;
        }
        Ok(self.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn drain(&mut self) -> io::Result<()> {
        self.digest.update(&self.pending);
        if let Some(file) = &mut self.file {
            file.write_all(&self.pending)?;
        }
        self.pending.clear();
        Ok(())
    }
}
