//! All instances of a request claimed as one.

use berth_placement::{ConsumerId, GroupError, Index, Refusal, Row, TransferError};

use super::index_claims::{Claimant, RefusedClaim};
use super::translate::{IndexClaimError, Translated, translate};
use super::{AllocationCandidate, Chooser, Claims, Decision, SelectDestinations, SelectError};
use crate::filters::RequestState;
use crate::hosts::{HostRow, HostTable};
use crate::request_spec::RequestSpec;

/// How often a request is decided again because another client was faster. Each time one more host is known to be of no use,
/// or the group's members have moved on; a request that is outrun so often is too large.
pub const ATTEMPTS: usize = 16;

/// A decision whose instances were claimed together.
#[derive(Debug)]
pub struct DecisionAsOne {
    /// The last decision.
    pub decision: Decision,
    /// How often it was decided.
    pub attempts: usize,
    /// Claims that were not granted: by the plan, or at the end by the index.
    pub refused: Vec<RefusedClaim>,
}

impl SelectDestinations<'_> {
    /// [`Self::decide`], but nothing is held while hosts are still being chosen: instances are planned one by one, then
    /// claimed as one. If the index refuses, all is decided again without what stood in the way, at most [`ATTEMPTS`] times.
    ///
    /// # Errors
    /// In the decision: [`SelectError::Outrun`] after the last attempt, [`SelectError::Refused`] where another would not help.
    pub fn decide_as_one(
        self,
        hosts: &mut HostTable,
        request: &mut RequestSpec,
        state: &mut RequestState,
        on: (&Index, &Claimant),
        chooser: &mut dyn Chooser,
    ) -> DecisionAsOne {
        let mut left = None;
        let decided = claim_as_one(on, |plan, outrun| {
            if let Some(mut outrun) = outrun {
                outrun.undo(hosts);
            }
            let (mut asked, mut known) = (request.clone(), state.clone());
            let decision = self.decide(hosts, &mut asked, &mut known, plan, chooser);
            left = Some((asked, known));
            decision
        });
        (*request, *state) = left.expect("it was decided once at least");
        decided
    }
}

/// Decides until what was planned could be claimed. `decide` is given the decision before, which was outrun and is to be undone.
pub(crate) fn claim_as_one(
    on: (&Index, &Claimant),
    mut decide: impl FnMut(&mut Plan<'_>, Option<Decision>) -> Decision,
) -> DecisionAsOne {
    let mut plan = Plan::new(on);
    let (mut attempts, mut outrun) = (0, None);
    let decision = loop {
        attempts += 1;
        let mut decision = decide(&mut plan, outrun.take());
        if decision.result.is_ok()
            && let Err(error) = plan.commit()
        {
            if is_passing(&error) && attempts < ATTEMPTS {
                outrun = Some(decision);
                continue;
            }
            decision.result =
                Err(if is_passing(&error) { SelectError::Outrun { attempts } } else { error.into() });
        }
        break decision;
    };
    DecisionAsOne { decision, attempts, refused: plan.refused }
}

/// Whether the same instances may be granted elsewhere, or later.
const fn is_passing(error: &TransferError) -> bool {
    matches!(
        error,
        TransferError::Refused(_)
            | TransferError::Group(GroupError::Apart { .. } | GroupError::Crowded { .. })
    )
}

/// Claims that are to be made.
pub(crate) struct Plan<'a> {
    index: &'a Index,
    claimant: &'a Claimant,
    planned: Vec<Translated>,
    /// Providers that refused what had looked possible.
    useless: Vec<Row>,
    refused: Vec<RefusedClaim>,
}

impl<'a> Plan<'a> {
    pub(crate) const fn new((index, claimant): (&'a Index, &'a Claimant)) -> Self {
        Self { index, claimant, planned: Vec::new(), useless: Vec::new(), refused: Vec::new() }
    }

    /// Looks whether the instance could be claimed together with those that are planned.
    fn look(
        &self,
        instance: ConsumerId,
        candidate: &AllocationCandidate,
    ) -> Result<Translated, IndexClaimError> {
        let wanted = translate(self.index, instance, candidate)?;
        self.check_free(&wanted)?;
        if let Some(group) = self.claimant.group {
            let found = self.index.group(group).ok_or(GroupError::Unknown(group));
            let planned = self.planned.iter().map(Translated::member);
            let members: Vec<_> = planned.chain([wanted.member()]).collect();
            found.and_then(|group| group.check(&members)).map_err(TransferError::from)?;
        }
        Ok(wanted)
    }

    fn check_free(&self, wanted: &Translated) -> Result<(), TransferError> {
        let planned = |row, class| {
            let all = self.planned.iter().flat_map(|planned| &planned.allocations);
            let same = all.filter(move |other| (other.row, other.class) == (row, class));
            same.map(|other| i64::from(other.amount)).sum::<i64>()
        };
        wanted.allocations.iter().try_for_each(|allocation| {
            let (row, class) = (allocation.row, allocation.class);
            let free = self.index.free(row, class).ok_or(Refusal::NoInventory { row, class })?;
            let free = if self.useless.contains(&row) { 0 } else { free - planned(row, class) };
            if free < i64::from(allocation.amount) {
                return Err(Refusal::Capacity { row, class, amount: allocation.amount, free }.into());
            }
            Ok(())
        })
    }

    /// Claims all that is planned, or nothing. The plan is empty afterwards.
    fn commit(&mut self) -> Result<(), TransferError> {
        let instances = std::mem::take(&mut self.planned);
        self.claimant.claim(self.index, &instances).inspect_err(|&error| {
            // Where others were faster, there may still be capacity for fewer: the next plan looks again.
            if let TransferError::Refused(refusal) = error
                && !matches!(refusal, Refusal::Capacity { .. })
            {
                self.useless.push(refusal.row());
            }
            let instances = instances.iter().map(|instance| instance.consumer).collect();
            self.refused.push(RefusedClaim { instances, row: None, error: error.into() });
        })
    }
}

impl Claims for Plan<'_> {
    fn claim(&mut self, instance: ConsumerId, row: HostRow, candidate: &AllocationCandidate) -> bool {
        match self.look(instance, candidate) {
            Ok(planned) => self.planned.push(planned),
            Err(error) => {
                self.refused.push(RefusedClaim { instances: vec![instance], row: Some(row), error });
                return false;
            }
        }
        true
    }

    fn release(&mut self, instance: ConsumerId) {
        self.planned.retain(|planned| planned.consumer != instance);
    }
}
