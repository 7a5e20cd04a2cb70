//! When the hosts of a table are expected to be empty: the knowledge of `LifetimeWeigher`.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use uuid::Uuid;

use crate::hosts::InstanceRecord;
use crate::options::LifetimeFile;
use crate::packing::model::LifetimeModel;
use crate::packing::outlook::{Future, Outlook, OutlookCost};
use crate::request_spec::RequestedFlavor;

/// The extra spec of a flavor with the seconds that its instances are predicted to live.
pub const LIFETIME_SPEC: &str = "berth:lifetime_s";

/// Kinds of instances of which the lifetimes are learned; others count as all do.
const MOST_KINDS: usize = 10_000;

/// A flavor and a project.
type InstanceKind = (String, String);

/// What is known of lifetimes, and of the instances on each service host.
#[derive(Debug, Clone)]
pub(crate) struct HostLifetimes {
    file: Arc<LifetimeFile>,
    future: Arc<Future>,
    model: LifetimeModel,
    kinds: FxHashMap<InstanceKind, u32>,
    /// By service.
    outlooks: Vec<Outlook>,
}

impl HostLifetimes {
    pub(crate) fn new(file: Arc<LifetimeFile>) -> Self {
        Self {
            file,
            future: Arc::new(Future::new()),
            model: LifetimeModel::default(),
            kinds: FxHashMap::default(),
            outlooks: Vec::new(),
        }
    }

    /// The same knowledge for another table, whose services have other numbers.
    pub(crate) fn carried_over(self) -> Self {
        Self { outlooks: Vec::new(), ..self }
    }

    /// A service host has these instances now (`now` in microseconds since 1970). Those that are on
    /// no host any more have ended, and their lifetimes are learned.
    pub(crate) fn observe(
        &mut self,
        service: u32,
        instances: &[InstanceRecord],
        is_elsewhere: impl Fn(Uuid) -> bool,
        now: i64,
    ) {
        if self.outlooks.len() <= service as usize {
            self.outlooks.resize_with(service as usize + 1, Outlook::default);
        }
        let now_s = seconds(now);
        let present: FxHashSet<Uuid> = instances.iter().map(|instance| instance.uuid).collect();
        let outlook = &mut self.outlooks[service as usize];
        let gone: Vec<_> = outlook.instances().filter(|id| !present.contains(&Uuid::from(*id))).collect();
        for instance in gone {
            let left = outlook.remove(instance, now_s);
            if let Some(left) = left.filter(|_| !is_elsewhere(instance.into())) {
                self.model.observe(left.lived, left.predicted, left.kind);
            }
        }
        let known: FxHashSet<Uuid> = self.outlooks[service as usize].instances().map(Uuid::from).collect();
        for instance in instances.iter().filter(|instance| !known.contains(&instance.uuid)) {
            let started = instance.started.map_or(now_s, seconds).min(now_s);
            let kind = self.kind(&instance.flavor, &instance.project);
            let of = (instance.flavor.as_str(), instance.project.as_str());
            let predicted = self.predicted(instance.lifetime_s, of);
            let of = (predicted, self.model.lifetime(predicted), kind);
            self.outlooks[service as usize].join(instance.uuid.into(), started, of);
        }
    }

    /// Follows the time, and instances that have outlived their estimates.
    pub(crate) fn follow(&mut self, now: i64) {
        let Self { future, outlooks, .. } = self;
        outlooks.iter_mut().for_each(|outlook| outlook.follow(future, seconds(now)));
    }

    /// What a new instance costs on a host; `None` while predictions explain too little of how long
    /// instances live.
    pub(crate) fn cost(&self, flavor: &RequestedFlavor, project: &str) -> Option<OutlookCost> {
        if self.confidence() == 0.0 {
            return None;
        }
        let stated = flavor.extra_specs.get(LIFETIME_SPEC).and_then(stated);
        let predicted = self.predicted(stated, (flavor.name.as_str(), project));
        Some(self.future.cost(&self.model.lifetime(predicted)))
    }

    /// How much predictions count, from 0 to 1.
    pub(crate) fn confidence(&self) -> f64 {
        self.model.confidence()
    }

    /// The instances on a service host; nothing for one that is unknown, as a host without any.
    pub(crate) fn outlook(&self, service: u32) -> Option<&Outlook> {
        self.outlooks.get(service as usize)
    }

    /// What is stated of the instance, or else what the file says, or else how long others of its
    /// kind lived.
    fn predicted(&self, stated: Option<f64>, (flavor, project): (&str, &str)) -> Option<f64> {
        stated.or_else(|| self.file.lifetime_s(flavor, project)).or_else(|| {
            let kind = self.kinds.get(&(flavor.to_owned(), project.to_owned()));
            self.model.learned(*kind?)
        })
    }

