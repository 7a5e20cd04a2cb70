//! A request, judged once for each class of hosts.

use smallvec::SmallVec;

use super::COLUMNS;
use super::among::Among;
use super::classes::Classes;
use super::counts::Counts;
use crate::filters::{Filter, FilterName, RequestState, Scene, Scope, Step, steps};
use crate::hosts::{HostRow, HostTable};
use crate::ranking::cached_extremes::CachedExtremes;
use crate::ranking::forest::{Forest, Open};
use crate::request_spec::GroupPolicyKind;
use crate::weighers::WeigherName;

/// The verdict on a class of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Unknown,
    Passes,
    Refused,
}

/// The verdicts on classes of hosts, by number.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdicts(Vec<Verdict>);

impl Verdicts {
    /// Whether the host's class passes.
    #[inline]
    pub(super) fn pass(&self, hosts: &HostTable, row: HostRow) -> bool {
        self.0.get(hosts.class_ids()[row.index()].0 as usize) == Some(&Verdict::Passes)
    }
}

/// A request for one instance, compiled once for many decisions.
///
/// It holds for the request, the options and the table it was made for; the hosts in it may change.
#[derive(Debug, Clone)]
pub struct RankedRequest {
    /// The constraints that judge each host, and their places among all.
    by_host: SmallVec<[(u16, Step); 2]>,
    verdicts: Verdicts,
    /// The layout of the hosts that the verdicts are true to.
    judged_at: Option<u64>,
    /// Rankings that may hold hosts, and what this is true to.
    open: Open,
    open_at: Option<OpenAt>,
    cached: Box<CachedExtremes<COLUMNS>>,
    counts: Counts,
}

/// Forest and layout, and the version of what is eligible.
type OpenAt = ((u64, u64), u64);

impl RankedRequest {
    /// Compiles a request; none if only a look at every host gives Nova's result.
    #[must_use]
    pub fn new(scene: &Scene<'_>) -> Option<Self> {
        let weighers = &scene.options.filter_scheduler.weight_classes;
        if !weighers.iter().all(|name| weighs_all_alike(*name, scene)) || !has_proper_rules(scene) {
            return None;
        }
        let mut by_host = SmallVec::new();
        for (number, step) in steps(scene, 0).into_iter().enumerate() {
            if step.prepare(scene).scope() == Scope::Host {
                by_host.push((u16::try_from(number).ok()?, step));
            }
        }
        let quick = by_host.iter().all(|(_, step)| is_quick(*step));
        let (verdicts, open) = (Verdicts::default(), Open::new());
        quick.then_some(Self {
            by_host,
            verdicts,
            judged_at: None,
            open,
            open_at: None,
            cached: Box::default(),
            counts: Counts::default(),
        })
    }

    /// Judges the classes, once for each layout of the hosts; false if one cannot be judged.
    #[inline]
    pub(super) fn judge_classes(&mut self, scene: &Scene<'_>, classes: &Classes, layout: u64) -> bool {
        if self.judged_at != Some(layout) {
            // What depends on a host alone may be something else, too, now.
            let Some(fresh) = Self::new(scene) else { return false };
            let Some(verdicts) = verdicts(scene, classes) else { return false };
            *self = Self { verdicts, judged_at: Some(layout), ..fresh };
        }
        true
    }

    /// The constraints that judge each host, for one decision.
    pub(super) fn judge<'a>(&self, scene: &'a Scene<'a>) -> Judge<'a> {
        Judge(self.by_host.iter().map(|(number, step)| (*number, step.prepare(scene))).collect())
    }

    /// Finds the rankings that may hold hosts: of classes that pass, and that some eligible host
    /// has.
    #[inline]
    pub(super) fn open_in<const N: usize>(
        &mut self,
        forest: &Forest<N>,
        epoch: (u64, u64),
        hosts: &HostTable,
        among: &Among<'_>,
    ) {
        let at = Some((epoch, among.version));
        if self.open_at != at {
            let eligible = among.classes(hosts);
            let is_eligible = |row: HostRow| eligible[hosts.class_ids()[row.index()].0 as usize];
            self.open = forest.open(|slot| {
                let row = HostRow::at(slot);
                is_eligible(row) && self.verdicts.pass(hosts, row)
            });
            self.open_at = at;
        }
    }

