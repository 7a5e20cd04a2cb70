//! The Placement query against recorded answers of Nova: `tests/nova/placement_query.py` makes and
//! asks them, and `tests/nova/number_cases.py` those with numbers of all kinds.

use std::path::Path;

use berth_test_support::replay::{check_query, lines};

/// Checks a file and returns how many queries it has.
fn assert_all_pass(name: &str) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/nova/{name}.jsonl.gz"));
    let lines = lines(&path).expect("readable");
    let failed: Vec<_> = lines.iter().filter_map(|line| check_query(line).err()).collect();
    assert!(failed.is_empty(), "{name}: {} differ, such as\n{}", failed.len(), failed[0]);
    lines.len()
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
