//! A request, compiled once for many decisions.

use berth_placement::kernel::{CLASSES, NOT_ASKED};
use berth_placement::{
    Allocation, Allocations, ClassId, HOST_CLASSES, Row, RowSet, ShapeId, Topology, Units, View,
};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::amounts::request::Request;
use crate::mask::HostMask;
use crate::ranking::cached_extremes::CachedExtremes;
use crate::ranking::forest::{Forest, Open};
use crate::ranking::kinds::Kinds;

/// A request in the terms of one view: what every decision on it shares. It follows the view's
/// layout changes row by row, and is of no use to any decider but the one that prepared it.
#[derive(Debug, Clone)]
pub struct Prepared {
    request: Request,
    /// The position in the view's layout changes that `eligible` is true to.
    position: u64,
    need: [i32; CLASSES],
    others: SmallVec<[(ClassId, u32); 2]>,
    template: Allocations,
    eligible: Option<HostMask>,
    /// Whether no host at all is eligible.
    has_no_host: bool,
    /// The rankings that may hold eligible hosts, and the forest and layout that this is true to.
    open: Open,
    open_at: Option<(u64, u64)>,
    pub(crate) decided: Decided,
    /// The hosts that had the extremes when it was last decided.
    pub(crate) cached: CachedExtremes<CLASSES>,
}

/// The last decision, and the view's counts it was made at.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Decided {
    #[default]
    Nothing,
    /// This host; true while nothing changes.
    Host { row: Row, changes: u64 },
    /// No host; true while no host gains anything.
    NoHost { gains: u64 },
}

impl Prepared {
    /// Compiles `request` against the view.
    #[must_use]
    pub fn new(request: Request, view: &View) -> Self {
        let mut prepared = Self {
            position: view.layout_position(),
            need: [NOT_ASKED; CLASSES],
            others: SmallVec::new(),
            template: SmallVec::new(),
            eligible: None,
            has_no_host: false,
            open: Open::new(),
            open_at: None,
            decided: Decided::Nothing,
            cached: CachedExtremes::default(),
            request,
        };
        for &(class, amount) in prepared.request.resources.iter().filter(|(_, amount)| *amount > 0) {
            match prepared.template.iter_mut().find(|allocation| allocation.class == class) {
                Some(twice) => twice.amount = twice.amount.saturating_add(amount),
                None => prepared.template.push(Allocation { row: Row(0), class, amount }),
            }
        }
        for &Allocation { class, amount, .. } in &prepared.template {
            match HOST_CLASSES.iter().position(|&host_class| host_class == class) {
                // An amount above i32::MAX fits no inventory: the unit rules of every shape refuse
                // it.
                Some(position) => prepared.need[position] = i32::try_from(amount).unwrap_or(i32::MAX),
                None => prepared.others.push((class, amount)),
            }
        }
        prepared.eligible = prepared.eligible_hosts(view);
        prepared.has_no_host = prepared.eligible.as_ref().is_some_and(HostMask::is_empty);
        prepared
    }

    /// Applies the layout changes since the last call.
    #[inline]
    pub(crate) fn renew(&mut self, view: &View) {
        if self.position != view.layout_position() {
            self.follow(view);
        }
    }

    /// The amounts of the host classes that must be free; [`NOT_ASKED`] for none.
    #[inline]
    #[must_use]
    pub const fn need(&self) -> [i32; CLASSES] {
        self.need
    }

    /// The requested amounts of other classes.
    #[must_use]
    #[inline]
    pub fn others(&self) -> &[(ClassId, u32)] {
        &self.others
    }

    /// The hosts that satisfy everything no claim changes; `None` when all hosts do.
    #[must_use]
    pub const fn eligible(&self) -> Option<&HostMask> {
        self.eligible.as_ref()
    }

    /// Finds the rankings of `forest` that may hold eligible hosts. Forests that one decider had
    /// differ in `epoch`; `kinds` is what distinguishes hosts there.
    #[inline]
    pub(crate) fn open_in<const N: usize>(
        &mut self,
        forest: &Forest<N>,
        epoch: u64,
        kinds: &Kinds,
        view: &View,
    ) {
        let at = Some((epoch, self.position));
        if self.open_at != at {
            self.open = forest.open(|row| self.satisfied_by(view, row, Some(kinds)));
            self.open_at = at;
        }
    }

    /// The rankings found by [`Self::open_in`].
    #[inline]
    pub(crate) fn open(&self) -> &[u64] {
        &self.open
    }

    /// Whether no host is eligible, so that none need be looked for.
    #[inline]
    #[must_use]
    pub(crate) const fn has_no_host(&self) -> bool {
        self.has_no_host
    }

    /// The allocations of a VM placed on `row`.
    #[must_use]
    #[inline]
    pub fn allocations(&self, row: Row) -> Allocations {
        let mut allocations = self.template.clone();
        allocations.iter_mut().for_each(|allocation| allocation.row = row);
        allocations
    }

