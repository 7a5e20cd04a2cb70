//! Policy files: the part of YAML that policies are written in, lines of `"rule": "check"`, or a
//! JSON object.

/// A policy file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFile {
    /// A line is not of the form `"rule": "check"`.
    #[error("line {line}: not of the form \"rule\": \"check\": {text}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// The content.
        text: String,
    },
    /// It begins like JSON, but is not an object of texts.
    #[error("the policy is not a JSON object of texts: {0}")]
    Json(String),
}

/// A rule of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The line it stands on, from 1.
    pub(super) line: usize,
    pub(super) rule: String,
    pub(super) check: String,
}

/// The rules of a file, in order.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, InvalidFile> {
    if text.trim_start().starts_with('{') {
        let rules: std::collections::BTreeMap<String, String> =
            serde_json::from_str(text).map_err(|error| InvalidFile::Json(error.to_string()))?;
        let line =
            |rule: &str| text.lines().position(|line| line.contains(&format!("\"{rule}\""))).unwrap_or(0);
        let entry = |(rule, check): (String, String)| Entry { line: line(&rule) + 1, rule, check };
        return Ok(rules.into_iter().map(entry).collect());
    }
    let lines = (1..).zip(text.lines()).map(|(line, text)| (line, text.trim()));
    let lines = lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#') && *text != "---");
    let entry = |(line, text): (usize, &str)| {
        let (rule, check) = rule(text).ok_or(InvalidFile::Line { line, text: text.to_owned() })?;
        Ok(Entry { line, rule, check })
    };
    lines.map(entry).collect()
}

fn rule(line: &str) -> Option<(String, String)> {
    let (name, rest) = scalar(line, true)?;
    let (check, rest) = scalar(rest.trim_start().strip_prefix(':')?.trim_start(), false)?;
    let rest = rest.trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some((name, check))
}

/// The text that a line begins with, quoted or not, and what follows it.
fn scalar(line: &str, is_key: bool) -> Option<(String, &str)> {
    if let Some(mark) = line.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        let end = line[1..].find(mark)? + 1;
        return Some((line[1..end].to_owned(), &line[end + 1..]));
    }
    let end = if is_key { line.find(": ")? } else { line.find(" #").unwrap_or(line.len()) };
    Some((line[..end].trim().to_owned(), &line[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_objects_are_read() {
        let yaml = "# rights of users\n---\n\"placement:traits:list\": \"@\"\n\nadmin_api: 'role:admin' # us\nplacement:usages: role:a or role:b\n";
        let rules = parse(yaml).unwrap();
        let rules: Vec<_> =
            rules.iter().map(|entry| (entry.line, entry.rule.as_str(), entry.check.as_str())).collect();
        let expected = [
            (3, "placement:traits:list", "@"),
            (5, "admin_api", "role:admin"),
            (6, "placement:usages", "role:a or role:b"),
        ];
        assert_eq!(rules, expected);
        let json = Entry { line: 2, rule: "a".to_owned(), check: "!".to_owned() };
        assert_eq!(parse("{\n \"a\": \"!\"}").unwrap(), [json]);
    }

    #[test]
    fn invalid_lines_are_reported_with_their_number() {
        let broken = InvalidFile::Line { line: 2, text: "- list".to_owned() };
        assert_eq!(parse("a: \"@\"\n  - list\n"), Err(broken));
        assert!(matches!(parse("{\"a\": 1}"), Err(InvalidFile::Json(_))));
    }
}