    fn kind(&mut self, flavor: &str, project: &str) -> Option<u32> {
        let next = u32::try_from(self.kinds.len()).ok()?;
        let key = (flavor.to_owned(), project.to_owned());
        if let Some(known) = self.kinds.get(&key) {
            return Some(*known);
        }
        (self.kinds.len() < MOST_KINDS).then(|| *self.kinds.entry(key).or_insert(next))
    }
}

/// The seconds of [`LIFETIME_SPEC`]; `None` unless they are a number above 0.
#[must_use]
pub fn stated(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|seconds: &f64| *seconds > 0.0 && seconds.is_finite())
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn instance(number: u128, flavor: &str, started: i64) -> InstanceRecord {
        InstanceRecord {
            started: Some(started),
            flavor: flavor.to_owned(),
            project: "p".to_owned(),
            ..InstanceRecord::new(Uuid::from_u128(number))
        }
    }

    fn flavor(name: &str, extra_specs: &[(&str, &str)]) -> RequestedFlavor {
        let extra_specs = extra_specs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        RequestedFlavor {
            name: name.to_owned(),
            extra_specs: extra_specs.collect(),
            ..RequestedFlavor::default()
        }
    }

    /// A fleet that has seen thousands of instances come and go: those of `short` lived for an
    /// hour, those of `long` for ten days.
    fn experienced() -> (HostLifetimes, i64) {
        let mut known = HostLifetimes::new(Arc::default());
        let mut now = 0;
        for number in 0..6_000 {
            let (flavor, lived) = [("short", HOUR), ("long", 240 * HOUR)][(number % 2) as usize];
            now += lived;
            known.observe(0, &[instance(number, flavor, now - lived)], |_| false, now - lived);
            known.observe(0, &[], |_| false, now);
        }
        (known, now)
    }

    #[test]
    fn lifetimes_are_learned_by_flavor_and_hosts_that_end_together_cost_least() {
        let (mut known, now) = experienced();
        assert_eq!(known.confidence(), 1.0);
        // Of two hosts, one becomes empty in an hour, the other in ten days.
        known.observe(1, &[instance(90_001, "short", now)], |_| false, now);
        known.observe(2, &[instance(90_002, "long", now)], |_| false, now);
        known.follow(now);
        let costs = |known: &HostLifetimes, flavor: &RequestedFlavor| {
            let cost = known.cost(flavor, "p").unwrap();
            [1, 2].map(|service| cost.on(known.outlook(service).unwrap()))
        };
        let [on_short, on_long] = costs(&known, &flavor("long", &[]));
        assert!(on_long < on_short && on_short > 100.0, "it keeps the first for days: {on_short} {on_long}");
        let [on_short, on_long] = costs(&known, &flavor("short", &[]));
        assert!(on_short < on_long + 1.0, "{on_short} {on_long}");
        // What the flavor states goes before what was learned.
        let [on_short, on_long] = costs(&known, &flavor("short", &[(LIFETIME_SPEC, "864000")]));
        assert!(on_long < on_short && on_short > 100.0, "{on_short} {on_long}");
        // The instance on the first outlives its hour by far: the host is expected to stay in use.
        let before = known.cost(&flavor("long", &[]), "p").unwrap().on(known.outlook(1).unwrap());
        known.follow(now + 100 * HOUR);
        let after = known.cost(&flavor("long", &[]), "p").unwrap().on(known.outlook(1).unwrap());
        assert!(after < before - 1.0, "for hours: {before} {after}");
    }

    #[test]
    fn an_instance_that_moves_has_not_ended() {
        let (mut known, now) = experienced();
        let learned = known.predicted(None, ("short", "p")).unwrap();
        for number in 100_000..110_000 {
            known.observe(0, &[instance(number, "short", now)], |_| false, now);
            known.observe(0, &[], |_| true, now + 1_000_000);
        }
        assert_eq!(known.predicted(None, ("short", "p")), Some(learned));
        assert!((learned - 3_600.0).abs() < 1.0, "{learned}");
        let file = LifetimeFile::parse("flavor,p50_s\nshort,60\n").unwrap();
        known.file = Arc::new(file);
        assert_eq!(known.predicted(None, ("short", "p")), Some(60.0), "the file goes before");
        assert_eq!(known.predicted(Some(5.0), ("short", "p")), Some(5.0));
        assert_eq!(known.predicted(None, ("other", "p")), None);
    }

    /// A new fleet knows nothing, so the weigher has no say.
    #[test]
    fn nothing_is_claimed_before_it_was_observed() {
        let mut known = HostLifetimes::new(Arc::default());
        known.observe(0, &[instance(1, "a", 0)], |_| false, HOUR);
        assert!(known.cost(&flavor("a", &[(LIFETIME_SPEC, "60")]), "p").is_none());
        assert_eq!([stated("60"), stated("-1"), stated("x"), stated("inf")], [Some(60.0), None, None, None]);
    }
}
