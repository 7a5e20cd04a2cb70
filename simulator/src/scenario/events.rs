//! What happens to hosts, and when.

use berth_traces::{Micros, TraceHost, rng};
use rand::Rng;
use rand::seq::SliceRandom;

use crate::scenario::ScenarioError;
use crate::scenario::config::{Action, EventSpec};

/// Something that happens to some hosts at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEvent {
    /// When, on the trace's clock.
    pub at: Micros,
    /// What.
    pub action: Action,
    /// Which hosts, in order.
    pub hosts: Vec<usize>,
}

/// The most events of one kind: more are a mistake in `every`.
const MOST: usize = 100_000;

/// The events of the settings between the times, in order. Hosts that are chosen at random, and
/// random times, follow from the seed and the position of the event in the file, so one event does
/// not change the draws of another.
///
/// # Errors
/// An event names no host, or contradicts itself.
pub(crate) fn events(
    specs: &[EventSpec],
    hosts: &[TraceHost],
    (start, end): (Micros, Micros),
    seed: u64,
) -> Result<Vec<HostEvent>, ScenarioError> {
    let mut events = Vec::new();
    for (number, spec) in specs.iter().enumerate() {
        spec.check()?;
        let mut random = rng::stream(seed, &format!("event{number}"));
        let mut at = Micros(start.0.saturating_add(spec.at.0.0));
        if let Some(every) = spec.every {
            at = after(at, every.0, &mut random);
        }
        while at <= end {
            let chosen = chosen(spec, hosts, &mut random)?;
            if let Some(lasts) = spec.lasts {
                let undone = Micros(at.0.saturating_add(lasts.0.0));
                events.push(HostEvent { at: undone, action: Action::Repair, hosts: chosen.clone() });
            }
            let mut action = spec.action;
            if let Some(by) = &spec.by {
                let added = named(hosts, "generation", by, |host| host.generation == by.as_str())?;
                events.push(HostEvent { at, action: Action::Add, hosts: added });
                action = Action::Retire;
            }
            events.push(HostEvent { at, action, hosts: chosen });
            let Some(every) = spec.every else { break };
            at = after(at, every.0, &mut random);
            if events.len() > MOST {
                return Err(ScenarioError::new(&format!(
                    "events: more than {MOST} of them: every is too short"
                )));
            }
        }
    }
    events.sort_by_key(|event| event.at);
    Ok(events)
}

