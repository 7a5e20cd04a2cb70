//! Where a body in chunks ends (RFC 9112, section 7.1), read strictly.

/// A place in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In a chunk's size, of which so many digits came.
    Size { size: u64, digits: u8 },
    /// In what may stand behind the size.
    Extension { size: u64 },
    /// Before the LF that ends the line of the size.
    SizeEnd { size: u64 },
    /// So many bytes before the end of the chunk.
    Data { left: u64 },
    /// Before the CR LF behind a chunk; whether the CR was there.
    DataEnd { cr: bool },
    /// In the trailers: whether the line has a character, and whether its CR was there.
    Trailer { is_empty: bool, cr: bool },
}

/// No chunk is larger: 15 digits.
const MOST_DIGITS: u8 = 15;

/// Bytes that cannot stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

impl Chunks {
    pub(super) const START: Self = Self::Size { size: 0, digits: 0 };

    /// Goes on over `bytes`; returns how many of them belong to the body, when it ends among them.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let mut place = 0;
        while let Some(&byte) = bytes.get(place) {
            if let Self::Data { left } = self {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - place);
                *left -= taken as u64;
                place += taken;
                if *left == 0 {
                    *self = Self::DataEnd { cr: false };
                }
                continue;
            }
            place += 1;
            match self.step(byte)? {
                Some(next) => *self = next,
                None => return Ok(Some(place)),
            }
        }
        Ok(None)
    }

    /// The place behind one byte; `None` at the end of the body.
    fn step(self, byte: u8) -> Result<Option<Self>, Broken> {
        let next = match (self, byte) {
            (Self::Size { size, digits }, byte) if byte.is_ascii_hexdigit() && digits < MOST_DIGITS => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                Self::Size { size: size << 4 | digit, digits: digits + 1 }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(Broken),
            (Self::Size { size, .. } | Self::Extension { size }, b'\r') => Self::SizeEnd { size },
            (Self::Size { size, .. }, b';' | b' ' | b'\t') => Self::Extension { size },
            (Self::Extension { size }, byte) if byte != b'\n' && byte != 0 => Self::Extension { size },
            (Self::SizeEnd { size: 0 }, b'\n') => Self::Trailer { is_empty: true, cr: false },
            (Self::SizeEnd { size }, b'\n') => Self::Data { left: size },
            (Self::DataEnd { cr: false }, b'\r') => Self::DataEnd { cr: true },
            (Self::DataEnd { cr: true }, b'\n') => Self::START,
            (Self::Trailer { is_empty, cr: false }, b'\r') => Self::Trailer { is_empty, cr: true },
            (Self::Trailer { is_empty: true, cr: true }, b'\n') => return Ok(None),
            (Self::Trailer { is_empty: false, cr: true }, b'\n') => {
                Self::Trailer { is_empty: true, cr: false }
            }
            (Self::Trailer { cr: false, .. }, byte) if byte != b'\n' && byte != 0 => {
                Self::Trailer { is_empty: false, cr: false }
            }
            _ => return Err(Broken),
        };
        Ok(Some(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_however_the_bytes_come() {
        let body = b"4\r\nabcd\r\nA;x=y\r\n0123456789\r\n0\r\nx: y\r\n\r\nGET";
        for part in 1..body.len() {
            let (mut chunks, mut end) = (Chunks::START, None);
            for (number, bytes) in body.chunks(part).enumerate() {
                if let Some(place) = chunks.advance(bytes).unwrap() {
                    end = Some(number * part + place);
                    break;
                }
            }
            assert_eq!(end, Some(body.len() - 3), "in parts of {part}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_broken() {
        for body in [
            "x\r\n",
            "\r\n",
            "4\nabcd",
            "4\r\nabcde\r\n",
            "0\r\n\n",
            "0\r\na\n",
            "1234567890123456\r\n",
            "-1\r\n",
            "0x4\r\nabcd\r\n",
            "4;\n",
            "4\rabcd",
        ] {
            let mut chunks = Chunks::START;
            assert_eq!(chunks.advance(body.as_bytes()).err(), Some(Broken), "{body}");
        }
    }
}
