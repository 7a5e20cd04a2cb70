//! A request, worked out once for many decisions.

use std::sync::Arc;

use berth_placement::kernel::{CLASSES, NOT_ASKED};
use berth_placement::{Allocation, Allocations, ClassId, HOST_CLASSES, Row, Topology, View};
use smallvec::SmallVec;

use crate::mask::HostMask;
use crate::request::Request;

/// A request in the terms of one view: what every decision on it shares.
#[derive(Debug, Clone)]
pub struct Prepared {
    request: Request,
    version: u64,
    need: [i32; CLASSES],
    others: SmallVec<[(ClassId, u32); 2]>,
    template: Allocations,
    eligible: Option<HostMask>,
}

impl Prepared {
    /// Works out `request` against the view.
    #[must_use]
    pub fn new(request: Request, view: &View) -> Self {
        let mut prepared = Self {
            version: view.topology().version(),
            need: [NOT_ASKED; CLASSES],
            others: SmallVec::new(),
            template: SmallVec::new(),
            eligible: None,
            request,
        };
        for &(class, amount) in prepared.request.resources.iter().filter(|(_, amount)| *amount > 0) {
            prepared.template.push(Allocation { row: Row(0), class, amount });
            match HOST_CLASSES.iter().position(|&host_class| host_class == class) {
                // An amount above i32::MAX fits no inventory, and neither does i32::MAX + 1 held to i32::MAX:
                // the claim's unit rules refuse it.
                Some(position) => prepared.need[position] = i32::try_from(amount).unwrap_or(i32::MAX),
                None => prepared.others.push((class, amount)),
            }
        }
        prepared.eligible = prepared.eligible_hosts(view);
        prepared
    }

    /// Works the request out again if the topology has changed since.
    #[inline]
    pub fn renew(&mut self, view: &View) {
        if self.version != view.topology().version() {
            *self = Self::new(std::mem::take(&mut self.request), view);
        }
    }

    /// What of the host classes has to be free; [`NOT_ASKED`] for none.
    #[inline]
    #[must_use]
    pub const fn need(&self) -> [i32; CLASSES] {
        self.need
    }

    /// What is asked of other classes.
    #[must_use]
    pub fn others(&self) -> &[(ClassId, u32)] {
        &self.others
    }

    /// The hosts that satisfy everything no claim changes; `None` when all hosts do.
    #[must_use]
    pub const fn eligible(&self) -> Option<&HostMask> {
        self.eligible.as_ref()
    }

    /// The allocations of a VM placed on `row`.
    #[must_use]
    pub fn allocations(&self, row: Row) -> Allocations {
        let mut allocations = self.template.clone();
        allocations.iter_mut().for_each(|allocation| allocation.row = row);
        allocations
    }

    /// Whether some host class's unit rules refuse the amount asked for. One answer per shape of host.
    fn shape_refuses(&self, shape: &[Option<berth_placement::Units>; CLASSES]) -> bool {
        self.template.iter().any(|allocation| {
            let position = HOST_CLASSES.iter().position(|&class| class == allocation.class);
            position.is_some_and(|class| shape[class].is_none_or(|units| !units.allow(allocation.amount)))
        })
    }

    fn eligible_hosts(&self, view: &View) -> Option<HostMask> {
        let refused: Vec<bool> = view.shapes().iter().map(|shape| self.shape_refuses(shape)).collect();
        let Request { required_traits, forbidden_traits, member_of, forbidden_aggregates, .. } =
            &self.request;
        let unconstrained = required_traits.is_empty()
            && forbidden_traits.is_empty()
            && member_of.is_empty()
            && forbidden_aggregates.is_empty();
        if unconstrained && !refused.contains(&true) {
            return None;
        }
        let mut mask = HostMask::from_words(view.hosts().to_vec());
        mask.retain(|row| !refused[view.shape_of()[row.index()].0 as usize]);
        if !unconstrained {
            self.apply_topology(view.topology(), &mut mask);
        }
        Some(mask)
    }

    fn apply_topology(&self, topology: &Arc<Topology>, mask: &mut HostMask) {
        let with_trait =
            |name: &String| topology.find_trait(name).and_then(|id| topology.rows_with_trait(id));
        let mut intersect = |rows: &dyn Fn(u32) -> bool| mask.retain(|row| rows(row.0));
        for name in &self.request.required_traits {
            let rows = with_trait(name);
            intersect(&|row| rows.is_some_and(|rows| rows.contains(row)));
        }
        for name in &self.request.forbidden_traits {
            let rows = with_trait(name);
            intersect(&|row| rows.is_none_or(|rows| !rows.contains(row)));
        }
        for any_of in &self.request.member_of {
            let rows: Vec<_> = any_of.iter().filter_map(|&id| topology.rows_in_aggregate(id)).collect();
            intersect(&|row| rows.iter().any(|rows| rows.contains(row)));
        }
        for &aggregate in &self.request.forbidden_aggregates {
            let rows = topology.rows_in_aggregate(aggregate);
            intersect(&|row| rows.is_none_or(|rows| !rows.contains(row)));
        }
    }
}
