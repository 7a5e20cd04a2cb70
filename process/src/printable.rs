//! Text that is safe to print: characters that act on a terminal are escaped.
//!
//! Names, messages and values come from clients, agents, images and files. A control character in
//! one of them could move the cursor, and a direction-changing one could show a name as another.
//! Both are printed as `\u{1b}` or `\u{202e}`. A backslash stays as it is: names that contain one
//! are more frequent than names that imitate an escape.

use std::borrow::Cow;
use std::fmt::Write;

/// One line of text, such as a table's cell or a log field. Line ends are escaped, too.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, acts_on_terminal, write_rust)
}

/// Text of several lines: as [`line()`], but line ends and tabs stay.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| acts_on_terminal(letter) && !matches!(letter, '\n' | '\t'), write_rust)
}

/// A JSON document of the same value. Only its strings can contain such characters, so JSON's own
/// escapes serve.
#[must_use]
pub fn json(document: &str) -> Cow<'_, str> {
    escaped(document, |letter| acts_on_terminal(letter) && !matches!(letter, '\n' | '\r' | '\t'), write_json)
}

fn escaped(text: &str, escapes: impl Fn(char) -> bool, write: impl Fn(&mut String, char)) -> Cow<'_, str> {
    // Most texts are ASCII: a pass over bytes without a branch decides most of them.
    let line_end = if escapes('\n') { b' ' } else { b'\n' };
    let is_plain =
        text.bytes().fold(true, |plain, byte| plain & (matches!(byte, b' '..=b'~') | (byte == line_end)));
    if is_plain || !text.chars().any(&escapes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if escapes(letter) {
            write(&mut out, letter);
        } else {
            out.push(letter);
        }
    }
    Cow::Owned(out)
}

fn write_rust(out: &mut String, letter: char) {
    match letter {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        letter => drop(write!(out, "\\u{{{:x}}}", u32::from(letter))),
    }
}

fn write_json(out: &mut String, letter: char) {
    for unit in letter.encode_utf16(&mut [0; 2]) {
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// Whether a terminal obeys the character instead of showing it: controls, line and paragraph
/// separators, marks of direction, and the invisible characters that hide text.
fn acts_on_terminal(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}' // soft hyphen
                | '\u{61c}' // Arabic letter mark
                | '\u{180e}' // Mongolian vowel separator
                | '\u{200b}' // zero width space; U+200C and U+200D join letters of words and stay
                | '\u{200e}'..='\u{200f}' // left-to-right and right-to-left mark
                | '\u{2028}'..='\u{202e}' // separators, embeddings and overrides
                | '\u{2060}'..='\u{206f}' // word joiner, invisible operators, isolates, deprecated shaping
                | '\u{feff}' // byte order mark
                | '\u{fff9}'..='\u{fffb}' // interlinear annotations
                | '\u{e0000}'..='\u{e007f}' // tags
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A name with U+202E was shown as another name, and one with an escape sequence changed the
    /// terminal's colours.
    #[test]
    fn characters_that_act_on_a_terminal_are_escaped() {
        for (text, shown) in [
            ("vm-\u{202e}1", "vm-\\u{202e}1"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{7f}\u{0}\u{8}", "a\\u{7f}\\u{0}\\u{8}"),
            ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
            ("a\u{feff}b\u{200b}", "a\\u{feff}b\\u{200b}"),
            ("two\nlines\r\tx", "two\\nlines\\r\\tx"),
        ] {
            assert_eq!(line(text), shown);
        }
    }

    #[test]
    fn letters_of_all_scripts_stay() {
        for text in ["Größe", "日本語", "עברית", "नमस्ते", "a\u{200d}b", "👩\u{200d}💻", "C:\\x", ""]
        {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn text_of_several_lines_keeps_its_lines() {
        assert_eq!(lines("a\n\tb\u{1b}\r\n"), "a\n\tb\\u{1b}\\r\n");
    }

    proptest! {
        #[test]
        fn json_keeps_its_value(text in "(\\PC|[\u{0}-\u{1f}\u{7f}-\u{9f}\u{200b}-\u{202e}\u{feff}\u{e0020}\"\\\\]){0,20}") {
            let document = serde_json::to_string_pretty(&serde_json::json!({ &text: [&text] })).unwrap();
            let printed = json(&document);
            prop_assert!(!printed.chars().any(|letter| acts_on_terminal(letter) && letter != '\n'));
            let value: serde_json::Value = serde_json::from_str(&printed).unwrap();
            prop_assert_eq!(value, serde_json::json!({ &text: [&text] }));
        }

        #[test]
        fn what_was_escaped_is_not_escaped_again(text in "\\PC{0,5}[\u{0}-\u{9f}\u{2020}-\u{2070}]{0,5}") {
            let once = line(&text);
            prop_assert_eq!(line(&once), once.as_ref());
        }
    }
}
