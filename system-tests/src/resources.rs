//! What a process uses, as Linux reports it below `/proc`.

use std::fs;
use std::time::Duration;

/// Linux counts CPU times in hundredths of a second for programs, whatever its own clock does.
const TICK: Duration = Duration::from_millis(10);

/// What a process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Resident memory, in KiB.
    pub resident_kib: u64,
    /// The highest resident memory so far, in KiB.
    pub peak_kib: u64,
    /// Threads.
    pub threads: u64,
    /// Open files and connections.
    pub descriptors: u64,
}

impl Resources {
    /// What the running process with this id uses.
    pub fn of(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let word = line.and_then(|line| line.split_whitespace().next());
            word.and_then(|word| word.parse().ok()).expect("Linux reports it as a number")
        };
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).expect("the process runs").count();
        Self {
            resident_kib: number("VmRSS"),
            peak_kib: number("VmHWM"),
            threads: number("Threads"),
            descriptors: descriptors as u64,
        }
    }
}

/// The CPU time of a process with all of its threads, in steps of 10 ms.
pub fn cpu_time(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process runs");
    // The name of the program, in parentheses, may have spaces.
    let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
    let times = fields.split_whitespace().skip(11).take(2);
    let ticks: u32 = times.map(|field| field.parse::<u32>().expect("a number")).sum();
    TICK * ticks
}