    fn follow(&mut self, view: &View) {
        self.decided = Decided::Nothing;
        let Some(rows) = view.relayouts_since(self.position) else {
            *self = Self::new(std::mem::take(&mut self.request), view);
            return;
        };
        self.position = view.layout_position();
        for row in rows {
            let (host, eligible) = (view.host(row).is_some(), self.satisfied_by(view, row, None));
            if self.eligible.is_none() && host && !eligible {
                self.eligible = Some(HostMask::from_words(view.hosts().to_vec()));
            }
            if let Some(mask) = &mut self.eligible {
                mask.set(row, eligible);
            }
        }
        self.has_no_host = self.eligible.as_ref().is_some_and(HostMask::is_empty);
    }

    /// Whether the row is a host that satisfies what no claim changes: the part that `kinds`
    /// distinguish, or all of it.
    fn satisfied_by(&self, view: &View, row: Row, kinds: Option<&Kinds>) -> bool {
        let topology = view.topology();
        let Request { required_traits, forbidden_traits, member_of, forbidden_aggregates, .. } =
            &self.request;
        let has = |name: &String| rows_with(topology, name).is_some_and(|rows| rows.contains(row.0));
        let is_in = |id: &Uuid| topology.rows_in_aggregate(*id).is_some_and(|rows| rows.contains(row.0));
        let distinguishes_trait =
            |name: &&String| kinds.is_none_or(|kinds| kinds.distinguishes_trait(topology, name));
        let distinguishes_aggregate =
            |id: &&Uuid| kinds.is_none_or(|kinds| kinds.distinguishes_aggregate(**id));
        let distinguishes_all = |any_of: &&Vec<Uuid>| any_of.iter().all(|id| distinguishes_aggregate(&id));
        view.host(row).is_some()
            && !self.refused_by(&view.shapes()[view.shape_of()[row.index()].0 as usize])
            && required_traits.iter().filter(distinguishes_trait).all(has)
            && !forbidden_traits.iter().filter(distinguishes_trait).any(has)
            && member_of.iter().filter(distinguishes_all).all(|any_of| any_of.iter().any(is_in))
            && !forbidden_aggregates.iter().filter(distinguishes_aggregate).any(is_in)
    }

    /// Whether some class's unit rules refuse the amount asked for, or the class does not exist:
    /// one answer per shape.
    fn refused_by(&self, shape: &[Option<Units>; CLASSES]) -> bool {
        self.template.iter().any(|allocation| {
            let position = HOST_CLASSES.iter().position(|&class| class == allocation.class);
            position.is_some_and(|class| shape[class].is_none_or(|units| !units.allow(allocation.amount)))
        })
    }

    fn eligible_hosts(&self, view: &View) -> Option<HostMask> {
        let shapes = (0..).map(ShapeId).zip(view.shapes());
        let refused: Vec<bool> =
            shapes.map(|(id, shape)| view.shape_has_hosts(id) && self.refused_by(shape)).collect();
        let some_refused = refused.contains(&true);
        if !self.asks_topology() && !some_refused {
            return None;
        }
        let mut mask = HostMask::from_words(view.hosts().to_vec());
        self.narrow_by_topology(view.topology(), &mut mask);
        if some_refused {
            mask.retain(|row| !refused[view.shape_of()[row.index()].0 as usize]);
        }
        Some(mask)
    }

    fn asks_topology(&self) -> bool {
        let Request { required_traits, forbidden_traits, member_of, forbidden_aggregates, .. } =
            &self.request;
        !(required_traits.is_empty()
            && forbidden_traits.is_empty()
            && member_of.is_empty()
            && forbidden_aggregates.is_empty())
    }

    /// Keeps the hosts with the wanted traits and aggregates.
    fn narrow_by_topology(&self, topology: &Topology, mask: &mut HostMask) {
        let Request { required_traits, forbidden_traits, member_of, forbidden_aggregates, .. } =
            &self.request;
        let trait_words = |name: &String| rows_with(topology, name).map_or(&[][..], RowSet::words);
        let aggregate_words = |id: &Uuid| topology.rows_in_aggregate(*id).map_or(&[][..], RowSet::words);
        required_traits.iter().for_each(|name| mask.keep(trait_words(name)));
        forbidden_traits.iter().for_each(|name| mask.remove(trait_words(name)));
        for any_of in member_of {
            let mut members = HostMask::from_words(vec![0; mask.words().len()]);
            any_of.iter().for_each(|id| members.add(aggregate_words(id)));
            mask.keep(members.words());
        }
        forbidden_aggregates.iter().for_each(|id| mask.remove(aggregate_words(id)));
    }
}

fn rows_with<'a>(topology: &'a Topology, name: &str) -> Option<&'a RowSet> {
    topology.rows_with_trait(topology.find_trait(name)?)
}
