//! Runs work in a separate process, which can be killed or may crash on damaged data.
use crate::Setup;
use crate::digest::Digest;
use crate::fleet::Fleet;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The result of a reader and its duration.
pub struct Read {
    pub digest: Digest,
    pub open: Duration,
    pub total: Duration,
    pub memory: u64,
    /// Processor seconds: the duration on an idle machine with a free disk.
    pub processor: f64,
}

/// Commits batches until the process is killed; prints the number of each when the store has
/// acknowledged it.
pub fn write(setup: &Setup, seed: u64, batch: usize) -> Result<()> {
    let mut store = setup.open()?;
    let mut fleet = Fleet::load(&*store, seed)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready")?;
    for number in 1_u64.. {
        store.commit(&fleet.batch(batch))?;
        writeln!(out, "{number}")?;
        out.flush()?;
    }
    Ok(())
}

/// Reads everything and prints the result.
pub fn read(setup: &Setup) -> Result<()> {
    let start = Instant::now();
    let store = setup.open()?;
    let open = start.elapsed();
    let mut digest = Digest::default();
    store.stream(&mut |key, value| digest.add(key, value))?;
    let total = start.elapsed();
    let memory = crate::machine::peak_memory()?;
    let processor = (crate::machine::processor_seconds()? * 1e9) as u64;
    println!(
        "{} {} {} {} {memory} {processor}",
        digest.records,
        digest.sum,
        open.as_nanos(),
        total.as_nanos()
    );
    store.close()
}

/// Starts a writer, kills it with SIGKILL after `life`; returns the number of acknowledged batches.
pub fn write_and_kill(setup: &Setup, seed: u64, batch: usize, life: Duration) -> Result<u64> {
    let mut command = command("write", setup)?;
    command.args(["--seed", &seed.to_string(), "--batch", &batch.to_string()]);
    let mut writer = command.stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(writer.stdout.take().context("no output")?).lines();
    let ready = lines.next();
    std::thread::sleep(life);
    writer.kill()?;
    let acknowledged = lines.map_while(Result::ok).filter_map(|line| line.parse().ok()).last();
    writer.wait()?;
    ready.with_context(|| format!("the writer on {} did not start", setup.store.name()))??;
    Ok(acknowledged.unwrap_or(0))
}

/// Reads the store in a separate process; an error has that process's last line, or its signal.
pub fn read_apart(setup: &Setup) -> Result<Read> {
    let output = command("read", setup)?.output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let panic = errors.lines().find(|line| line.contains("panicked"));
        let last = errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        match (panic, output.status.code()) {
            (Some(_), _) => bail!("PANICKED"),
            (None, None) => bail!("DIED: {}", output.status),
            (None, Some(_)) => bail!("refused: {}", last.trim()),
        }
    }
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<u64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [records, sum, open, total, memory, processor] = numbers[..] else {
        bail!("the reader printed {text:?}")
    };
    let (open, total) = (Duration::from_nanos(open), Duration::from_nanos(total));
    Ok(Read { digest: Digest { records, sum }, open, total, memory, processor: processor as f64 / 1e9 })
}

fn command(name: &str, setup: &Setup) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(name).args(["--store", &setup.store.name()]);
    command.args(["--directory".as_ref(), setup.directory.as_os_str()]);
    command.args(["--cache-mib", &setup.cache_mib.to_string()]);
    Ok(command)
}
