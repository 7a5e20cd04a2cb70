//! For any bytes, a reader returns VMs in order or an error.

use berth_traces::{Format, neutral};
use flate2::Compression;
use flate2::read::GzEncoder;
use proptest::prelude::*;
use proptest::sample::Index;
use std::io::Read;

use crate::{file, read};

const GOOD: [&str; 2] = [
    "vm_id,arrival_s,departure_s,vcpus,ram_mb,disk_gb,flavor\n\
     0,0,3600.5,1,1792,32,c1\n1,0,,64,262144,0,e64\n2,7.001,7.01,2,4096,48,d2\n",
    "vm_id,arrival_s,departure_s,vcpus,mem_gib,flavor,batch,dur_lo_s,dur_hi_s,censored,split\n\
     a-0,0,900,8.0,14.0,m,0,900,900,0,test\na-1,300,,1.0,1.75,b,1,300,300,1,test\n",
];

fn holds(bytes: &[u8]) {
    for format in [None, Some(Format::Neutral), Some(Format::AzureV1)] {
        let (vms, error) = read(bytes, format);
        assert!(vms.is_sorted_by_key(|vm| vm.arrival));
        assert!(vms.iter().all(|vm| vm.departure.is_none_or(|departure| departure >= vm.arrival)));
        if let Some(error) = error {
            assert!(error.to_string().len() < 1000, "{error}");
        }
    }
    let (_directory, path) = file("hosts.csv", bytes);
    let _ = neutral::read_hosts(path);
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut zipped = Vec::new();
    GzEncoder::new(bytes, Compression::default()).read_to_end(&mut zipped).unwrap();
    zipped
}

/// The bytes with some changed, removed or inserted.
fn edited(mut bytes: Vec<u8>, edits: &[(Index, u8, u8)]) -> Vec<u8> {
    for (at, kind, byte) in edits {
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = *byte,
            1 if bytes.len() > 1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, *byte),
        }
    }
    bytes
}

fn edits() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"0123456789.,-\n\r\"".to_vec())];
    prop::collection::vec((any::<Index>(), 0_u8..3, byte), 1..6)
}

proptest! {
    #[test]
    fn any_bytes(bytes: Vec<u8>) {
        holds(&bytes);
        holds(&[&[0x1f, 0x8b], &bytes[..]].concat());
    }

    #[test]
    fn any_rows_below_a_good_header(which in 0..GOOD.len(), rows in "[0-9.,\\-\n\r\"xé]{0,200}") {
        let header = GOOD[which].split_inclusive('\n').next().unwrap();
        holds(format!("{header}{rows}").as_bytes());
    }

    #[test]
    fn edited_files(which in 0..GOOD.len(), edits in edits()) {
        holds(&edited(GOOD[which].into(), &edits));
    }

    #[test]
    fn edited_gzip_files(which in 0..GOOD.len(), edits in edits()) {
        holds(&edited(zipped(GOOD[which].as_bytes()), &edits));
    }
}
