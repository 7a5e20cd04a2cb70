//! A step is one command with a name; `Steps` runs them in order, times them and counts tests.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The steps that have run, and the directory they run in.
pub(crate) struct Steps {
    root: &'static Path,
    done: Vec<Done>,
    tests: TestCounts,
    /// Reason and tests of what this process itself skipped.
    skipped: Vec<(String, String)>,
}

struct Done {
    name: String,
    took: Duration,
    passed: bool,
}

impl Steps {
    pub(crate) fn new(root: &'static Path) -> Self {
        Self { root, done: Vec::new(), tests: TestCounts::default(), skipped: Vec::new() }
    }

    pub(crate) fn root(&self) -> &'static Path {
        self.root
    }

    /// A `cargo` command that runs in the root of the workspace.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.args(arguments).current_dir(self.root);
        command
    }

    /// The directory that cargo builds into.
    pub(crate) fn target_dir(&self) -> PathBuf {
        // A relative CARGO_TARGET_DIR is relative to the root too: the commands run there.
        self.root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
    }

    /// Installs a program of crates.io where `probe`, which asks for its version, fails. An
    /// installed version is used as it is.
    pub(crate) fn install(&mut self, program: &str, version: &str, probe: &mut Command) -> Result<()> {
        let installed = probe.stdout(Stdio::null()).stderr(Stdio::null()).status();
        if installed.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        println!("\n{program} is missing: installing it into cargo's default root, which takes some minutes");
        let mut install = self.cargo(&["install", program, "--locked", "--version", version]);
        self.run(&format!("install {program}"), &mut install)
    }

    /// Runs a command. An exit status other than 0 is an error.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command) -> Result<()> {
        self.timed(name, command, |_, command| {
            let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
            Ok(status.success())
        })
    }

    /// Notes tests that cannot run, for the summary.
    pub(crate) fn skip(&mut self, reason: &str, tests: &str) {
        self.skipped.push((reason.to_owned(), tests.to_owned()));
    }

    /// Prints which tests did not run, or ended early because the machine lacks something, grouped
    /// by the reason.
    fn print_skipped(&self) {
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let noted = std::fs::read_to_string(self.skipped_file()).unwrap_or_default();
        let noted = noted.lines().filter_map(|line| line.split_once(": "));
        let ignored = self.tests.ignored_tests.iter().map(|(test, reason)| (test.as_str(), reason.as_str()));
        let skipped = self.skipped.iter().map(|(reason, tests)| (tests.as_str(), reason.as_str()));
        for (test, reason) in ignored.chain(noted).chain(skipped) {
            reasons.entry(reason).or_default().push(test);
        }
        for (reason, tests) in reasons {
            println!("\nskipped, {reason}:");
            tests.iter().for_each(|test| println!("    {test}"));
        }
    }

    /// The file in which tests note that they cannot run (`berth_test_support::skip`).
    fn skipped_file(&self) -> PathBuf {
        self.target_dir().join("skipped-tests")
    }

    /// Runs `cargo test` in one of its forms, passes its output on and adds up its results.
    pub(crate) fn run_tests(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let skipped = self.skipped_file();
        if self.tests == TestCounts::default() {
            drop(std::fs::remove_file(&skipped)); // of an earlier run
        }
        command.env("BERTH_SKIPPED", skipped);
        self.timed(name, command, |steps, command| {
            let mut child = command
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| format!("cannot start {}", shown(command)))?;
            let output = child.stdout.take().context("the test output is not piped")?;
            let mut terminal = std::io::stdout().lock();
            for line in BufReader::new(output).split(b'\n') {
                let line = line?;
                terminal.write_all(&line)?;
                terminal.write_all(b"\n")?;
                steps.tests.add_line(&String::from_utf8_lossy(&line));
            }
            Ok(child.wait()?.success())
        })
    }

    fn timed(
        &mut self,
        name: &str,
        command: &mut Command,
        run: impl FnOnce(&mut Self, &mut Command) -> Result<bool>,
    ) -> Result<()> {
        println!("\n==> {name}: {}", shown(command));
        let start = Instant::now();
        let outcome = run(self, command);
        self.finish(name, start, matches!(outcome, Ok(true)));
        match outcome {
            Ok(true) => Ok(()),
            Ok(false) => bail!("step `{name}` failed; to repeat it alone: {}", shown(command)),
            Err(error) => Err(error.context(format!("step `{name}`"))),
        }
    }

    /// Runs a check inside this process.
    pub(crate) fn check(&mut self, name: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("\n==> {name}");
        let start = Instant::now();
        let outcome = check();
        self.finish(name, start, outcome.is_ok());
        outcome.with_context(|| format!("step `{name}`"))
    }

    fn finish(&mut self, name: &str, start: Instant, passed: bool) {
        let took = start.elapsed();
        println!("<== {name}: {} in {:.1} s", if passed { "ok" } else { "FAILED" }, took.as_secs_f64());
        self.done.push(Done { name: name.to_owned(), took, passed });
    }

    /// Prints each step with its time, and the counts of tests if any ran.
    pub(crate) fn print_summary(&self) {
        println!();
        for Done { name, took, passed } in &self.done {
            let mark = if *passed { "ok" } else { "FAILED" };
            println!("{mark:>6} {:8.1} s  {name}", took.as_secs_f64());
        }
        let TestCounts { passed, failed, ignored, .. } = &self.tests;
        if passed + failed + ignored > 0 {
            println!("\n{passed} passed, {failed} failed, {ignored} ignored");
        }
        self.print_skipped();
    }
}

