//! The Placement query against recorded answers of Nova: `tests/nova/placement_query.py` makes and asks them.

#[path = "nova/replay/placement.rs"]
mod placement;

use std::io::Read;

fn lines(path: &str) -> String {
    let file = std::fs::File::open(path).expect("the vectors are there");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("the vectors are gzip and UTF-8");
    text
}

#[test]
fn queries_are_novas() {
    let text = lines(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nova/placement_query.jsonl.gz"));
    let failed: Vec<_> = text.lines().filter_map(|line| placement::check(line).err()).collect();
    assert!(text.lines().count() > 300, "few vectors");
    assert!(failed.is_empty(), "{} differ, such as\n{}", failed.len(), failed[0]);
}
