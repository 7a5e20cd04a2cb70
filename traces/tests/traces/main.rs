//! The public interface of the crate: files in, VMs or messages out.

mod azure_v1;
mod formats;
mod generator;
mod gzip;
mod inspect;
mod neutral;
mod open;
mod reference;
mod robustness;

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use berth_traces::{BatchNumber, Format, Micros, Resources, Trace, TraceError, Vm};
use tempfile::TempDir;

/// A directory with one file called `name`.
fn file(name: &str, bytes: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    (directory, path)
}

/// The VMs of a trace up to its end or its first error, after which it must stay ended.
fn drain(trace: Result<Trace, TraceError>) -> (Vec<Vm>, Option<TraceError>) {
    let mut trace = match trace {
        Ok(trace) => trace,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let (mut vms, mut failed) = (Vec::new(), None);
    for vm in trace.by_ref() {
        match vm {
            Ok(vm) => vms.push(vm),
            Err(error) => assert!(failed.replace(error).is_none(), "a trace has one error at most"),
        }
    }
    assert!(trace.next().is_none());
    (vms, failed)
}

/// The result of [`drain`] for a file with these bytes.
fn read(bytes: impl AsRef<[u8]>, format: Option<Format>) -> (Vec<Vm>, Option<TraceError>) {
    let (_directory, path) = file("vms.csv", bytes);
    drain(Trace::open(&path, format))
}

/// The VMs of a valid file.
fn read_good(bytes: impl AsRef<[u8]>) -> Vec<Vm> {
    let (vms, error) = read(bytes, None);
    assert!(error.is_none(), "{error:?}");
    vms
}

/// The number of good rows, and the message, of an invalid file called `vms.csv`.
fn read_bad(bytes: impl AsRef<[u8]>) -> (usize, String) {
    let (vms, error) = read(bytes, None);
    (vms.len(), message(&error.expect("the file is invalid")))
}

/// The message with its sources, without the directory of the file.
fn message(error: &dyn Error) -> String {
    let mut message = error.to_string();
    if let Some(at) = message.find("vms.csv") {
        message.replace_range(..at, "");
    }
    match error.source() {
        Some(source) => format!("{message}: {source}"),
        None => message,
    }
}

fn vm(id: &str, span: (u64, Option<u64>), sizes: (u32, u32, u32), flavor: &str, batch: Option<u64>) -> Vm {
    let (vcpus, memory_mb, disk_gb) = sizes;
    Vm {
        id: id.into(),
        arrival: Micros(span.0),
        departure: span.1.map(Micros),
        resources: Resources { vcpus, memory_mb, disk_gb },
        flavor: flavor.into(),
        batch: batch.and_then(BatchNumber::new),
        demands: None,
    }
}