/// A command as a user would type it, with the variables that it sets.
fn shown(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={}", name.display(), quoted(&value.to_string_lossy())));
        }
    }
    let program = Path::new(command.get_program());
    words.push(program.file_name().unwrap_or(program.as_os_str()).display().to_string());
    words.extend(command.get_args().map(|argument| quoted(&argument.to_string_lossy())));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    if word.contains(' ') { format!("'{word}'") } else { word.to_owned() }
}

/// Sums over the `test result:` lines of all test binaries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct TestCounts {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Tests that are marked `#[ignore]`, with the reasons.
    ignored_tests: Vec<(String, String)>,
}

impl TestCounts {
    /// Adds a line such as `test a::b ... ignored, needs root`. A doc test without a reason is text
    /// that is not meant to run.
    fn add_ignored(&mut self, line: &str) {
        let ignored = line.strip_prefix("test ").and_then(|test| test.split_once(" ... ignored, "));
        if let Some((test, reason)) = ignored {
            self.ignored_tests.push((test.to_owned(), reason.to_owned()));
        }
    }

    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    fn add_line(&mut self, line: &str) {
        self.add_ignored(line.trim_start());
        let Some(results) = line.trim_start().strip_prefix("test result: ") else { return };
        let results = results.trim_start_matches("ok. ").trim_start_matches("FAILED. ");
        for result in results.split("; ") {
            let mut words = result.split(' ');
            let Some(count) = words.next().and_then(|word| word.parse::<u64>().ok()) else { continue };
            match words.next() {
                Some("passed") => self.passed += count,
                Some("failed") => self.failed += count,
                Some("ignored") => self.ignored += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_binaries_add_up() {
        let mut counts = TestCounts::default();
        counts.add_line("running 4 tests");
        counts.add_line("test kvm::a_guest_boots ... ignored, needs root and libvirt");
        counts.add_line("test src/lib.rs - (line 3) ... ignored");
        counts.add_line(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        );
        counts.add_line(
            "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1.50s",
        );
        let ignored_tests = vec![("kvm::a_guest_boots".to_owned(), "needs root and libvirt".to_owned())];
        assert_eq!(counts, TestCounts { passed: 8, failed: 2, ignored: 1, ignored_tests });
    }

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("/some/bin/cargo");
        command.args(["test", "--release"]).env("RUSTFLAGS", "--cfg loom");
        assert_eq!(shown(&command), "RUSTFLAGS='--cfg loom' cargo test --release");
    }
}
