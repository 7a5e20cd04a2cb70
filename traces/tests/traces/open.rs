use berth_traces::{BatchNumber, Extent, Format, Generator, Micros, Trace, TraceError};

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
    let (vms, _) = read(AZURE, Some(Format::Neutral));
    assert_eq!(vms[0].batch, BatchNumber::new(6));
    let (_, error) = read(AZURE, Some(Format::Openb));
    assert!(error.is_some());
    let (_, error) = read(NEUTRAL, Some(Format::AzureV1));
    assert_eq!(message(&error.unwrap()), "vms.csv: the header lacks the column \"mem_gib\"");
}

/// An Alibaba trace (openb, 2023) was taken for Azure's, because it has `mem_gib`: it "lacks the
/// column flavor".
#[test]
fn a_format_that_nobody_knows_is_not_guessed() {
    const OPENB: &str = "vm_id,arrival_s,departure_s,vcpus,mem_gib,gpus,gpu_milli\n0,1,,2,0.5,1,460\n";
    let (vms, error) = read(OPENB, None);
    assert!(error.is_none());
    assert_eq!((vms[0].resources.memory_mb, vms[0].demands.as_ref().map(|d| d.gpu_milli)), (512, Some(460)));
    for (text, words) in [
        ("when,cpus,ram\n", "neutral has also arrival_s, vcpus, ram_mb"),
        ("vmid,cpu,mem,at\n", "huawei-east-1-lt has also lt"),
    ] {
        let (_directory, path) = file("vms.csv", text);
        let error = message(&Trace::open(&path, None).unwrap_err());
        assert!(error.starts_with("vms.csv: no known trace format has the header "), "{error}");
        assert!(error.ends_with(words), "{error}");
        assert_eq!(message(&Format::detect(&path).unwrap_err()), error);
    }
}

#[test]
fn files_that_are_no_text_are_called_what_they_are() {
    let utf16: Vec<u8> =
        [0xfeff].into_iter().chain(NEUTRAL.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for (bytes, words) in [
        (&b"\x28\xb5\x2f\xfd\x04\x00"[..], "compressed with zstd"),
        (b"\xfd7zXZ\0\0", "compressed with xz"),
        (b"BZh91AY", "compressed with bzip2"),
        (b"PK\x03\x04\x14", "a zip archive"),
        (&utf16, "UTF-16"),
    ] {
        let (_directory, path) = file("vms.csv", bytes);
        let error = message(&Trace::open(&path, None).unwrap_err());
        assert!(error.contains(words) && error.contains("compressed with gzip"), "{error}");
    }
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
