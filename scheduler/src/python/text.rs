//! White space and quoting.

/// Whether Python's `str.isspace` counts the character as white space.
#[must_use]
pub(crate) const fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// The text without white space at its ends, as `str.strip()` gives it.
#[must_use]
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Whether the text means yes, as `strutils.bool_from_string` of oslo reads it: every other text
/// means no. Digits of other scripts than ASCII are no words for it.
#[must_use]
pub fn truth(text: &str) -> bool {
    matches!(strip(text).to_lowercase().as_str(), "1" | "t" | "true" | "on" | "y" | "yes")
}

/// The words of the text, as `str.split()` gives them.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// Format characters (general category Cf of Unicode 14.0), which do not print.
const FORMATS: [(char, char); 21] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{2064}'),
    ('\u{2066}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{13438}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0001}', '\u{e0001}'),
    ('\u{e0020}', '\u{e007f}'),
];

/// Whether `repr()` prints the character as it is. It also escapes characters of private use and
/// those that are not assigned, which print here.
fn is_printable(c: char) -> bool {
    let is_format = FORMATS.iter().any(|(first, last)| (*first..=*last).contains(&c));
    c == ' ' || !(c.is_control() || is_space(c) || is_format)
}

fn escaped(code: u32) -> String {
    match code {
        ..0x100 => format!("\\x{code:02x}"),
        0x100..0x1_0000 => format!("\\u{code:04x}"),
        _ => format!("\\U{code:08x}"),
    }
}

/// The text as `repr()` prints it inside a list or a dictionary.
#[must_use]
pub fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if !is_printable(c) => out.push_str(&escaped(u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_white_space() {
        assert_eq!(words("a\u{1c}b \u{3000}c").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(strip("\u{1f} x\n"), "x");
    }

    #[test]
    fn quotes_like_repr() {
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("a'\"\n\u{1}"), "'a\\'\"\\n\\x01'");
        // As Python 3.11 prints them.
        assert_eq!(quoted("\u{1680}\u{200b} \u{663}"), "'\\u1680\\u200b \u{663}'");
        assert_eq!(quoted("\u{e0001}\u{ad}\u{85}"), "'\\U000e0001\\xad\\x85'");
    }
}
