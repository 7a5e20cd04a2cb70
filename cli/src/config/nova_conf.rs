//! `nova.conf`: the dialect of oslo.config.
//!
//! `key = value` or `key: value` in `[sections]`, whose names may be in capitals but for
//! `[DEFAULT]`, which has to be; a line that begins with white space goes on with the value above
//! it; `#` and `;` begin a comment only at the start of a line. A key may come again: lists of
//! values keep all, other options the last. `$name`, `${name}` and `$section.name` stand for other
//! values, `$$` for a dollar sign.

use std::collections::BTreeMap;

/// Values by section and key, each with the line it stands on.
#[derive(Debug, Default)]
pub(super) struct NovaConf {
    sections: BTreeMap<String, BTreeMap<String, Vec<Assignment>>>,
}

/// One value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) value: String,
    pub(super) line: usize,
}

/// A line that is neither section, nor assignment, nor comment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) problem: &'static str,
}

/// How deep values may refer to each other.
const MAX_DEPTH: usize = 16;

impl NovaConf {
    /// Reads a file's text.
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut reader = Reader::default();
        for (at, line) in text.lines().enumerate() {
            reader.line(line.trim_end(), at + 1)?;
        }
        Ok(reader.conf)
    }

    /// Sections that have this name but for blanks and capitals, and that oslo.config takes for
    /// others.
    pub(super) fn mistaken<'a>(&'a self, section: &'a str) -> impl Iterator<Item = (&'a str, usize)> {
        let is_mistaken = move |name: &str| name != section && name.trim().eq_ignore_ascii_case(section);
        let first_line = |keys: &BTreeMap<String, Vec<Assignment>>| {
            keys.values().flatten().map(|assignment| assignment.line).min().unwrap_or(0)
        };
        let mistaken = self.sections.iter().filter(move |(name, _)| is_mistaken(name));
        mistaken.map(move |(name, keys)| (name.as_str(), first_line(keys)))
    }

    /// The last value of a key.
    pub(super) fn get(&self, section: &str, key: &str) -> Option<&Assignment> {
        self.sections.get(section)?.get(key)?.last()
    }

    /// Every value of a key, in order.
    pub(super) fn all(&self, section: &str, key: &str) -> &[Assignment] {
        self.sections.get(section).and_then(|keys| keys.get(key)).map_or(&[], Vec::as_slice)
    }

    /// The keys of a section.
    pub(super) fn keys(&self, section: &str) -> impl Iterator<Item = &str> {
        self.sections.get(section).into_iter().flatten().map(|(key, _)| key.as_str())
    }

    /// The value with what it refers to. A name without a section is looked up in `section`, then
    /// in `[DEFAULT]`.
    ///
    /// # Errors
    ///
    /// The name that has no value in the file, or that refers to itself.
    pub(super) fn expand(&self, section: &str, value: &str) -> Result<String, String> {
        self.expand_within(section, value, 0)
    }

    fn expand_within(&self, section: &str, value: &str, depth: usize) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = value;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            rest = match reference(after) {
                Reference::Dollar(rest) => {
                    out.push('$');
                    rest
                }
                Reference::Name(name, rest) => {
                    let (section, found) =
                        self.resolve(section, name).filter(|_| depth < MAX_DEPTH).ok_or(name)?;
                    out.push_str(&self.expand_within(section, found, depth + 1)?);
                    rest
                }
                Reference::None => {
                    out.push('$');
                    after
                }
            };
        }
        Ok(out + rest)
    }

    fn resolve<'a>(&'a self, section: &'a str, name: &'a str) -> Option<(&'a str, &'a str)> {
        let find =
            |section: &'a str, key| self.get(section, key).map(|found| (section, found.value.as_str()));
        let qualified = name.split_once('.').and_then(|(section, key)| find(section, key));
        qualified.or_else(|| find(section, name)).or_else(|| find("DEFAULT", name))
    }
}

/// What follows a dollar sign, and the text after it.
enum Reference<'a> {
    Dollar(&'a str),
    Name(&'a str, &'a str),
    None,
}

fn reference(after: &str) -> Reference<'_> {
    if let Some(rest) = after.strip_prefix('$') {
        return Reference::Dollar(rest);
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    if let Some((name, rest)) = after.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
        return if !name.is_empty() && name.chars().all(is_name) {
            Reference::Name(name, rest)
        } else {
            Reference::None
        };
    }
    let starts = after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
    if starts { Reference::Name(&after[..end], &after[end..]) } else { Reference::None }
}

#[derive(Default)]
struct Reader {
    conf: NovaConf,
    section: Option<String>,
    /// The key whose value may go on.
    open: Option<String>,
}

impl Reader {
    fn line(&mut self, line: &str, number: usize) -> Result<(), SyntaxError> {
        let error = |problem| SyntaxError { line: number, problem };
        if line.is_empty() {
            self.open = None;
        } else if line.starts_with([' ', '\t']) {
            let key = self.open.clone().ok_or_else(|| error("nothing goes on here"))?;
            self.extend(&key, line.trim_start());
        } else if let Some(rest) = line.strip_prefix('[') {
            let name = rest.strip_suffix(']').ok_or_else(|| error("the section does not end with ]"))?;
            self.section = Some(normalized(name)).filter(|name| !name.is_empty());
            self.open = None;
            self.section.as_ref().ok_or_else(|| error("the section has no name"))?;
        } else if line.starts_with(['#', ';']) {
            self.open = None;
        } else {
            let at = line
                .find(['=', ':'])
                .ok_or_else(|| error("neither section, nor key = value, nor comment"))?;
            let key = line[..at].trim();
            (!key.is_empty()).then_some(()).ok_or_else(|| error("the key is missing"))?;
            self.section.as_ref().ok_or_else(|| error("an option before the first [section]"))?;
            self.assign(key, unquote(line[at + 1..].trim()), number);
        }
        Ok(())
    }

