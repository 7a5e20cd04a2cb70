//! Requests that were asked for lately, kept ready: most requests are for the same few flavors, and to work one out takes a look
//! at every host.

use std::collections::VecDeque;

use berth_scheduler::nova::filter_scheduler::PreparedRequest;

use crate::fleet::ask::Ask;

/// Requests that were worked out, the latest first. All for the same hosts and aggregates, and for no server group: members
/// come and go.
#[derive(Default)]
pub(super) struct Prepared {
    kept: VecDeque<Kept>,
}

struct Kept {
    /// Without its instances.
    ask: Ask,
    instances: usize,
    request: PreparedRequest,
}

impl Prepared {
    /// With 10,000 hosts, one takes about 60 KiB.
    const MOST: usize = 64;

    /// The request for so many instances, worked out now if it is not among the latest.
    pub(super) fn request<E>(
        &mut self,
        ask: &Ask,
        prepare: impl FnOnce() -> Result<PreparedRequest, E>,
    ) -> Result<&mut PreparedRequest, E> {
        let kept =
            match self.kept.iter().position(|kept| kept.is_for(ask)).and_then(|at| self.kept.remove(at)) {
                Some(kept) => kept,
                None => {
                    let shape = Ask { instances: Vec::new(), ..ask.clone() };
                    Kept { ask: shape, instances: ask.instances.len(), request: prepare()? }
                }
            };
        self.kept.truncate(Self::MOST - 1);
        self.kept.push_front(kept);
        Ok(&mut self.kept[0].request)
    }
}

impl Kept {
    fn is_for(&self, ask: &Ask) -> bool {
        let Ask {
            instances,
            flavor,
            image,
            project,
            user: _, // no part of what Placement and the filters are asked
            availability_zone,
            hints,
            ignore_hosts,
            alternates: _, // nor this
        } = ask;
        (self.instances, &self.ask.flavor, &self.ask.image) == (instances.len(), flavor, image)
            && &self.ask.project == project
            && &self.ask.availability_zone == availability_zone
            && (&self.ask.hints, &self.ask.ignore_hosts) == (hints, ignore_hosts)
    }
}
