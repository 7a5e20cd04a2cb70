//! Formats numbers and texts for readers.

use std::fmt::{self, Display, Write};

/// The placeholder for a missing value.
pub(super) const NONE: &str = "–";

/// A text escaped for HTML content and quoted attributes. Characters that are not shown but change
/// how others are shown, such as U+202E, are spelled out: with them, a name could look like
/// another.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            other if is_invisible(other) => write!(f, "\\u{{{:x}}}", u32::from(other)),
            other => f.write_char(other),
        })
    }
}

/// Controls, marks of direction and the like. `berth_process::printable` lists the same ones for
/// terminals.
fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A number with a comma before every three digits.
pub(super) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A ratio in per cent. Only 0 is shown as 0 % and only 1 as 100 %.
pub(super) fn percent(ratio: f64) -> String {
    match ratio {
        0.0 => "0 %".to_owned(),
        1.0 => "100 %".to_owned(),
        ratio if ratio < 0.000_1 => "<0.01 %".to_owned(),
        ratio if ratio < 0.01 => format!("{:.2} %", ratio * 100.0),
        ratio if ratio > 0.999 && ratio < 1.0 => ">99.9 %".to_owned(),
        ratio => format!("{:.1} %", ratio * 100.0),
    }
}

/// A ratio in per cent, or a dash.
pub(super) fn percent_or_none(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| NONE.to_owned(), percent)
}

/// Mebibytes in the largest unit in which the value is at least ten.
pub(super) fn memory(mebibytes: u64) -> String {
    const UNITS: [&str; 4] = ["MiB", "GiB", "TiB", "PiB"];
    let mut size = 0;
    let mut value = mebibytes as f64;
    while value >= 10_240.0 && size + 1 < UNITS.len() {
        value /= 1024.0;
        size += 1;
    }
    let unit = UNITS[size];
    if size == 0 { format!("{} {unit}", number(mebibytes)) } else { format!("{} {unit}", decimal(value)) }
}

/// One decimal, unless it would be 0.
fn decimal(value: f64) -> String {
    let tenths = (value * 10.0).round() as u64;
    if tenths >= 10_000 || tenths.is_multiple_of(10) {
        number(value.round() as u64)
    } else {
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

/// A duration in its two largest units.
pub(super) fn duration(microseconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    if microseconds < 10_000_000 {
        return seconds(microseconds);
    }
    let seconds = microseconds / 1_000_000;
    let first = UNITS.iter().position(|&(length, _)| seconds >= length).unwrap_or(UNITS.len() - 1);
    let (length, unit) = UNITS[first];
    let mut text = format!("{} {unit}", number(seconds / length));
    if let Some(&(next, unit)) = UNITS.get(first + 1)
        && seconds % length >= next
    {
        let _ = write!(text, " {} {unit}", seconds % length / next);
    }
    text
}

/// A short duration in seconds, with all its digits.
fn seconds(microseconds: u64) -> String {
    let text = format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000);
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `1 host`, `2 hosts`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn only_nothing_is_zero_and_only_everything_a_hundred_per_cent() {
        assert_eq!(
            [0.0, 1e-9, 0.000_1, 0.004_2, 0.01].map(percent),
            ["0 %", "<0.01 %", "0.01 %", "0.42 %", "1.0 %"]
        );
        assert_eq!([0.5, 0.998_9, 0.999_99, 1.0].map(percent), ["50.0 %", "99.9 %", ">99.9 %", "100 %"]);
    }

    #[test]
    fn memory_is_in_a_readable_unit() {
        let mebibytes = [0, 512, 10_240, 15_872, 52_428_800, u64::MAX];
        assert_eq!(
            mebibytes.map(memory),
            ["0 MiB", "512 MiB", "10 GiB", "15.5 GiB", "50 TiB", "17,179,869,184 PiB"]
        );
    }

    #[test]
    fn durations_have_two_units() {
        const SECOND: u64 = 1_000_000;
        let lengths = [0, 1, 1_500_000, 10 * SECOND, 61 * SECOND, 7_200 * SECOND, 90_000 * SECOND];
        assert_eq!(
            lengths.map(duration),
            ["0 s", "0.000001 s", "1.5 s", "10 s", "1 min 1 s", "2 h", "1 d 1 h"]
        );
    }

    #[test]
    fn one_has_no_plural() {
        assert_eq!([0, 1, 2_000].map(|count| counted(count, "VM")), ["0 VMs", "1 VM", "2,000 VMs"]);
    }
}
