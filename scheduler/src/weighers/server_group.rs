//! ServerGroupSoftAffinityWeigher, ServerGroupSoftAntiAffinityWeigher

use rustc_hash::FxHashMap;

use super::{Multiplier, WeighError, Weigher};
use crate::filters::Scene;
use crate::hosts::HostRow;
use crate::request_spec::GroupPolicyKind;

/// Instances of the server group on the host. They count for the host under policy `soft-affinity`,
/// against it under `soft-anti-affinity`.
pub(super) struct SoftAffinityWeigher<'a> {
    scene: &'a Scene<'a>,
    /// Members on each service host that has any; none if the policy is another.
    members: Option<FxHashMap<u32, i64>>,
    sign: i64,
    multiplier: Multiplier,
}

impl<'a> SoftAffinityWeigher<'a> {
    /// Policy `soft-affinity`.
    pub(super) fn together(scene: &'a Scene<'a>) -> Self {
        let configured = scene.options.filter_scheduler.soft_affinity_weight_multiplier;
        let multiplier = Multiplier::new("soft_affinity_weight_multiplier", configured);
        Self { scene, members: members(scene, GroupPolicyKind::SoftAffinity), sign: 1, multiplier }
    }

    /// Policy `soft-anti-affinity`.
    pub(super) fn apart(scene: &'a Scene<'a>) -> Self {
        let configured = scene.options.filter_scheduler.soft_anti_affinity_weight_multiplier;
        let multiplier = Multiplier::new("soft_anti_affinity_weight_multiplier", configured);
        Self { scene, members: members(scene, GroupPolicyKind::SoftAntiAffinity), sign: -1, multiplier }
    }
}

fn members(scene: &Scene<'_>, policy: GroupPolicyKind) -> Option<FxHashMap<u32, i64>> {
    let group = scene.request.instance_group.as_ref().filter(|group| group.policy == Some(policy))?;
    Some(scene.hosts.count_instances(&group.members))
}

impl Weigher for SoftAffinityWeigher<'_> {
    fn raw(&self, row: HostRow) -> Result<f64, WeighError> {
        let service = self.scene.hosts.service_id(row);
        let count = self.members.as_ref().and_then(|members| members.get(&service)).copied().unwrap_or(0);
        Ok((self.sign * count) as f64)
    }

    fn multiplier(&self) -> Multiplier {
        self.multiplier
    }
}
