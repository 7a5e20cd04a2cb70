//! Checks the pages of the repository: links lead somewhere, and the book has all of `docs/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::step::Steps;

/// Pages outside of `docs/`.
const OTHERS: [&str; 5] =
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "benches/README.md"];

/// The version of mdBook to install. An installed version is used as it is.
const MDBOOK: &str = "0.5.4";

pub(crate) fn check(steps: &mut Steps) -> Result<()> {
    let root = steps.root();
    steps.check("pages", || {
        let pages = pages(root)?;
        let mut problems = Vec::new();
        for page in &pages {
            let text = fs::read_to_string(root.join(page)).with_context(|| page.display().to_string())?;
            problems.extend(broken_links(root, page, &text)?);
        }
        problems.extend(missing_in_book(root, &pages)?);
        if problems.is_empty() { Ok(()) } else { bail!("{}", problems.join("\n")) }
    })
}

/// Makes `docs/` a book, `docs/book/index.html`, and installs mdBook where it is missing.
pub(crate) fn book(steps: &mut Steps) -> Result<()> {
    check(steps)?;
    steps.install("mdbook", MDBOOK, Command::new("mdbook").arg("--version"))?;
    let mut build = Command::new("mdbook");
    build.arg("build").arg(steps.root().join("docs"));
    steps.run("book", &mut build)
}

/// All pages, relative to the root.
fn pages(root: &Path) -> Result<Vec<PathBuf>> {
    let mut pages: Vec<PathBuf> = OTHERS.iter().map(PathBuf::from).collect();
    for directory in ["docs", "docs/adr"] {
        for entry in fs::read_dir(root.join(directory)).with_context(|| directory.to_owned())? {
            let name = entry?.file_name();
            if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
                pages.push(Path::new(directory).join(name));
            }
        }
    }
    pages.sort();
    Ok(pages)
}

/// Links to files or sections that do not exist.
fn broken_links(root: &Path, page: &Path, text: &str) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for target in links(text) {
        let (file, section) = target.split_once('#').map_or((target, None), |(file, at)| (file, Some(at)));
        let directory = root.join(page.parent().unwrap_or(Path::new("")));
        let file = if file.is_empty() { root.join(page) } else { directory.join(file) };
        let exists = match section {
            _ if !file.exists() => false,
            Some(section) if file.extension().is_some_and(|extension| extension == "md") => {
                sections(&fs::read_to_string(&file)?).contains(section)
            }
            _ => true,
        };
        if !exists {
            broken.push(format!("{}: there is no {target}", page.display()));
        }
    }
    Ok(broken)
}

/// The targets of links within the repository. Text in backquotes and indented text has none.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| !line.starts_with("    ") || line.trim_start().starts_with("- ["));
    let targets = lines.flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

/// The names of a page's sections, as they stand in links.
fn sections(text: &str) -> BTreeSet<String> {
    let titles =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let name = |title: &str| -> String {
        let kept =
            title.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    titles.map(name).collect()
}

/// Pages of `docs/` that `docs/SUMMARY.md` does not list.
fn missing_in_book(root: &Path, pages: &[PathBuf]) -> Result<Vec<String>> {
    let summary = fs::read_to_string(root.join("docs/SUMMARY.md")).context("docs/SUMMARY.md")?;
    let listed: BTreeSet<&str> = links(&summary).collect();
    let of_book = pages.iter().filter_map(|page| page.strip_prefix("docs").ok()?.to_str());
    let missing = of_book
        .filter(|page| !listed.contains(page) && !matches!(*page, "SUMMARY.md" | "adr/0000-template.md"));
    Ok(missing.map(|page| format!("docs/SUMMARY.md: {page} is missing")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_sections_are_read_as_github_shows_them() {
        let text =
            "# The first hour: `install`, run\nSee [a](b.md#c) and [d](https://e.f/).\n    [no](g.md)\n";
        assert_eq!(links(text).collect::<Vec<_>>(), ["b.md#c"]);
        assert_eq!(sections(text), BTreeSet::from(["the-first-hour-install-run".to_owned()]));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = "[a](README.md) [b](nowhere.md) [c](CONTRIBUTING.md#no-such-section)";
        let broken = broken_links(root, Path::new("README.md"), text).unwrap();
        assert_eq!(broken.len(), 2, "{broken:?}");
    }
}