/// A time that is exponentially distributed after this one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // the cast saturates
fn after(at: Micros, mean: Micros, random: &mut rng::Stream) -> Micros {
    let share: f64 = random.random();
    let wait = -libm::log(1.0 - share) * mean.0 as f64;
    Micros(at.0.saturating_add((wait as u64).max(1)))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // a share of the hosts
fn chosen(
    spec: &EventSpec,
    hosts: &[TraceHost],
    random: &mut rng::Stream,
) -> Result<Vec<usize>, ScenarioError> {
    if let Some(rack) = &spec.rack {
        return named(hosts, "rack", rack, |host| host.rack == rack.as_str());
    }
    if let Some(zone) = &spec.zone {
        return named(hosts, "zone", zone, |host| host.zone == zone.as_str());
    }
    if let Some(generation) = &spec.generation {
        return named(hosts, "generation", generation, |host| host.generation == generation.as_str());
    }
    if !spec.host.is_empty() {
        let of_name =
            spec.host.iter().map(|name| named(hosts, "name", name, |host| host.id == name.as_str()));
        let mut found: Vec<usize> = of_name.collect::<Result<Vec<_>, _>>()?.concat();
        found.sort_unstable();
        return Ok(found);
    }
    let count = match (spec.hosts, spec.share) {
        (Some(count), _) => count as usize,
        (None, share) => (share.unwrap_or(0.0) * hosts.len() as f64).round() as usize,
    };
    let mut all: Vec<usize> = (0..hosts.len()).collect();
    all.shuffle(random);
    all.truncate(count);
    all.sort_unstable();
    Ok(all)
}

/// The hosts with a property; an error if none has it.
fn named(
    hosts: &[TraceHost],
    what: &str,
    name: &str,
    has_it: impl Fn(&TraceHost) -> bool,
) -> Result<Vec<usize>, ScenarioError> {
    let found: Vec<usize> = (0..hosts.len()).filter(|&host| has_it(&hosts[host])).collect();
    if found.is_empty() {
        return Err(ScenarioError::new(&format!("events: no host has the {what} {name:?}")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::config::variants;

    fn of(text: &str) -> Result<Vec<HostEvent>, ScenarioError> {
        let hosts: Vec<TraceHost> = (0..40)
            .map(|i| TraceHost {
                rack: format!("r{}", i % 4).into(),
                generation: if i < 10 { "v1" } else { "v2" }.into(),
                ..TraceHost::new(i.to_string(), berth_traces::Resources::default())
            })
            .collect();
        let specs = variants(text).unwrap().remove(0).scenario.events;
        events(&specs, &hosts, (Micros(1000), Micros::from_secs(30 * 86_400)), 7)
    }

    #[test]
    fn a_share_fails_and_is_repaired() {
        let events =
            of("[[events]]\naction = \"fail\"\nat = \"1d\"\nlasts = \"2h\"\nshare = 0.05\n").unwrap();
        assert_eq!(events.len(), 2);
        assert_eq!((events[0].action, events[1].action), (Action::Fail, Action::Repair));
        assert_eq!(events[0].hosts.len(), 2);
        assert_eq!(events[0].hosts, events[1].hosts);
        assert_eq!(events[1].at.0 - events[0].at.0, Micros::from_secs(7200).0);
    }

    #[test]
    fn a_generation_is_replaced_by_another() {
        let events =
            of("[[events]]\naction = \"replace\"\nat = \"1d\"\ngeneration = \"v1\"\nby = \"v2\"\n").unwrap();
        let [added, retired] = &events[..] else { panic!("{events:?}") };
        assert_eq!((added.action, added.hosts.clone()), (Action::Add, (10..40).collect::<Vec<_>>()));
        assert_eq!((retired.action, retired.hosts.clone()), (Action::Retire, (0..10).collect::<Vec<_>>()));
        assert_eq!(added.at, retired.at);
    }

    #[test]
    fn racks_rates_and_mistakes() {
        assert_eq!(of("[[events]]\naction = \"drain\"\nrack = \"r2\"\n").unwrap()[0].hosts.len(), 10);
        let random = of("[[events]]\naction = \"fail\"\nevery = \"1d\"\nhosts = 1\n").unwrap();
        assert!((15..50).contains(&random.len()), "{}", random.len());
        assert_eq!(random, of("[[events]]\naction = \"fail\"\nevery = \"1d\"\nhosts = 1\n").unwrap());
        for (text, words) in [
            ("[[events]]\naction = \"fail\"\n", "needs one of hosts, share"),
            ("[[events]]\naction = \"fail\"\nrack = \"x\"\n", "no host has the rack \"x\""),
            ("[[events]]\naction = \"replace\"\nhosts = 1\n", "replace needs by"),
            ("[[events]]\naction = \"fail\"\nhosts = 1\nby = \"v2\"\n", "no other action has it"),
            (
                "[[events]]\naction = \"replace\"\nhosts = 1\nby = \"v9\"\n",
                "no host has the generation \"v9\"",
            ),
            ("[[events]]\naction = \"replace\"\nhosts = 1\nby = \"v2\"\nlasts = 9\n", "once and for good"),
            ("[[events]]\naction = \"fail\"\nhosts = 1\nevery = 0\n", "every is longer than 0"),
            ("[[events]]\naction = \"fail\"\nhosts = 1\nevery = 1\n", "too short"),
        ] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
