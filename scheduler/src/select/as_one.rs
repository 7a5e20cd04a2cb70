//! Claims all instances of a request in one transaction.

use berth_placement::{ConsumerId, GroupError, Index, Refusal, Row, TransferError};

use super::index_claims::{Claimant, RefusedClaim};
use super::translate::{IndexClaimError, Translated, translate};
use super::{AllocationCandidate, Chooser, Claims, Decision, SelectDestinations, SelectError};
use crate::filters::RequestState;
use crate::hosts::{HostRow, HostTable};
use crate::request_spec::RequestSpec;

/// The largest number of decisions for one request that concurrent claims invalidate. Each attempt
/// excludes another host or sees new members of the server group; a request that fails more often
/// is too large.
pub const ATTEMPTS: usize = 16;

/// A decision whose instances are claimed together.
#[derive(Debug)]
pub struct DecisionAsOne {
    /// The last decision.
    pub decision: Decision,
    /// The number of attempts.
    pub attempts: usize,
    /// Claims that the plan or, at the end, the index refused.
    pub refused: Vec<RefusedClaim>,
}

impl SelectDestinations<'_> {
    /// [`Self::decide`], but without claims while hosts are being chosen: it plans the instances
    /// one by one, then claims them in one transaction. If the index refuses, it decides again
    /// without the hosts in conflict, at most [`ATTEMPTS`] times.
    ///
    /// # Errors
    /// In the decision: [`SelectError::Outrun`] after the last attempt, [`SelectError::Refused`] if
    /// another attempt cannot succeed.
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

/// Decides until the plan can be claimed. `decide` receives the previous decision, which a
/// concurrent claim invalidated, and undoes it.
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

/// Whether the same instances may be granted on other hosts, or later.
const fn is_passing(error: &TransferError) -> bool {
    matches!(
        error,
        TransferError::Refused(_)
            | TransferError::Group(GroupError::Apart { .. } | GroupError::Crowded { .. })
    )
}

/// Planned claims.
pub(crate) struct Plan<'a> {
    index: &'a Index,
    claimant: &'a Claimant,
    planned: Vec<Translated>,
    /// Providers that refused a claim although they seemed to have capacity.
    useless: Vec<Row>,
    refused: Vec<RefusedClaim>,
}

impl<'a> Plan<'a> {
    pub(crate) const fn new((index, claimant): (&'a Index, &'a Claimant)) -> Self {
        Self { index, claimant, planned: Vec::new(), useless: Vec::new(), refused: Vec::new() }
    }

    /// Checks whether the instance could be claimed together with the planned ones.
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

    /// Claims everything that is planned, or nothing. The plan is empty afterwards.
    fn commit(&mut self) -> Result<(), TransferError> {
        let instances = std::mem::take(&mut self.planned);
        self.claimant.claim(self.index, &instances).inspect_err(|&error| {
            // A provider whose capacity a concurrent claim took may still serve fewer instances:
            // the next plan checks it again.
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
