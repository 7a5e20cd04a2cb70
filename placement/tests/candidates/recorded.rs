//! The search compared with answers of OpenStack Placement, which `record.py` recorded for random
//! fleets.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};

use berth_placement::Index;
use berth_placement::candidates::{SearchOptions, UnknownName};
use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::world::{Asked, World};

#[derive(Debug, Deserialize)]
struct Document {
    world: World,
    queries: Vec<Recorded>,
}

#[derive(Debug, Deserialize)]
struct Recorded {
    #[serde(flatten)]
    asked: Asked,
    answer: Answer,
}

/// Amounts by provider and class, and providers by suffix.
type Mapped = (Vec<(usize, String, u64)>, Vec<(String, Vec<usize>)>);

/// Capacity and use by provider and class.
type Summaries = Vec<(usize, Vec<(String, i64, i64)>)>;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Answer {
    Candidates { candidates: Vec<Mapped>, summaries: Summaries },
    Error { error: String },
}

/// The index's answer, in the format of the recording.
fn answer(index: &Index, asked: &Asked) -> Answer {
    let error = |kind: &str| Answer::Error { error: kind.to_owned() };
    let mut found = match index.candidates(&asked.query(), &SearchOptions::default()) {
        Ok(found) => found,
        Err(UnknownName::Class(_)) => return error("class"),
        Err(UnknownName::Trait(_)) => return error("trait"),
    };
    let mut candidates = Vec::new();
    while let Some(candidate) = found.next() {
        let (amounts, mappings) = asked.answer(&found, &candidate.unwrap());
        let taken = amounts.into_iter().map(|((provider, class), amount)| (provider, class, amount));
        let served =
            mappings.into_iter().map(|(suffix, providers)| (suffix, providers.into_iter().collect()));
        let is_mapped = asked.version >= 34; // which provider serves which group
        candidates.push((taken.collect(), if is_mapped { served.collect() } else { Vec::new() }));
    }
    candidates.sort();
    let name = |class: u16| found.topology().classes().name(class.into()).unwrap().to_owned();
    let mut summaries: Summaries = Vec::new();
    for summary in found.summaries().unwrap() {
        let of_class: BTreeMap<_, _> =
            summary.resources.iter().map(|r| (name(r.class.0), (r.capacity, r.used))).collect();
        let resources = of_class.into_iter().map(|(class, (capacity, used))| (class, capacity, used));
        summaries.push((summary.row.index(), resources.collect()));
    }
    Answer::Candidates { candidates, summaries }
}

#[test]
fn the_answers_are_those_of_placement() {
    let recording = GzDecoder::new(&include_bytes!("recorded.json.gz")[..]);
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut versions = BTreeSet::new();
    for line in BufReader::new(recording).lines() {
        let document: Document = serde_json::from_str(&line.unwrap()).unwrap();
        let index = document.world.index();
        for recorded in document.queries {
            let found = answer(&index, &recorded.asked);
            assert_eq!(found, recorded.answer, "{:#?}\n{:?}", document.world, recorded.asked);
            versions.insert(recorded.asked.version);
            *kinds
                .entry(match found {
                    Answer::Candidates { candidates, .. } if candidates.is_empty() => "none",
                    Answer::Candidates { .. } => "some",
                    Answer::Error { .. } => "error",
                })
                .or_default() += 1;
        }
    }
    assert!(kinds["some"] > 1_000 && kinds["none"] > 300 && kinds["error"] > 20, "{kinds:?}");
    assert!(versions.first() <= Some(&10) && versions.last() >= Some(&39), "{versions:?}");
}
