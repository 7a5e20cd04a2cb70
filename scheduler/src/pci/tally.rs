//! Devices left while requests are served one after the other.

use super::pool::Property;
use super::request::LiveMigratable;
use super::{Locality, PciFault, PciMisfit, PciRefusal, PciRequest, Pool, Pools, ProviderMapping, Stage};
use smallvec::SmallVec;

/// Pools and what is left of them; a pool that was emptied is gone.
pub(super) struct Tally<'a> {
    pools: &'a [Pool],
    left: SmallVec<[Option<u32>; 16]>,
    /// The pools picked for the current request.
    picks: Picks,
}

/// Pools that may serve a request, in the order in which devices are taken, and their devices.
#[derive(Default)]
pub(super) struct Picks(SmallVec<[(usize, u32); 16]>);

impl Picks {
    pub(super) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        self.0.retain(|&mut (pool, _)| keep(pool));
    }

    pub(super) fn sort_by_key(&mut self, key: impl Fn(usize) -> bool) {
        self.0.sort_by_key(|&(pool, _)| key(pool));
    }

    pub(super) fn devices_where(&self, counted: impl Fn(usize) -> bool) -> u64 {
        self.0.iter().filter(|&&(pool, _)| counted(pool)).map(|&(_, devices)| u64::from(devices)).sum()
    }

    fn enough(&self, request: &PciRequest, at: usize, stage: Stage) -> Result<(), PciMisfit> {
        let left = self.devices_where(|_| true);
        if self.0.is_empty() || left < request.count().into() {
            return Err(PciMisfit { request: at, wanted: request.count(), left, stage });
        }
        Ok(())
    }
}

impl<'a> Tally<'a> {
    pub(super) fn new(pools: &'a Pools) -> Self {
        let pools = pools.as_slice();
        let left = pools.iter().map(|pool| Some(pool.count())).collect();
        Self { pools, left, picks: Picks::default() }
    }

    /// Devices left in each pool; none where the pool is gone.
    pub(super) fn into_left(self) -> SmallVec<[Option<u32>; 16]> {
        self.left
    }

    /// Serves the requests in order. Those before one that fails stay served.
    pub(super) fn serve(
        &mut self,
        requests: &[PciRequest],
        mapping: Option<&ProviderMapping>,
        locality: Locality<'_>,
    ) -> Result<(), PciRefusal> {
        for (at, request) in requests.iter().enumerate() {
            let providers = request.providers(mapping, at)?;
            self.pick(request, at, &providers, locality)?;
            if providers.is_empty() {
                self.take_any(request.count());
            } else {
                self.one_pool_per_provider(request, at)?;
                self.take_from(&providers);
            }
        }
        Ok(())
    }

    /// Finds the pools that may serve the request.
    fn pick(
        &mut self,
        request: &PciRequest,
        at: usize,
        providers: &[&str],
        locality: Locality<'_>,
    ) -> Result<(), PciRefusal> {
        let Self { pools, left, picks } = self;
        picks.0.clear();
        let there = left.iter().enumerate().filter_map(|(pool, left)| Some((pool, (*left)?)));
        picks.0.extend(there.filter(|&(pool, _)| request.matches(&pools[pool])));
        picks.enough(request, at, Stage::Spec)?;
        locality.narrow(request, at, pools, picks)?;
        picks.enough(request, at, Stage::Affinity)?;
        picks.retain(|pool| request.wants_kind_of(&pools[pool]));
        picks.enough(request, at, Stage::Kind)?;
        if !providers.is_empty() {
            picks.0.retain(|&mut (pool, left)| {
                let wanted = demand(&pools[pool], providers);
                0 < wanted && wanted <= left as usize
            });
            picks.enough(request, at, Stage::Placement)?;
        }
        if request.live_migratable().is_some() {
            picks.retain(|pool| request.wants_migratability_of(&pools[pool]));
            picks.enough(request, at, Stage::LiveMigration)?;
        }
        Ok(())
    }

    fn take_any(&mut self, mut wanted: u32) {
        for &(pool, left) in &self.picks.0 {
            let taken = left.min(wanted);
            wanted -= taken;
            self.left[pool] = (taken < left).then(|| left - taken);
            if wanted == 0 {
                break;
            }
        }
    }

