//! Lifetimes of instances by flavor and project.

use std::collections::BTreeMap;

/// How long instances are predicted to live, in seconds: the medians of what an operator measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LifetimeFile(BTreeMap<(String, String), f64>);

/// A line of a file of lifetimes that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct InvalidLifetime {
    /// The number of the line.
    pub line: usize,
    /// The problem.
    pub problem: String,
}

/// The columns of which one is the lifetime.
const LIFETIME: [&str; 2] = ["lifetime_s", "p50_s"];

impl LifetimeFile {
    /// Reads CSV with the columns `flavor` or `project`, or both, and `lifetime_s` or `p50_s`.
    /// Other columns, such as other quantiles, are ignored: how far predictions are off is
    /// measured.
    ///
    /// # Errors
    /// A column is missing, or a lifetime is not a number above 0.
    pub fn parse(text: &str) -> Result<Self, InvalidLifetime> {
        let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        let header: Vec<&str> = lines.next().map(|(_, line)| fields(line)).unwrap_or_default();
        let column = |name: &str| header.iter().position(|column| *column == name);
        let (flavor, project) = (column("flavor"), column("project"));
        let lifetime = LIFETIME.into_iter().find_map(column);
        let (true, Some(lifetime)) = (flavor.is_some() || project.is_some(), lifetime) else {
            let problem = "the columns flavor or project, and lifetime_s or p50_s are missing".to_owned();
            return Err(InvalidLifetime { line: 1, problem });
        };
        let mut known = BTreeMap::new();
        for (line, text) in lines {
            let fields = fields(text);
            let field = |column: Option<usize>| {
                column.and_then(|column| fields.get(column)).copied().unwrap_or_default().to_owned()
            };
            let written = field(Some(lifetime));
            let seconds = crate::packing::stated(&written).ok_or_else(|| {
                let problem = format!("{}: {written:?} is not a number above 0", header[lifetime]);
                InvalidLifetime { line, problem }
            })?;
            known.insert((field(flavor), field(project)), seconds);
        }
        Ok(Self(known))
    }

    /// The lifetime in seconds: of the flavor in this project, of the flavor, or of the project.
    #[must_use]
    pub fn lifetime_s(&self, flavor: &str, project: &str) -> Option<f64> {
        let of = |flavor: &str, project: &str| self.0.get(&(flavor.to_owned(), project.to_owned())).copied();
        if self.0.is_empty() {
            return None;
        }
        of(flavor, project).or_else(|| of(flavor, "")).or_else(|| of("", project))
    }
}

fn fields(line: &str) -> Vec<&str> {
    line.split(',').map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_line_counts() {
        let file = "flavor,project,p10_s,p50_s,p90_s\nm1,,1,60,900\nm1,batch,1,5,10\n,batch,1,7,10\n\n";
        let file = LifetimeFile::parse(file).unwrap();
        let found = [("m1", "web"), ("m1", "batch"), ("m2", "batch"), ("m2", "web")];
        let found = found.map(|(flavor, project)| file.lifetime_s(flavor, project));
        assert_eq!(found, [Some(60.0), Some(5.0), Some(7.0), None]);
        let simple = LifetimeFile::parse("lifetime_s,flavor\n3600,m1\n").unwrap();
        assert_eq!(simple.lifetime_s("m1", "any"), Some(3600.0));
    }

    #[test]
    fn a_file_that_cannot_be_right_is_refused() {
        for (text, words) in [
            ("", "line 1: the columns"),
            ("flavor,p90_s\n", "line 1: the columns"),
            ("lifetime_s\n3\n", "line 1: the columns"),
            ("flavor,lifetime_s\na,1\nb,-1\n", "line 3: lifetime_s: \"-1\" is not a number above 0"),
            ("flavor,lifetime_s\na\n", "line 2: lifetime_s: \"\" is not"),
        ] {
            let error = LifetimeFile::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
