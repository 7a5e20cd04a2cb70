//! PciPassthroughFilter: the allocation candidates that a host's devices can serve.

use super::{Locality, PciRefusal, PciRequest, Pools, ProviderMapping};

/// Keeps the positions in `left` whose candidates the host can serve. NUMA affinity is not looked
/// at here.
///
/// Without requests nothing is asked and nothing dropped. `pools` is none for a host that has not
/// reported yet.
///
/// # Errors
/// If no candidate is left, why the last one was dropped (none: there were no candidates, or no
/// pools). A [`PciFault`](super::PciFault) ends the filtering at once.
pub fn retain_candidates<C: AsRef<ProviderMapping>>(
    pools: Option<&Pools>,
    requests: &[PciRequest],
    candidates: &[C],
    left: &mut Vec<usize>,
) -> Result<(), Option<PciRefusal>> {
    if requests.is_empty() {
        return Ok(());
    }
    let pools = pools.ok_or(None)?;
    let mut kept = 0;
    let mut last = None;
    for nth in 0..left.len() {
        let mapping = candidates.get(left[nth]).map(C::as_ref);
        match pools.supports(requests, mapping, Locality::default()) {
            Ok(()) => {
                left[kept] = left[nth];
                kept += 1;
            }
            Err(fault @ PciRefusal::Fault(_)) => return Err(Some(fault)),
            Err(misfit) => last = Some(misfit),
        }
    }
    left.truncate(kept);
    if kept == 0 { Err(last) } else { Ok(()) }
}
