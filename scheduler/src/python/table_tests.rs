//! Numbers, white space and yes against a table that Python 3.11 printed
//! (`tests/nova/python_numbers.py`).

use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;

use super::digit::ascii_digit;
use super::{float, integer, is_space, truth};

const TABLE: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nova/python-numbers.jsonl.gz"));

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Characters {
    unicode: String,
    digits: BTreeMap<char, u32>,
    numeric_spaces: Vec<char>,
    spaces: Vec<char>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reading {
    text: String,
    int: Option<String>,
    float: Option<String>,
    yes: bool,
}

fn table() -> (Characters, Vec<Reading>) {
    let mut text = String::new();
    flate2::read::GzDecoder::new(TABLE).read_to_string(&mut text).expect("gzip and UTF-8");
    let mut lines = text.lines();
    let characters = serde_json::from_str(lines.next().expect("a first line")).expect("characters");
    (characters, lines.map(|line| serde_json::from_str(line).expect("a reading")).collect())
}

/// Beyond 128 bits a number is the nearest of 128 bits.
fn expected_int(digits: &str) -> i128 {
    digits.parse().unwrap_or(if digits.starts_with('-') { i128::MIN } else { i128::MAX })
}

fn expected_float(bits: &str) -> f64 {
    f64::from_bits(u64::from_str_radix(bits, 16).expect("hexadecimal"))
}

fn same(ours: f64, pythons: f64) -> bool {
    ours.to_bits() == pythons.to_bits() || ours.is_nan() && pythons.is_nan()
}

#[test]
fn texts_are_read_as_python_reads_them() {
    let (_, readings) = table();
    assert!(readings.len() > 2000, "few texts: {}", readings.len());
    for Reading { text, int, float: real, yes } in readings {
        assert_eq!(integer(&text).ok(), int.as_deref().map(expected_int), "int({text:?})");
        let (ours, pythons) = (float(&text).ok(), real.as_deref().map(expected_float));
        let alike = ours.zip(pythons).map_or(ours.is_none() && pythons.is_none(), |(a, b)| same(a, b));
        assert!(alike, "float({text:?}): {ours:?}, Python {pythons:?}");
        assert_eq!(truth(&text), yes, "bool_from_string({text:?})");
    }
}

#[test]
fn every_character_is_the_digit_or_the_space_that_it_is_to_python() {
    let (characters, _) = table();
    assert_eq!(characters.unicode, "14.0.0");
    for c in '\0'..=char::MAX {
        let value = ascii_digit(c).and_then(|c| c.to_digit(10));
        assert_eq!(value, characters.digits.get(&c).copied(), "{c:?}");
        assert_eq!(
            integer(&format!("{c}5")) == Ok(5) && value.is_none() && c != '+',
            characters.numeric_spaces.contains(&c),
            "{c:?}"
        );
        assert_eq!(is_space(c), characters.spaces.contains(&c), "{c:?}");
    }
}