    /// How many hosts each constraint removed.
    pub(super) const fn counts(&mut self) -> &mut Counts {
        &mut self.counts
    }

    /// The inputs of a search: the classes that pass, the rankings found by [`Self::open_in`], and
    /// the hosts that had the extremes when the request was last decided.
    #[inline]
    pub(super) fn parts(&mut self) -> (&Verdicts, &[u64], &mut CachedExtremes<COLUMNS>) {
        (&self.verdicts, &self.open, &mut self.cached)
    }
}

/// The verdicts on classes, by the filters that judge all hosts of a class alike; none if one
/// cannot be judged.
fn verdicts(scene: &Scene<'_>, classes: &Classes) -> Option<Verdicts> {
    let steps = steps(scene, 0);
    let filters: Vec<_> = steps.iter().map(|step| step.prepare(scene)).collect();
    let by_class: Vec<_> = filters.iter().filter(|filter| filter.scope() == Scope::Class).collect();
    let judge = |row: &Option<HostRow>| {
        let Some(row) = row else { return Some(Verdict::Unknown) };
        let mut state = RequestState::default();
        let mut judged = by_class.iter().map(|filter| filter.judge(*row, &mut state));
        match judged.find(|verdict| !matches!(verdict, Ok(Ok(())))) {
            None => Some(Verdict::Passes),
            Some(Ok(_)) => Some(Verdict::Refused),
            Some(Err(_)) => None,
        }
    };
    classes.representatives().iter().map(judge).collect::<Option<_>>().map(Verdicts)
}

/// Whether the weigher says of each host what it says for any request, or the same of all hosts.
fn weighs_all_alike(name: WeigherName, scene: &Scene<'_>) -> bool {
    let request = scene.request;
    match name {
        WeigherName::ServerGroupSoftAffinityWeigher => {
            request.group_policy() != Some(GroupPolicyKind::SoftAffinity)
        }
        WeigherName::ServerGroupSoftAntiAffinityWeigher => {
            request.group_policy() != Some(GroupPolicyKind::SoftAntiAffinity)
        }
        WeigherName::CrossCellWeigher => {
            !request.requested_destination.as_ref().is_some_and(|wanted| wanted.allow_cross_cell_move)
        }
        WeigherName::ImagePropertiesWeigher => {
            scene.options.filter_scheduler.image_props_weight_multiplier == 0.0
        }
        WeigherName::LifetimeWeigher => scene.options.filter_scheduler.lifetime_weight_multiplier == 0.0,
        WeigherName::BuildFailureWeigher
        | WeigherName::CPUWeigher
        | WeigherName::DiskWeigher
        | WeigherName::HypervisorVersionWeigher
        | WeigherName::IoOpsWeigher
        | WeigherName::MetricsWeigher
        | WeigherName::NumInstancesWeigher
        | WeigherName::PCIWeigher
        | WeigherName::RAMWeigher => true,
    }
}

/// Whether a constraint judges a host in a moment, without fail, and leaves most hosts.
const fn is_quick(step: Step) -> bool {
    matches!(
        step,
        Step::Filter(
            FilterName::ComputeFilter
                | FilterName::ServerGroupAntiAffinityFilter
                | FilterName::IoOpsFilter
                | FilterName::NumInstancesFilter
                | FilterName::DifferentHostFilter
                | FilterName::RetryFilter
        )
    )
}

/// Whether the server group's rule is a number, so that no host's judgement fails.
fn has_proper_rules(scene: &Scene<'_>) -> bool {
    let group = scene.request.instance_group.as_ref();
    group.is_none_or(|group| !matches!(group.rules.max_server_per_host, Some(Err(_))))
}

/// Constraints that judge each host.
pub(super) struct Judge<'a>(SmallVec<[(u16, Box<dyn Filter + 'a>); 2]>);

impl Judge<'_> {
    /// Whether the host passes them all.
    #[inline]
    pub(super) fn passes(&self, row: HostRow, state: &mut RequestState) -> bool {
        self.first_objection(row, state).is_none()
    }

    /// The place of the first that the host does not pass.
    #[inline]
    pub(super) fn first_objection(&self, row: HostRow, state: &mut RequestState) -> Option<u16> {
        let mut refusing =
            self.0.iter().filter(|(_, filter)| !matches!(filter.judge(row, state), Ok(Ok(()))));
        refusing.next().map(|(number, _)| *number)
    }
}
