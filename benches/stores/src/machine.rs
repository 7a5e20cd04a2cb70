//! Counters of this process and this disk.
use anyhow::{Context, Result};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The unit of Linux's processor times: hundredths of a second, independent of the kernel's own
/// clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor seconds of all threads of this process.
pub fn processor_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks =
        fields.get(11).context("utime")?.parse::<f64>()? + fields.get(12).context("stime")?.parse::<f64>()?;
    Ok(ticks / TICKS_PER_SECOND)
}

/// Processor seconds of all processes on this machine.
pub fn busy_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
    let [user, nice, system, _idle, _wait, irq, softirq, steal, ..] = ticks[..] else {
        anyhow::bail!("/proc/stat: {line}")
    };
    Ok((user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND)
}

/// Bytes that this process has written to the disk.
pub fn bytes_written() -> Result<u64> {
    number_after("/proc/self/io", "write_bytes:")
}

/// The peak memory of this process, in bytes.
pub fn peak_memory() -> Result<u64> {
    Ok(number_after("/proc/self/status", "VmHWM:")? << 10)
}

fn number_after(file: &str, label: &str) -> Result<u64> {
    let text = fs::read_to_string(file)?;
    let rest = text.split(label).nth(1).with_context(|| format!("{label} in {file}"))?;
    Ok(rest.split_whitespace().next().context("number")?.parse()?)
}

/// Drops the page cache, so that the next reader goes to the disk. Returns false if that is not
/// permitted.
pub fn drop_caches() -> bool {
    let synced = std::process::Command::new("sync").status().is_ok_and(|status| status.success());
    synced && fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

/// The files below the directory.
pub fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

/// Bytes that the directory occupies on the disk: a sparse file is smaller than its length.
pub fn size(directory: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    files(directory)?.iter().map(|file| Ok(fs::metadata(file)?.blocks() * 512)).sum()
}

/// Replaces `to` with a copy of `from`.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    for file in files(from)? {
        let target = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(target.parent().context("no parent")?)?;
        fs::copy(&file, &target)?;
    }
    Ok(())
}

/// Measures each append of 4 KiB with fdatasync.
pub fn fsyncs(directory: &Path, length: Duration) -> Result<Vec<Duration>> {
    let path = directory.join("fsync");
    let mut file: File = OpenOptions::new().create(true).append(true).open(&path)?;
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < length {
        let before = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(before.elapsed());
    }
    fs::remove_file(path)?;
    Ok(times)
}

/// The value below which a share of all lies. Sorts `times`.
pub fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    times
        .get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}