    fn values(&mut self, key: &str) -> &mut Vec<Assignment> {
        let section = self.section.clone().unwrap_or_default();
        self.conf.sections.entry(section).or_default().entry(key.to_owned()).or_default()
    }

    fn assign(&mut self, key: &str, value: &str, line: usize) {
        self.values(key).push(Assignment { value: value.to_owned(), line });
        self.open = Some(key.to_owned());
    }

    fn extend(&mut self, key: &str, more: &str) {
        if let Some(last) = self.values(key).last_mut() {
            last.value.push('\n');
            last.value.push_str(more);
        }
    }
}

/// The name that oslo.config gives a section: small letters, but for `[DEFAULT]`. `[default]` is
/// another section.
fn normalized(name: &str) -> String {
    if name == "DEFAULT" { name.to_owned() } else { name.to_lowercase() }
}

/// The text without quotes around all of it. A quote alone is around nothing.
fn unquote(text: &str) -> &str {
    let inner = |quote| if text == quote { Some("") } else { text.strip_prefix(quote)?.strip_suffix(quote) };
    inner("\"").or_else(|| inner("'")).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_dialect() {
        let conf = NovaConf::parse(
            "[DEFAULT]\nbefore = 1\n[a]\nx : y = z\nq = \"two words\"\nlist = a,\n  b,\n\tc\n\n# comment\n;x = 2\nlist2=\n  d\nx = 3\n",
        )
        .unwrap();
        assert_eq!(conf.get("DEFAULT", "before").unwrap().value, "1");
        let values: Vec<_> = conf.all("a", "x").iter().map(|a| (a.value.as_str(), a.line)).collect();
        assert_eq!(values, [("y = z", 4), ("3", 14)]);
        assert_eq!(conf.get("a", "q").unwrap().value, "two words");
        assert_eq!(conf.get("a", "list").unwrap().value, "a,\nb,\nc");
        assert_eq!(conf.get("a", "list2").unwrap().value, "\nd");
    }

    #[test]
    fn bad_lines_are_named() {
        for (text, line) in [
            ("[a]\nx = 1\nnonsense\n", 3),
            ("x = 1\n[a]\n", 1), // as oslo.config: before any section
            ("\n# c\nx = 1\n", 3),
            ("\u{feff}[a]\n", 1),
            ("[open\n", 1),
            ("[]\n", 1),
            ("  x\n", 1),
            ("[a]\n= 1\n", 2),
            ("[a]\na=1\n\n b\n", 4),
        ] {
            assert_eq!(NovaConf::parse(text).unwrap_err().line, line, "{text}");
        }
    }

    /// `[FILTER_SCHEDULER]` was read by Nova and dropped here. Recorded of oslo.config 10.
    #[test]
    fn sections_may_be_in_capitals() {
        let conf = NovaConf::parse("[Filter_Scheduler]\nx = 1\n[filter_scheduler]\nx = 2\n").unwrap();
        let values: Vec<_> = conf.all("filter_scheduler", "x").iter().map(|a| a.value.as_str()).collect();
        assert_eq!(values, ["1", "2"]);
        let conf = NovaConf::parse("[filter_scheduler]\nx = 2\n[FILTER_SCHEDULER]\nx = 1\n").unwrap();
        assert_eq!(conf.get("filter_scheduler", "x").unwrap().value, "1");
        let conf = NovaConf::parse("[default]\nx = 1\n[ DEFAULT ]\nx = 2\n[DEFAULT]\ny = \"\n").unwrap();
        assert_eq!(conf.get("DEFAULT", "x"), None);
        assert_eq!(conf.get("DEFAULT", "y").unwrap().value, "");
        assert_eq!(conf.mistaken("DEFAULT").collect::<Vec<_>>(), [(" default ", 4), ("default", 2)]);
    }

    #[test]
    fn references() {
        let conf =
            NovaConf::parse("[DEFAULT]\nip = 10.0.0.1\nloop = $loop\n[a]\nn = 2\nip = $DEFAULT.ip:$n\n")
                .unwrap();
        let expand = |text| conf.expand("a", text);
        assert_eq!(expand("$ip/${n}/$$n/$/${a.n}x").unwrap(), "10.0.0.1:2/2/$n/$/2x");
        assert_eq!(expand("$nothing").unwrap_err(), "nothing");
        assert_eq!(conf.expand("DEFAULT", "$loop").unwrap_err(), "loop");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "([\\[\\]=:#; \t\n$a-c{}.'\"é]|\n){0,60}") {
            if let Ok(conf) = NovaConf::parse(&text) {
                for section in ["a", "DEFAULT"] {
                    for key in conf.keys(section) {
                        let _ = conf.expand(section, &conf.get(section, key).unwrap().value);
                    }
                }
            }
        }
    }
}
