//! Reuse of the memory of long responses.

/// The size of the largest responses whose memory is to be reused, in bytes.
const LARGE: usize = 16 << 20;

/// Makes the C library keep freed memory instead of returning it to the system after each long
/// response: to get new pages from the system takes longer than to write the response to them.
///
/// After glibc has freed a block of this size, it treats blocks of this size as common, and returns
/// only memory that exceeds twice the size: 32 MiB for each of its arenas. No page of the freed
/// block is ever touched. Other C libraries have rules of their own, which this does not affect.
pub fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
}
