//! Checks that the text of the repository uses plain language: comments, identifiers, messages and
//! documentation.
//!
//! `CONTRIBUTING.md` lists the words to avoid and what to write instead. No text file but those in
//! [`EXEMPT`] may contain one of them. Comments of Rust files stay within [`WIDTH`] columns.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::step::Steps;

/// Words and phrases to avoid. They match whole words in prose and in `snake_case` and `CamelCase`
/// identifiers.
const AVOIDED: [&str; 57] = [
    "anew",
    "are not there",
    "are there",
    "deed",
    "deeds",
    "dice",
    "folder",
    "folders",
    "gave back",
    "give back",
    "given back",
    "gives back",
    "giving back",
    "hear of",
    "heard of",
    "hears of",
    "hunt",
    "hunts",
    "is not there",
    "is there",
    "lately",
    "made so",
    "mended",
    "news",
    "of late",
    "outrank",
    "outranks",
    "puppet",
    "puppets",
    "room",
    "rooms",
    "shall",
    "somebody who",
    "stranger",
    "strangers",
    "take in",
    "takes in",
    "tell",
    "telling",
    "tells",
    "testimony",
    "those who",
    "told",
    "unheard",
    "untold",
    "whoever",
    "whom",
    "wish",
    "wished",
    "wishes",
    "wishing",
    "witness",
    "witnesses",
    "work out",
    "worked out",
    "working out",
    "works out",
];

/// Files that quote the words, and data.
const EXEMPT: [&str; 3] = ["CONTRIBUTING.md", "CHANGELOG.md", "xtask/src/language.rs"];

const EXTENSIONS: [&str; 8] = ["md", "proto", "py", "rs", "service", "sh", "toml", "txt"];

/// The columns of a comment, except for tables, drawings and examples.
const WIDTH: usize = 100;

/// One occurrence of an avoided word.
#[derive(Debug, PartialEq, Eq)]
struct Occurrence {
    line: usize,
    word: &'static str,
}

/// Fails if a text file contains an avoided word, and reports each occurrence.
pub(crate) fn run(steps: &mut Steps) -> Result<()> {
    let root = steps.root();
    steps.check("language", || {
        let mut found = Vec::new();
        for path in files(root)? {
            // Deleted files stay in the list until they are committed.
            let Ok(text) = fs::read_to_string(root.join(&path)) else { continue };
            let here = occurrences(&text).into_iter();
            found.extend(here.map(|Occurrence { line, word }| format!("{path}:{line}: {word}")));
            if path.ends_with(".rs") {
                let long = long_comments(&text).into_iter();
                found.extend(long.map(|line| format!("{path}:{line}: more than {WIDTH} columns")));
            }
        }
        ensure!(
            found.is_empty(),
            "words to avoid, and comments to wrap (see CONTRIBUTING.md):\n{}",
            found.join("\n")
        );
        Ok(())
    })
}

/// The text files of the repository.
pub(crate) fn files(root: &std::path::Path) -> Result<Vec<String>> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output();
    let output = output.context("cannot start git")?;
    ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    let is_text = |name: &&str| {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        (EXTENSIONS.contains(&extension) || name.starts_with(".ci/")) && !EXEMPT.contains(name)
    };
    Ok(names.split('\0').filter(is_text).map(str::to_owned).collect())
}

/// The lines of comments that are too long.
fn long_comments(text: &str) -> Vec<usize> {
    let (mut found, mut is_example) = (Vec::new(), false);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        let begin = ["//!", "///", "//"].into_iter().find_map(|begin| line.trim_start().strip_prefix(begin));
        let Some(comment) = begin else {
            is_example = false;
            continue;
        };
        if comment.trim_start().starts_with("```") {
            is_example = !is_example;
        }
        let is_set = comment.starts_with("     ") || comment.contains(['|', '─', '│', '►']);
        if line.chars().count() > WIDTH && !is_example && !is_set {
            found.push(number + 1);
        }
    }
    found
}

/// The avoided words in the text. A phrase is reported on the line of its first word.
fn occurrences(text: &str) -> Vec<Occurrence> {
    let mut by_first: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
    for avoided in AVOIDED {
        by_first.entry(avoided.split(' ').next().unwrap_or(avoided)).or_default().push(avoided);
    }
    let words = words(text);
    let mut found = Vec::new();
    for (first, (line, word)) in words.iter().enumerate() {
        for &avoided in by_first.get(word.as_str()).into_iter().flatten() {
            let mut following = words[first..].iter();
            if avoided.split(' ').all(|part| following.next().is_some_and(|(_, word)| word == part)) {
                found.push(Occurrence { line: *line, word: avoided });
            }
        }
    }
    found
}

/// The words of a text in lower case, with their lines. `CamelCase` is split into words.
fn words(text: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut word = String::new();
        let mut previous = ' ';
        for character in line.chars().chain([' ']) {
            let starts_word = character.is_uppercase() && previous.is_lowercase();
            if (!character.is_alphabetic() || starts_word) && !word.is_empty() {
                words.push((number + 1, std::mem::take(&mut word)));
            }
            if character.is_alphabetic() {
                word.extend(character.to_lowercase());
            }
            previous = character;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, &'static str)> {
        occurrences(text).into_iter().map(|Occurrence { line, word }| (line, word)).collect()
    }

    #[test]
    fn comments_that_are_too_long_are_found() {
        let long = "word ".repeat(30);
        let text = format!(
            "/// {long}\n//! | {long} |\n//     {long}\n/// short\n```\nlet text = \"{long}\";\n/// ```text\n/// {long}\n/// ```\n    // {long}"
        );
        assert_eq!(long_comments(&text), [1, 10]);
    }

    #[test]
    fn words_are_found_in_prose_and_identifiers() {
        assert_eq!(
            found("He was Told.\nfn is_told()\nstruct GuestWish;"),
            [(1, "told"), (2, "told"), (3, "wish")]
        );
        assert_eq!(
            found("takes them; it\ntakes in; given_back, given\n/// back"),
            [(2, "takes in"), (2, "given back"), (2, "given back")]
        );
        assert_eq!(found("roomy stolden inform"), []);
    }
}
