//! A message that arrives in parts.
//!
//! It takes the memory of what has arrived, and none after it was dropped. A buffer of the
//! allocator that grows by doubling takes up to twice as much, and the allocator keeps for long
//! what many of them have used. So a message that is not short is in mapped memory of its own.

use std::io;

use bytes::Bytes;
use memmap2::{Advice, MmapMut};

/// Bytes up to which a message is in memory of the allocator.
const SHORT: usize = 64 << 10;

/// The part of a message that has arrived.
#[derive(Debug, Default)]
pub(crate) struct Arriving {
    short: Vec<u8>,
    /// All bytes, once they are not few; its length is its capacity.
    long: Option<MmapMut>,
    length: usize,
    expected: usize,
}

impl Arriving {
    /// Nothing yet of a message of so many bytes; 0 if that is not known.
    pub(crate) fn expecting(expected: usize) -> Self {
        Self { expected, ..Self::default() }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends what has arrived.
    ///
    /// # Errors
    /// The system has no memory.
    pub(crate) fn push(&mut self, data: &[u8]) -> io::Result<()> {
        let (begin, length) = (self.length, self.length + data.len());
        if self.long.is_none() && length <= SHORT {
            self.short.extend_from_slice(data);
        } else {
            self.grow(length)?[begin..length].copy_from_slice(data);
        }
        self.length = length;
        Ok(())
    }

    /// Mapped memory with what has arrived, of at least so many bytes. Pages that were never
    /// written take no memory.
    fn grow(&mut self, least: usize) -> io::Result<&mut MmapMut> {
        let long = match self.long.take() {
            Some(long) if long.len() >= least => long,
            former => {
                let mut long = MmapMut::map_anon(least.next_power_of_two().max(self.expected))?;
                let _ = long.advise(Advice::NoHugePage); // a huge page is longer than what arrives, as a rule
                let arrived = former.as_ref().map_or(&self.short[..], |former| &former[..self.length]);
                long[..self.length].copy_from_slice(arrived);
                self.short = Vec::new();
                long
            }
        };
        Ok(self.long.insert(long))
    }

    fn bytes(&self) -> &[u8] {
        self.long.as_ref().map_or(&self.short, |long| &long[..self.length])
    }

    /// The message. Its memory returns to the system when the last reference to it is dropped.
    pub(crate) fn finish(self) -> Bytes {
        if self.long.is_none() { Bytes::from(self.short) } else { Bytes::from_owner(self) }
    }
}

impl AsRef<[u8]> for Arriving {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_arrive_in_order() {
        for (expected, part) in [(0, 1_000), (0, 100_000), (300_000, 70_000), (10, 70_000)] {
            let whole: Vec<u8> = (0..300_000_u32).map(|number| number.to_le_bytes()[1]).collect();
            let mut arriving = Arriving::expecting(expected);
            assert!(arriving.is_empty());
            whole.chunks(part).for_each(|part| arriving.push(part).unwrap());
            assert_eq!(arriving.finish(), whole);
        }
        let mut short = Arriving::default();
        short.push(b"ab").unwrap();
        short.push(b"").unwrap();
        assert_eq!(&short.finish()[..], b"ab");
        assert!(Arriving::expecting(1 << 40).finish().is_empty());
    }
}
