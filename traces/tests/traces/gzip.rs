use std::io::Write;

use berth_traces::{Format, Trace, TraceError, Unit, Vm};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::{drain, file, message};

/// Long enough for several buffers and deflate blocks.
fn text() -> String {
    let mut text = "vm_id,arrival_s,departure_s,vcpus,ram_mb,disk_gb,flavor\n".to_owned();
    for id in 0..20_000_u32 {
        let size = id.wrapping_mul(2_654_435_761) % 1000;
        text += &format!("{id},{id},,{size},{},0,flavor-{size}\n", size * 7919 % 10_007);
    }
    text
}

fn member(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Reads a file without the suffix `.gz`: the first bytes determine the format, not the name.
fn read(bytes: &[u8]) -> (Vec<Vm>, Option<TraceError>) {
    let (_directory, path) = file("vms.csv", bytes);
    drain(Trace::open(&path, Some(Format::Neutral)))
}

#[test]
fn gzip_reads_like_plain_text() {
    let text = text();
    let (plain, error) = read(text.as_bytes());
    assert!(error.is_none() && plain.len() == 20_000);
    let (zipped, error) = read(&member(&text));
    assert!(error.is_none(), "{error:?}");
    assert_eq!(zipped, plain);

    // Members may be cut anywhere, even within a row.
    let (first, second) = text.split_at(text.len() / 3);
    let (zipped, error) = read(&[member(first), member(""), member(second)].concat());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(zipped, plain);
}

/// As tapes and block devices leave it; gzip and Python read it.
#[test]
fn zeros_behind_the_end_are_ignored() {
    let text = text();
    let (zipped, error) = read(&[member(&text), vec![0; 200_000]].concat());
    assert!(error.is_none() && zipped.len() == 20_000, "{error:?}");
}

#[test]
fn a_truncated_file_is_an_error_wherever_it_is_cut() {
    let (first, second) = ("vm_id,arrival_s,departure_s,vcpus,ram_mb,disk_gb,flavor\n", text());
    let whole = member(&second);
    let cuts = [2, 3, 9, 10, 11, 100, whole.len() / 2, whole.len() - 9, whole.len() - 8, whole.len() - 1];
    for cut in cuts {
        let (_, error) = read(&whole[..cut]);
        let error = error.unwrap_or_else(|| panic!("a truncated trace was accepted, cut at {cut}"));
        assert!(matches!(error, TraceError::Gzip { .. }), "{error:?}");
        assert!(message(&error).starts_with("vms.csv: truncated or corrupt gzip data: "));
    }
    // Cuts within the second member, including its header.
    let rows = second.split_once('\n').unwrap().1;
    let (first, whole) = (member(first), member(rows));
    for cut in cuts {
        let (_, error) = read(&[&first, &whole[..cut.min(whole.len() - 1)]].concat());
        assert!(matches!(error, Some(TraceError::Gzip { .. })), "cut at {cut}: {error:?}");
    }
}

#[test]
fn a_damaged_file_is_an_error() {
    let whole = member(&text());
    // The decoder finds a flipped bit, or the checksum at the end, or the reader of the damaged
    // row.
    for at in [whole.len() / 3, whole.len() / 2, whole.len() - 6, whole.len() - 2] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert!(read(&damaged).1.is_some(), "bit flipped at {at}");
    }
    let trailing = [whole, b"not gzip".to_vec()].concat();
    assert!(matches!(read(&trailing).1, Some(TraceError::Gzip { .. })));
}

#[test]
fn progress_counts_stored_bytes() {
    let zipped = member(&text());
    let (_directory, path) = file("vms.csv", &zipped);
    let mut trace = Trace::open(&path, None).unwrap();
    let progress = trace.progress();
    assert_eq!((progress.unit(), progress.total()), (Unit::Bytes, zipped.len() as u64));
    assert_eq!(trace.by_ref().filter(Result::is_ok).count(), 20_000);
    assert_eq!(progress.done(), progress.total());
    assert_eq!(progress.fraction(), Some(1.0));
}
