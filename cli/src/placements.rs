//! The placements CSV, in the reference oracle's format: `vm_id,host_id`, one line per VM in order
//! of the trace.
//!
//! IDs come from traces of others. One with a comma, a quote or a line end is quoted; one that a
//! spreadsheet would evaluate as a formula gets an apostrophe before it, which spreadsheets take
//! for the mark of a text.

use std::borrow::Cow;
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

/// A text as a field of the file.
fn field(text: &str) -> Cow<'_, str> {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let is_quoted = text.contains([',', '"', '\n', '\r']);
    if !is_formula && !is_quoted {
        return Cow::Borrowed(text);
    }
    let text = format!("{}{text}", if is_formula { "'" } else { "" });
    Cow::Owned(if is_quoted { format!("\"{}\"", text.replace('"', "\"\"")) } else { text })
}

impl Placements {
    pub(crate) fn new(file: Option<BufWriter<File>>) -> Self {
        let mut pending = Vec::with_capacity(BUFFER + 256);
        pending.extend_from_slice(b"vm_id,host_id\n");
        Self { pending, digest: Sha256::new(), file }
    }

    pub(crate) fn push(&mut self, vm: &Vm, host: Option<&TraceHost>) -> io::Result<()> {
        self.pending.extend_from_slice(field(&vm.id).as_bytes());
        self.pending.push(b',');
        self.pending.extend_from_slice(field(host.map_or("rejected", |host| &host.id)).as_bytes());
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `=HYPERLINK(…)` as the ID of a VM was evaluated by the spreadsheet that opened the file.
    #[test]
    fn an_id_is_no_formula_and_no_line_of_its_own() {
        for (id, expected) in [
            ("vm-1", "vm-1"),
            ("5", "5"),
            ("=1+2", "'=1+2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-2", "'-2"),
            ("\tx", "'\tx"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\nb,rejected", "\"a\nb,rejected\""),
            ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
        ] {
            assert_eq!(field(id), expected);
        }
    }
}
