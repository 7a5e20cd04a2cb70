//! Cached JSON text of names that occur repeatedly in one response.

use std::ops::Range;

use berth_placement::{ClassId, Topology, TraitId};
use rustc_hash::FxHashMap;

use crate::json::Writer;
use crate::request::message::class_name;

/// The text at the start of a resource class in a summary.
#[derive(Default)]
pub(super) struct Classes {
    /// The text by class number; empty for a class that was not used yet.
    texts: Vec<Vec<u8>>,
}

impl Classes {
    /// Writes the member for the class, up to its capacity.
    pub(super) fn begin<'w>(
        &mut self,
        w: &'w mut Writer,
        topology: &Topology,
        class: ClassId,
    ) -> &'w mut Writer {
        if class.index() >= self.texts.len() {
            self.texts.resize(class.index() + 1, Vec::new());
        }
        let text = &mut self.texts[class.index()];
        if text.is_empty() {
            *text = Writer::text(|w| w.key(class_name(topology, class)).ready(br#"{"capacity":"#));
        }
        w.begin(text)
    }
}

/// Lists of traits. Many providers have the same list.
#[derive(Default)]
pub(super) struct TraitLists<'a> {
    /// The ranges of the response that already contain a list.
    written: FxHashMap<&'a [TraitId], Range<usize>>,
}

impl<'a> TraitLists<'a> {
    pub(super) fn write(&mut self, w: &mut Writer, topology: &Topology, traits: &'a [TraitId]) {
        if let Some(place) = self.written.get(traits) {
            return w.repeat(place.clone());
        }
        let start = w.len();
        let names = traits.iter().filter_map(|id| topology.traits().name(id.0));
        w.array(|w| names.for_each(|name| w.string(name)));
        self.written.insert(traits, start..w.len());
    }
}
