//! The machine, the commit and the date of a run.

use std::fs;
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The properties of a machine that matter for a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Machine {
    /// The CPU's model name.
    pub cpu: String,
    /// The number of logical CPUs that this process may use.
    pub cores: usize,
    /// The kernel's name and release.
    pub kernel: String,
    /// Memory in MiB.
    pub memory_mb: u64,
    /// The number of runnable processes over the last minute when the run started: noise from other
    /// processes.
    pub load: f64,
    /// The time of reading the clock, in nanoseconds. Every latency includes about one such read.
    pub clock_ns: f64,
}

impl Machine {
    /// Describes this machine. Unknown properties are empty or 0.
    #[must_use]
    pub fn here() -> Self {
        let kernel = ["ostype", "osrelease"].map(|name| first_line(&format!("/proc/sys/kernel/{name}")));
        let memory_kb = value_of("/proc/meminfo", "MemTotal");
        Self {
            cpu: value_of("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: kernel.join(" ").trim().to_owned(),
            memory_mb: memory_kb.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024,
            load: first_line("/proc/loadavg").split(' ').next().and_then(|l| l.parse().ok()).unwrap_or(0.0),
            clock_ns: clock_ns(),
        }
    }
}

fn first_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

/// The value of the first `name : value` line.
fn value_of(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let values = text.lines().filter_map(|line| line.split_once(':'));
    values.into_iter().find(|(key, _)| key.trim() == name).map_or("", |(_, value)| value.trim()).to_owned()
}

fn clock_ns() -> f64 {
    const READS: u32 = 10_000;
    let started = Instant::now();
    for _ in 0..READS {
        std::hint::black_box(Instant::now());
    }
    started.elapsed().as_secs_f64() * 1e9 / f64::from(READS)
}

/// The commit: `BERTH_COMMIT` at build time, or the commit of the git checkout that was built.
#[must_use]
pub fn commit() -> Option<String> {
    if let Some(commit) = option_env!("BERTH_COMMIT") {
        return Some(commit.to_owned());
    }
    let arguments = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"];
    let output = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments).output();
    let output = output.ok().filter(|output| output.status.success())?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!commit.is_empty()).then_some(commit)
}

/// The current time in UTC, in the format of RFC 3339.
#[must_use]
pub fn date() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc3339(since.as_secs())
}

/// A number that no earlier run had.
#[must_use]
#[allow(clippy::cast_possible_truncation)] // 64 bits of nanoseconds last until 2554
pub fn nonce() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

/// Seconds since 1970 as a date, by the civil calendar in eras of 400 years that start on the first
/// of March.
fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + carry;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_match_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_798_761_600, "2027-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), date);
        }
    }

    #[test]
    fn the_machine_has_a_processor() {
        let machine = Machine::here();
        assert!(machine.cores > 0 && machine.clock_ns > 0.0);
    }
}
