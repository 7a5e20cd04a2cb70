//! Which memory pages of a host cell back an instance cell.

use super::{CellMisfit, HostCell, PageSize, Pages};

/// KiB in a MiB.
pub(super) const KIB: i64 = 1024;

/// Finds `memory` MiB in pages of the requested size, and says which size that is in the end.
///
/// Without a size, memory is a question of amount only: pinned instances need it free, others may
/// overcommit against other instances but not against themselves.
pub(super) fn resolve(
    cell: &HostCell,
    asked: PageSize,
    memory: i64,
    pins: bool,
) -> Result<PageSize, CellMisfit> {
    if asked == PageSize::Unset {
        return amount_fits(cell, memory, pins).map(|()| PageSize::Unset);
    }
    let smallest = cell.smallest_page();
    let allowed = |pages: &&Pages| match asked {
        PageSize::Small => Some(pages.size_kb) == smallest,
        PageSize::Large => Some(pages.size_kb) != smallest,
        PageSize::Kib(size) => pages.size_kb == size,
        PageSize::Any | PageSize::Unset => true,
    };
    let fits = |pages: &&Pages| fills_pages(pages, memory, pages.free_kb());
    let sizes = cell.mempages().iter().filter(allowed).filter(fits).map(|pages| pages.size_kb);
    sizes.max().map(PageSize::Kib).ok_or(CellMisfit::Pages { size: asked, memory })
}

fn amount_fits(cell: &HostCell, memory: i64, pins: bool) -> Result<(), CellMisfit> {
    let smallest = cell.mempages().iter().min_by_key(|pages| pages.size_kb);
    let (fits, available) = match (smallest, pins) {
        (Some(pages), true) => (fills_pages(pages, memory, pages.free_kb()), pages.free_kb() / KIB),
        (Some(pages), false) => (fills_pages(pages, memory, pages.total_kb()), pages.total_kb() / KIB),
        (None, true) => (memory <= cell.free_memory(), cell.free_memory()),
        (None, false) => (memory <= cell.memory(), cell.memory()),
    };
    if fits { Ok(()) } else { Err(CellMisfit::Memory { wanted: memory, available }) }
}

/// Whether the memory fills whole pages and there are enough of them.
const fn fills_pages(pages: &Pages, memory: i64, available_kb: i64) -> bool {
    let kib = memory.saturating_mul(KIB);
    kib <= available_kb && kib % pages.size_kb == 0
}
