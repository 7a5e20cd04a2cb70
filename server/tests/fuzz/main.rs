//! The functions that fuzzers call, with examples that were cut, repeated, spliced and overwritten.
//!
//! A finding is shrunk to few mutations. `PROPTEST_CASES` runs more of them; `fuzz/` runs the same
//! functions with libFuzzer.

mod examples;
mod parsers;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::examples::{BODIES, MICROVERSIONS, POLICIES, QUERIES};

/// A change of an example.
#[derive(Debug, Clone)]
enum Mutation {
    Overwrite(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, usize),
    Repeat(Index, usize, u8),
    Truncate(Index),
    /// Goes on as another example does from there.
    Splice(Index, Index, Index),
}

/// What parsers trip over.
const TOKENS: [&[u8]; 16] = [
    b"\xff",
    b"\x00",
    b"\"",
    b"{",
    b"]",
    b"null",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"%ff",
    b"&",
    b",",
    b"in:",
    b"!",
    b"not (",
    b"\xe2\x98\x83",
];

fn mutation() -> impl Strategy<Value = Mutation> {
    let token = proptest::sample::select(&TOKENS[..]).prop_map(<[u8]>::to_vec);
    prop_oneof![
        3 => any::<(Index, u8)>().prop_map(|(at, byte)| Mutation::Overwrite(at, byte)),
        3 => (any::<Index>(), token).prop_map(|(at, token)| Mutation::Insert(at, token)),
        2 => (any::<Index>(), 1..20_usize).prop_map(|(at, length)| Mutation::Cut(at, length)),
        2 => (any::<Index>(), 1..40_usize, any::<u8>()).prop_map(|(at, length, times)| Mutation::Repeat(at, length, times)),
        1 => any::<Index>().prop_map(Mutation::Truncate),
        2 => any::<(Index, Index, Index)>().prop_map(|(at, of, from)| Mutation::Splice(at, of, from)),
    ]
}

impl Mutation {
    fn apply(&self, text: &mut Vec<u8>, examples: &[&[u8]]) {
        let place = |at: &Index, length: usize| at.index(length + 1);
        let range = |at: &Index, length: usize, text: &[u8]| {
            let start = place(at, text.len());
            start..(start + length).min(text.len())
        };
        match self {
            Self::Overwrite(at, byte) => {
                let at = place(at, text.len());
                text[at..].first_mut().into_iter().for_each(|old| *old = *byte);
            }
            Self::Insert(at, token) => {
                let start = place(at, text.len());
                text.splice(start..start, token.iter().copied());
            }
            Self::Cut(at, length) => drop(text.drain(range(at, *length, text))),
            Self::Repeat(at, length, times) => {
                let range = range(at, *length, text);
                let piece = text[range.clone()].repeat(usize::from(*times));
                text.splice(range.start..range.start, piece);
            }
            Self::Truncate(at) => text.truncate(place(at, text.len())),
            Self::Splice(at, of, from) => {
                let other = of.get(examples);
                text.truncate(place(at, text.len()));
                text.extend_from_slice(&other[place(from, other.len())..]);
            }
        }
    }
}

/// An example, changed a few times.
fn mutated(examples: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let mutations = prop::collection::vec(mutation(), 0..5);
    (proptest::sample::select(examples), mutations).prop_map(move |(example, mutations)| {
        let mut text = example.to_vec();
        mutations.iter().for_each(|mutation| mutation.apply(&mut text, examples));
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn queries(text in mutated(&QUERIES)) {
        parsers::query(&text);
    }

    #[test]
    fn bodies(text in mutated(&BODIES)) {
        parsers::body(&text);
    }

    #[test]
    fn microversions(text in mutated(&MICROVERSIONS)) {
        parsers::microversion(&text);
    }

    #[test]
    fn policies(text in mutated(&POLICIES)) {
        parsers::policy(&text);
    }
}
