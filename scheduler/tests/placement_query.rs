//! The Placement query against recorded answers of Nova: `tests/nova/placement_query.py` makes and asks them,
//! and `tests/nova/number_cases.py` those with numbers of all kinds.

#[path = "nova/replay/placement.rs"]
mod placement;

use std::io::Read;

fn lines(path: &str) -> String {
    let file = std::fs::File::open(path).expect("the vectors are there");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("the vectors are gzip and UTF-8");
    text
}

/// Checks a file and returns how many queries it has.
fn assert_all_pass(name: &str) -> usize {
    let text = lines(&format!("{}/tests/nova/{name}.jsonl.gz", env!("CARGO_MANIFEST_DIR")));
    let failed: Vec<_> = text.lines().filter_map(|line| placement::check(line).err()).collect();
    assert!(failed.is_empty(), "{name}: {} differ, such as\n{}", failed.len(), failed[0]);
    text.lines().count()
}

#[test]
fn queries_are_novas() {
    assert!(assert_all_pass("placement_query") > 300, "few vectors");
}

/// Amounts, masks and flags in any script.
#[test]
fn queries_with_numbers_are_novas() {
    assert!(assert_all_pass("number-queries") > 100, "few vectors");
}