    fn take_from(&mut self, providers: &[&str]) {
        for &(pool, left) in &self.picks.0 {
            let rest = left as usize - demand(&self.pools[pool], providers);
            self.left[pool] = u32::try_from(rest).ok().filter(|&rest| rest > 0);
        }
    }

    /// Placement counts devices by provider; that says which pool to take from only if there is one
    /// for each.
    fn one_pool_per_provider(&self, request: &PciRequest, at: usize) -> Result<(), PciMisfit> {
        let named = |&(pool, left): &(&'a Pool, &Option<u32>)| left.is_some() && pool.has_tag("rp_uuid");
        let pools: SmallVec<[&Pool; 16]> =
            self.pools.iter().zip(&self.left).filter(named).map(|(pool, _)| pool).collect();
        let split = pools
            .iter()
            .enumerate()
            .any(|(nth, pool)| pools[..nth].iter().any(|other| other.tag("rp_uuid") == pool.tag("rp_uuid")));
        if split {
            let left = pools.iter().map(|pool| u64::from(pool.count())).sum();
            return Err(PciMisfit {
                request: at,
                wanted: request.count(),
                left,
                stage: Stage::SplitProvider,
            });
        }
        Ok(())
    }
}

/// Devices that placement took from the pool's provider.
fn demand(pool: &Pool, providers: &[&str]) -> usize {
    pool.tag("rp_uuid").map_or(0, |own| providers.iter().filter(|&&provider| provider == own).count())
}

impl PciRequest {
    /// The provider of each device that placement chose; empty if any will do.
    fn providers<'a>(
        &'a self,
        mapping: Option<&'a ProviderMapping>,
        at: usize,
    ) -> Result<SmallVec<[&'a str; 4]>, PciFault> {
        if self.alias_name().is_none() {
            return Ok(SmallVec::new());
        }
        let Some(mapping) = mapping.filter(|mapping| !mapping.is_empty()) else {
            let written = self.spec_providers().ok_or(PciFault::NoSpec(at))?;
            return Ok(written.iter().map(String::as_str).collect());
        };
        let id = self.request_id().ok_or(PciFault::NoRequestId(at))?;
        let groups = mapping.iter().filter(|(suffix, _)| suffix.starts_with(id));
        groups.map(|(_, chosen)| chosen.first().map(String::as_str).ok_or(PciFault::NoProvider(at))).collect()
    }

    fn matches(&self, pool: &Pool) -> bool {
        self.specs().iter().any(|spec| {
            spec.iter().all(|(key, wanted)| {
                pool.property(key) == wanted.as_deref().map_or(Property::Absent, Property::Text)
            })
        })
    }

    const fn wants_kind_of(&self, pool: &Pool) -> bool {
        (self.wants_pf() || !pool.is_pf())
            && (self.wants_vdpa() || !pool.is_vdpa())
            && (self.wants_remote_managed() || !pool.is_remote_managed())
    }

    fn wants_migratability_of(&self, pool: &Pool) -> bool {
        match self.live_migratable() {
            None => true,
            Some(LiveMigratable::Yes) => pool.tag("live_migratable") == Some("true"),
            Some(LiveMigratable::No) => pool.tag("live_migratable") == Some("false"),
        }
    }
}

impl Pools {
    /// Whether the requests can be served, one after the other.
    ///
    /// # Errors
    /// Which request cannot, and why.
    pub fn supports(
        &self,
        requests: &[PciRequest],
        mapping: Option<&ProviderMapping>,
        locality: Locality<'_>,
    ) -> Result<(), PciRefusal> {
        Tally::new(self).serve(requests, mapping, locality)
    }

    /// Takes the devices that the requests want. If one cannot be served, those before it stay
    /// served, as in Nova.
    ///
    /// # Errors
    /// Which request cannot be served, and why.
    pub fn apply(
        &mut self,
        requests: &[PciRequest],
        mapping: Option<&ProviderMapping>,
        locality: Locality<'_>,
    ) -> Result<(), PciRefusal> {
        let mut tally = Tally::new(self);
        let served = tally.serve(requests, mapping, locality);
        let left = tally.into_left();
        self.set_left(&left);
        served
    }
}
