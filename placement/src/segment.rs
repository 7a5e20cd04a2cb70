//! A growable column whose elements never move, so that readers need no lock while it grows.

use std::sync::OnceLock;

/// Rows per segment: few enough that a class of few providers stays small.
#[cfg(not(loom))]
const SEGMENT: usize = 1024;
#[cfg(loom)]
const SEGMENT: usize = 2;
/// Segments per directory page.
const PAGE: usize = 256;
/// Directory pages.
const PAGES: usize = 64;

type Segment<T> = OnceLock<Box<[T]>>;
type Page<T> = OnceLock<Box<[Segment<T>]>>;

/// Elements in segments that are allocated on first use and never move.
///
/// Two directory levels keep an empty column at 1.5 KiB and a sparse one at 6 KiB a page plus its
/// segments.
pub(crate) struct Segmented<T> {
    pages: Box<[Page<T>]>,
}

impl<T: Default> Segmented<T> {
    /// The number of rows a column can hold.
    pub(crate) const MAX_ROWS: usize = SEGMENT * PAGE * PAGES;

    pub(crate) fn new() -> Self {
        Self { pages: (0..PAGES).map(|_| OnceLock::new()).collect() }
    }

    /// The element of `row`, if its segment exists.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<&T> {
        let page = self.pages.get(row / SEGMENT / PAGE)?.get()?;
        Some(&page[row / SEGMENT % PAGE].get()?[row % SEGMENT])
    }

    /// The element of `row`, allocating its segment on first use.
    ///
    /// # Panics
    /// When `row` is not below [`Self::MAX_ROWS`].
    pub(crate) fn get_or_grow(&self, row: usize) -> &T {
        let page =
            self.pages[row / SEGMENT / PAGE].get_or_init(|| (0..PAGE).map(|_| OnceLock::new()).collect());
        let segment = page[row / SEGMENT % PAGE].get_or_init(|| (0..SEGMENT).map(|_| T::default()).collect());
        &segment[row % SEGMENT]
    }
}
