//! The functions that fuzzers call, with examples that were cut, repeated, spliced and overwritten.
//!
//! A finding is shrunk to few mutations. `PROPTEST_CASES` runs more of them; `fuzz/` runs the same functions with libFuzzer.

mod parsers;

use proptest::prelude::*;
use proptest::sample::Index;

const QUERIES: [&[u8]; 6] = [
    b"\x27\x00resources=VCPU:1,DISK_GB:2&required=HW_CPU_X86_AVX,!CUSTOM_A&member_of=in:e0000000-0000-4000-8000-000000000000",
    b"\x27\x00resources1=VCPU:1&resources_A=DISK_GB:1&group_policy=isolate&same_subtree=1,_A&limit=5",
    b"\x27\x00resources=VCPU:1&root_required=HW_CPU_X86_AVX&in_tree=a0000000-0000-4000-8000-000000000000&required=in:HW_CPU_X86_AVX",
    b"\x18\x01name=p&uuid=a0000000-0000-4000-8000-000000000000&resources=VCPU:1&required=HW_CPU_X86_AVX",
    b"\x27\x02name=startswith:CUSTOM&associated=true",
    b"\x27\x03project_id=p&user_id=u&consumer_type=all",
];

const BODIES: [&[u8]; 12] = [
    b"\x27\x00{\"name\": \"q\", \"uuid\": \"b0000000-0000-4000-8000-000000000000\", \"parent_provider_uuid\": \"a0000000-0000-4000-8000-000000000000\"}",
    b"\x27\x01{\"name\": \"q\", \"parent_provider_uuid\": null}",
    b"\x27\x02{\"resource_provider_generation\": 2, \"inventories\": {\"VCPU\": {\"total\": 4, \"reserved\": 1, \"min_unit\": 1, \"max_unit\": 2, \"step_size\": 1, \"allocation_ratio\": 1.5}}}",
    b"\x27\x03{\"resource_class\": \"MEMORY_MB\", \"total\": 4, \"allocation_ratio\": 1e3}",
    b"\x27\x04{\"resource_provider_generation\": 2, \"total\": 4, \"reserved\": 0}",
    b"\x27\x05{\"resource_provider_generation\": 2, \"traits\": [\"HW_CPU_X86_AVX\", \"HW_CPU_X86_AVX2\"]}",
    b"\x27\x06{\"resource_provider_generation\": 2, \"aggregates\": [\"e0000000-0000-4000-8000-000000000000\"]}",
    b"\x27\x07{\"allocations\": {\"a0000000-0000-4000-8000-000000000000\": {\"resources\": {\"VCPU\": 1}}}, \"consumer_generation\": null, \"project_id\": \"p\", \"user_id\": \"u\", \"consumer_type\": \"INSTANCE\", \"mappings\": {\"\": [\"a0000000-0000-4000-8000-000000000000\"]}}",
    b"\x0a\x07{\"allocations\": [{\"resource_provider\": {\"uuid\": \"a0000000-0000-4000-8000-000000000000\"}, \"resources\": {\"VCPU\": 1}}], \"project_id\": \"p\", \"user_id\": \"u\"}",
    b"\x27\x08{\"c0000000-0000-4000-8000-000000000000\": {\"allocations\": {\"a0000000-0000-4000-8000-000000000000\": {\"resources\": {\"VCPU\": 2}}}, \"consumer_generation\": null, \"project_id\": \"p\", \"user_id\": \"u\", \"consumer_type\": \"INSTANCE\"}}",
    b"\x27\x09{\"inventories\": {\"a0000000-0000-4000-8000-000000000000\": {\"resource_provider_generation\": 2, \"inventories\": {\"VCPU\": {\"total\": 4}}}}, \"allocations\": {\"c0000000-0000-4000-8000-000000000000\": {\"allocations\": {\"a0000000-0000-4000-8000-000000000000\": {\"resources\": {\"VCPU\": 2}}}, \"consumer_generation\": null, \"project_id\": \"p\", \"user_id\": \"u\", \"consumer_type\": \"INSTANCE\"}}}",
    b"\x27\x0a{\"name\": \"CUSTOM_A\"}",
];

const MICROVERSIONS: [&[u8]; 5] =
    [b"placement 1.39", b"placement latest", b"compute 2.90, placement 1.4", b"placement 1.-1", b"1.2"];

const POLICIES: [&[u8]; 4] = [
    b"# who may what\n---\n\"placement:traits:list\": \"@\"\nadmin_api: 'role:admin' # us\n",
    b"{\"placement:usages\": \"role:a or (not role:b and project_id:%(project_id)s)\", \"a\": \"!\"}",
    b"a: rule:b or rule:c\nb: rule:c\nc: role:admin and user_id:%(user_id)s\n",
    b"a: 'x':%(user_id)s\nb: rule:a and rule:a\n",
];

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
