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

/// The events of the settings between the times, in order. Hosts that are chosen at random, and random times, follow from the seed
/// and the position of the event in the file, so one event does not change the draws of another.
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
            events.push(HostEvent { at, action: spec.action, hosts: chosen });
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
    let named = |what: &str, name: &str, is_it: &dyn Fn(&TraceHost) -> bool| {
        let found: Vec<usize> = (0..hosts.len()).filter(|&host| is_it(&hosts[host])).collect();
        if found.is_empty() {
            Err(ScenarioError::new(&format!("events: no host has the {what} {name:?}")))
        } else {
            Ok(found)
        }
    };
    if let Some(rack) = &spec.rack {
        return named("rack", rack, &|host| host.rack == rack.as_str());
    }
    if let Some(zone) = &spec.zone {
        return named("zone", zone, &|host| host.zone == zone.as_str());
    }
    if let Some(generation) = &spec.generation {
        return named("generation", generation, &|host| host.generation == generation.as_str());
    }
    if !spec.host.is_empty() {
        let of_name = spec.host.iter().map(|name| named("name", name, &|host| host.id == name.as_str()));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::config::variants;

    fn of(text: &str) -> Result<Vec<HostEvent>, ScenarioError> {
        let hosts: Vec<TraceHost> = (0..40)
            .map(|i| TraceHost {
                rack: format!("r{}", i % 4).into(),
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
    fn racks_rates_and_mistakes() {
        assert_eq!(of("[[events]]\naction = \"drain\"\nrack = \"r2\"\n").unwrap()[0].hosts.len(), 10);
        let random = of("[[events]]\naction = \"fail\"\nevery = \"1d\"\nhosts = 1\n").unwrap();
        assert!((15..50).contains(&random.len()), "{}", random.len());
        assert_eq!(random, of("[[events]]\naction = \"fail\"\nevery = \"1d\"\nhosts = 1\n").unwrap());
        for (text, words) in [
            ("[[events]]\naction = \"fail\"\n", "needs one of hosts, share"),
            ("[[events]]\naction = \"fail\"\nrack = \"x\"\n", "no host has the rack \"x\""),
            ("[[events]]\naction = \"fail\"\nhosts = 1\nevery = 0\n", "every is longer than 0"),
            ("[[events]]\naction = \"fail\"\nhosts = 1\nevery = 1\n", "too short"),
        ] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
