//! Resource use of a process.

use std::fs;
use std::time::Instant;

/// The resource use of a process, as the kernel reports it.
pub(crate) struct Process {
    /// Seconds of processor time.
    cpu: f64,
    resident_mb: u64,
    id: u32,
}

impl Process {
    pub(crate) fn of(process: u32) -> Self {
        // A hundredth of a second, on every Linux of today.
        const TICK: f64 = 0.01;
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the service runs");
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields[place].parse::<f64>().expect("a number");
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the service runs");
        let resident =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let resident_kb: u64 = resident.and_then(|kb| kb.trim().parse().ok()).expect("a number");
        Self { cpu: (ticks(11) + ticks(12)) * TICK, resident_mb: resident_kb / 1024, id: process }
    }

    /// Prints the use since that time.
    pub(crate) fn print_since(&self, what: &str, since: Instant) {
        let now = Self::of(self.id);
        let share = 100.0 * (now.cpu - self.cpu) / since.elapsed().as_secs_f64();
        println!("  the service, {what}: {share:.1} % of one core, {} MiB", now.resident_mb);
    }
}
