//! `berth host evacuate` and `berth host evacuation`.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use berth_api::v1::host_evacuation::State;
use berth_api::v1::{
    EvacuateHostRequest, EvacuatedInstance, GetHostEvacuationRequest, HostEvacuation, LiveEvacuation,
};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::sleep;
use tonic::{Code, Status};

use crate::operator::connection::{Client, request};
use crate::operator::record::{OutputOptions, Record, print_list};
use crate::operator::refusal::{Answer, Refusal};
use crate::operator::server::{EvacuationTerms, Pace, WaitOptions};

/// How often the progress is requested, and how long the service may be unavailable.
const INTERVAL: Duration = Duration::from_millis(500);
const AWAY: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(super) struct Evacuate {
    /// The name of the host
    name: String,
    #[command(flatten)]
    terms: EvacuationTerms,
    /// Live-migrate the servers that run: the host is up, and gets no new ones from then on
    #[arg(long, conflicts_with_all = ["fenced", "rebuild", "state"])]
    live: bool,
    #[command(flatten)]
    pace: Pace,
    #[command(flatten)]
    waiting: WaitOptions,
}

impl Evacuate {
    pub(super) async fn run(self, client: &Client, format: &OutputOptions) -> Result<()> {
        let Self { name, terms, live, pace, waiting } = self;
        let live = live.then(|| LiveEvacuation {
            bandwidth_mib: pace.bandwidth,
            timeout_s: pace.move_timeout,
            forces_at_timeout: pace.forces_at_timeout(),
        });
        let state = terms.state();
        let EvacuationTerms { fenced, rebuild, .. } = terms;
        let wanted = EvacuateHostRequest { name: name.clone(), fenced, rebuild, state, live };
        let mut run = client.fleet().evacuate_host(request(wanted)).await.answer()?;
        if waiting.wait {
            run = follow(client, run, waiting.timeout).await?;
        }
        print(format, &run)?;
        if let Some(time) = waiting.timeout.filter(|_| !is_over(&run)) {
            let open = run.instances.iter().filter(|of| !is_moved(of)).count();
            bail!(
                "{open} servers have not left host {name} after {} s; the evacuation continues",
                time.as_secs()
            );
        }
        if run.state() == State::Incomplete {
            let failed = run.instances.iter().filter(|of| STAY.contains(&of.status.as_str())).count();
            bail!("{failed} servers of host {name} could not be evacuated");
        }
        Ok(())
    }
}

pub(super) async fn show(client: &Client, name: String, format: &OutputOptions) -> Result<()> {
    let wanted = GetHostEvacuationRequest { name };
    print(format, &client.fleet().get_host_evacuation(request(wanted)).await.answer()?)
}

/// The statuses of servers that could not be evacuated.
const STAY: [&str; 2] = ["failed", "cancelled"];

const COLUMNS: [&str; 5] = ["server", "name", "status", "host", "reason"];

fn print(format: &OutputOptions, run: &HostEvacuation) -> Result<()> {
    let records: Vec<Record> = run.instances.iter().cloned().map(record).collect();
    print_list(format, &COLUMNS, &records)
}

fn record(of: EvacuatedInstance) -> Record {
    Record::new()
        .with("server", of.instance)
        .with("name", of.name)
        .with("status", of.status)
        .with("host", of.host)
        .text("reason", of.reason)
}

fn is_over(run: &HostEvacuation) -> bool {
    matches!(run.state(), State::Done | State::Incomplete)
}

fn is_moved(of: &EvacuatedInstance) -> bool {
    ["done", "completed"].contains(&of.status.as_str())
}

/// Follows a run until its end, or until the time is up.
async fn follow(client: &Client, mut run: HostEvacuation, time: Option<Duration>) -> Result<HostEvacuation> {
    let bar = bar(run.instances.len());
    let (start, mut heard) = (Instant::now(), Instant::now());
    while !is_over(&run) && time.is_none_or(|time| start.elapsed() < time) {
        bar.set_position(run.instances.iter().filter(|of| is_moved(of)).count() as u64);
        sleep(INTERVAL).await;
        let wanted = GetHostEvacuationRequest { name: run.host.clone() };
        match client.fleet().get_host_evacuation(request(wanted)).await {
            Ok(answer) => (run, heard) = (answer.into_inner(), Instant::now()),
            Err(status) if is_passing(&status) && heard.elapsed() < AWAY => {}
            Err(status) => return Err(Refusal::from(&status).into()),
        }
    }
    bar.finish_and_clear();
    Ok(run)
}

/// Whether the failure may be temporary.
fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled)
}

/// On a terminal only.
fn bar(servers: usize) -> ProgressBar {
    let total = u64::try_from(servers).ok();
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} evacuated, {elapsed}");
    bar.set_style(style.expect("a fixed template"));
    bar
}
