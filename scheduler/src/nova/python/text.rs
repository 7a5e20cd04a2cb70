//! White space and quoting.

/// Whether Python's `str.isspace` counts the character as white space.
#[must_use]
pub const fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// The text without white space at its ends, as `str.strip()` gives it.
#[must_use]
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Whether the text means yes, as `strutils.bool_from_string` of oslo reads it: every other text means no. Digits of other
/// scripts than ASCII are no words for it.
#[must_use]
pub fn truth(text: &str) -> bool {
    matches!(strip(text).to_lowercase().as_str(), "1" | "t" | "true" | "on" | "y" | "yes")
}

/// The words of the text, as `str.split()` gives them.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
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
            c if c.is_control() && u32::from(c) < 0x100 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
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
    }
}
