//! Shadow mode: nova-scheduler decides, Berth decides as well, and what differs is recorded.
//!
//! For each request, Berth reads current rows, decides without a claim, passes the message on to
//! nova-scheduler on a bus of its own, and replies with its answer, unchanged. So both decide on
//! the same state, except for what happens meanwhile.
//!
//! ```text
//! conductor ─► Berth: fresh rows, dry decision, explanation ─► nova-scheduler ─► Placement
//!     ▲          │ compares, records                               │
//!     └──────────┴───────────────── the same answer ◄──────────────┘
//! ```

mod compare;
mod file;
mod record;
mod reply;
mod report;
mod stale;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth_nova_rpc::RpcFailure;
use berth_nova_rpc::bus::{Relay, RelayError};
use berth_nova_rpc::transport::BusOptions;
use berth_scheduler::explain::{Case, Explanation, ExplanationScope, explain};
use serde_json::value::RawValue;

use crate::engine::DryLook;
use crate::metrics::NovaMetrics;
use compare::{OwnView, compare};
use file::RecordFile;
use reply::{Chosen, chosen, exception, other_view, own_hosts};

pub use file::read_shadow_records;
pub use record::{Agreement, DifferenceCause, ShadowAnswer, ShadowRecord};
pub use report::ShadowReport;
pub use stale::StaleState;

/// How many of the best hosts a record shows besides those that were chosen.
const STANDINGS: usize = 3;

/// How requests are passed on to nova-scheduler.
#[derive(Debug, Clone)]
pub struct ShadowSettings {
    /// The bus on which nova-scheduler serves its topic. It is another one than Nova's, or has
    /// another virtual host.
    pub bus: BusOptions,
    /// How long nova-scheduler may take to answer.
    pub patience: Duration,
    /// The action when it does not.
    pub unanswered: WhenUnanswered,
    /// The file for records.
    pub records: PathBuf,
    /// The size of this file and of the one before it, together, in bytes.
    pub records_bytes: u64,
}

/// The action for a request that nova-scheduler does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnanswered {
    /// The caller receives an exception, `MessagingTimeout`.
    Fail,
    /// Berth decides and claims, unless something was claimed for one of the instances meanwhile:
    /// then nova-scheduler did decide.
    Decide,
}

/// The relay to nova-scheduler, and what is recorded.
pub(crate) struct Shadow {
    relay: Relay,
    unanswered: WhenUnanswered,
    file: RecordFile,
    metrics: Arc<NovaMetrics>,
}

/// Berth's decision before the request was forwarded to nova-scheduler, with its inputs.
pub(crate) struct Look {
    pub(crate) dry: DryLook,
    /// Whether the caller reads objects.
    pub(crate) as_objects: bool,
    /// How long the decision took, with its explanation.
    pub(crate) took: Duration,
    /// The state of the hosts.
    pub(crate) revision: u64,
}

/// The identity of a request in its record.
pub(crate) struct Subject {
    pub(crate) at: i64,
    pub(crate) request_id: String,
    pub(crate) project: String,
    pub(crate) flavor: String,
    pub(crate) instances: usize,
}

/// A reply of nova-scheduler.
pub(crate) type Relayed = Result<Box<RawValue>, RpcFailure>;

impl Shadow {
    pub(crate) fn new(settings: &ShadowSettings, metrics: Arc<NovaMetrics>) -> Self {
        let relay = Relay::new(settings.bus.clone(), settings.patience);
        let file = RecordFile::new(settings.records.clone(), settings.records_bytes);
        Self { relay, unanswered: settings.unanswered, file, metrics }
    }

    pub(crate) const fn unanswered(&self) -> WhenUnanswered {
        self.unanswered
    }

    /// Looks whether records can be written.
    ///
    /// # Errors
    /// They cannot.
    pub(crate) fn check(&self) -> std::io::Result<()> {
        self.file.check()
    }

    /// Passes a call on.
    pub(crate) async fn call(&self, message: &str) -> Result<Relayed, RelayError> {
        self.relay.call(message).await
    }

    /// Passes a cast on.
    pub(crate) async fn announce(&self, message: &str) {
        if let Err(error) = self.relay.announce(message).await {
            tracing::warn!(%error, "a cast does not reach nova-scheduler");
        }
    }

