use berth_traces::{Extent, Format, Generator, Micros, Trace, TraceError};

use crate::{drain, file, message, read, vm};

const NEUTRAL: &str = "vm_id,arrival_s,departure_s,vcpus,ram_mb,disk_gb,flavor\n0,1,2,3,4,5,f\n";
const AZURE: &str = "vm_id,arrival_s,departure_s,vcpus,mem_gib,flavor,batch\na,1,2,3.0,4.0,f,6\n";

#[test]
fn the_header_determines_the_format() {
    for (text, format) in [(NEUTRAL, Format::Neutral), (AZURE, Format::AzureV1)] {
        let (_directory, path) = file("vms.csv", text);
        assert_eq!(Format::detect(&path).unwrap(), format);
        assert_eq!(drain(Trace::open(&path, None)).0, drain(Trace::open(&path, Some(format))).0);
        assert_eq!(Trace::open(&path, None).unwrap().name(), "vms.csv");
    }
}

#[test]
fn a_named_format_is_enforced() {
    let (_, error) = read(AZURE, Some(Format::Neutral));
    assert_eq!(message(&error.unwrap()), "vms.csv: the header lacks the column \"ram_mb\"");
    let (_, error) = read(NEUTRAL, Some(Format::AzureV1));
    assert_eq!(message(&error.unwrap()), "vms.csv: the header lacks the column \"mem_gib\"");
}

#[test]
fn files_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("vms.csv");
    let error = Trace::open(&missing, None).unwrap_err();
    assert!(matches!(error, TraceError::Io { .. }));
    assert_eq!(message(&error), "vms.csv: cannot be read: No such file or directory (os error 2)");
    assert!(matches!(Format::detect(directory.path()), Err(TraceError::Io { .. })), "a directory");
}

#[test]
fn traces_of_memory_and_of_generators_report_progress() {
    let vms = vec![vm("a", (0, None), (1, 1, 1), "f", None), vm("b", (5, None), (1, 1, 1), "f", None)];
    let mut trace = Trace::from_vms("two", vms.clone());
    let progress = trace.progress();
    assert_eq!(progress.fraction(), Some(0.0));
    assert_eq!(trace.next().unwrap().unwrap(), vms[0]);
    assert_eq!(progress.fraction(), Some(0.5));
    assert_eq!(drain(Ok(trace)).0, vms[1..]);

    for extent in [Extent::Vms(100), Extent::Duration(Micros::from_secs(1000))] {
        let trace = Generator::azure_like(1, extent).trace();
        let progress = trace.progress();
        assert!(progress.total() == 100 || progress.total() == 1000);
        let (vms, _) = drain(Ok(trace));
        assert!(vms.len() >= 100);
        assert_eq!(progress.fraction(), Some(1.0));
    }
}

#[test]
fn traces_and_progress_cross_threads() {
    fn crosses<T: Send>(_: &T) {}
    let trace = Trace::from_vms("none", Vec::new());
    crosses(&trace);
    crosses(&trace.progress());
}
