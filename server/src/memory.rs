//! The memory that long answers come and go in.

/// The largest answers that are to be made in memory that was used before.
const LARGE: usize = 16 << 20;

/// Has the C library keep memory that was freed instead of giving it back to the system after each long answer, only to
/// ask for it again: new pages cost more time than what is written on them.
///
/// When glibc frees a block as large as this, it takes blocks of this size for common from then on, and gives back only
/// what exceeds twice as much: 32 MiB for each of its arenas. (No page of this one is ever touched.) Other C libraries
/// have rules of their own, to which this makes no difference.
pub fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
}