    /// Records a request that nova-scheduler answered. `stale` are the states that both may have
    /// seen differently; `moved_on` looks which hosts have reported since, which is asked for a
    /// difference only.
    pub(crate) async fn answered(
        self: Arc<Self>,
        subject: Subject,
        look: Look,
        chosen: Result<Vec<Chosen>, RpcFailure>,
        nova_took: Duration,
        mut stale: Vec<StaleState>,
        moved_on: impl Future<Output = Vec<StaleState>>,
    ) {
        let (own, other) = (own_view(&look), other_view(&chosen));
        let (agreement, mut cause) = compare(&own, &other, !stale.is_empty());
        if agreement == Agreement::Different && stale.is_empty() {
            stale = moved_on.await;
            cause = cause.map(|cause| if stale.is_empty() { cause } else { DifferenceCause::StaleData });
        }
        if cause != Some(DifferenceCause::StaleData) {
            stale.clear();
        }
        // An explanation takes milliseconds, and the disk may take longer.
        let write = move || {
            let named = [&own.answer, &other.answer].into_iter().flat_map(names);
            let explained = look.dry.explained.as_ref().filter(|_| agreement == Agreement::Different);
            let explanation = explained.map(|(case, explanation)| about(case, explanation.clone(), named));
            let record = subject.record(&look, nova_took, (own.answer, other.answer), agreement);
            self.write(&ShadowRecord { cause, stale, explanation, ..record });
        };
        drop(tokio::task::spawn_blocking(write).await);
    }

    /// Records a request that nova-scheduler did not answer.
    pub(crate) fn unanswered_by(&self, subject: Subject, look: &Look, waited: Duration, problem: String) {
        let own = own_view(look).answer;
        let answers = (own, ShadowAnswer::Nothing { problem });
        self.write(&subject.record(look, waited, answers, Agreement::Unanswered));
    }

    fn write(&self, record: &ShadowRecord) {
        self.metrics.note_shadow(record.agreement, record.cause);
        let ShadowRecord { request_id, agreement, cause, stale, berth, nova, .. } = record;
        match agreement {
            Agreement::Different => {
                tracing::warn!(request_id, ?cause, ?stale, ?berth, ?nova, "nova-scheduler decides otherwise");
            }
            Agreement::Same | Agreement::Tie | Agreement::Unanswered => {
                tracing::debug!(request_id, ?agreement, "nova-scheduler was asked");
            }
        }
        if let Err(error) = self.file.append(record) {
            tracing::error!(%error, request_id, "a record of shadow mode cannot be written");
        }
    }
}

impl Subject {
    fn record(
        self,
        look: &Look,
        nova: Duration,
        answers: (ShadowAnswer, ShadowAnswer),
        agreement: Agreement,
    ) -> ShadowRecord {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let Self { at, request_id, project, flavor, instances } = self;
        ShadowRecord {
            at,
            request_id,
            project,
            flavor,
            instances,
            berth_us: micros(look.took),
            nova_us: micros(nova),
            berth: answers.0,
            nova: answers.1,
            agreement,
            cause: None,
            stale: Vec::new(),
            explanation: None,
        }
    }
}

/// The hosts of nova-scheduler's answer.
///
/// # Errors
/// The exception that it answered, or one for an answer that cannot be read.
pub(crate) fn chosen_of(reply: &Relayed) -> Result<Vec<Chosen>, RpcFailure> {
    match reply {
        Ok(result) => chosen(result).map_err(|error| {
            RpcFailure::exception(
                "ValueError",
                &format!("the answer of nova-scheduler cannot be read: {error}"),
            )
        }),
        Err(failure) => Err(failure.clone()),
    }
}

/// The explanation with all hosts that pass.
pub(crate) fn explained(case: &Case) -> Explanation {
    explain(&case.question(), &ExplanationScope { hosts: Vec::new(), standings: usize::MAX })
}

fn own_view(look: &Look) -> OwnView {
    let (answer, allocations) = match &look.dry.decided {
        Ok(selected) => own_hosts(selected, look.as_objects),
        Err(refused) => (exception(&refused.failure), Vec::new()),
    };
    OwnView { answer, allocations, weights: look.dry.weights.clone(), subset: look.dry.subset }
}

fn names(answer: &ShadowAnswer) -> &[String] {
    match answer {
        ShadowAnswer::Hosts(hosts) => hosts,
        ShadowAnswer::Exception { .. } | ShadowAnswer::Nothing { .. } => &[],
    }
}

/// The explanation with what concerns these hosts, and the best ones.
fn about<'a>(
    case: &Case,
    mut explanation: Explanation,
    named: impl Iterator<Item = &'a String>,
) -> serde_json::Value {
    let named: Vec<&String> = named.collect();
    let question = case.question();
    let rows = case.hosts().rows().filter(|&row| named.iter().any(|host| **host == question.name(row)));
    let scope = ExplanationScope { hosts: rows.collect(), standings: 0 };
    explanation.verdicts = explain(&question, &scope).verdicts;
    let mut place = 0;
    explanation.standings.retain(|standing| {
        place += 1;
        place <= STANDINGS || named.contains(&&standing.host)
    });
    serde_json::to_value(&explanation).unwrap_or_default()
}
