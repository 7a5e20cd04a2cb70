//! UUIDs as JSON strings. Long answers are UUIDs for the most part, so eight digits are made at
//! once, and stored straight into their place.

use uuid::Uuid;

/// Bytes of a UUID's text, quotes included.
pub(super) const QUOTED: usize = 38;

/// Writes the text between quotes.
#[inline]
pub(super) fn quote(uuid: Uuid, text: &mut [u8; QUOTED]) {
    let (a, b, c, d) = parts(uuid);
    let (a, b, c, d) = (digits(a), digits(b), digits(c), digits(d));
    text[0] = b'"';
    text[1..9].copy_from_slice(&a);
    text[9] = b'-';
    text[10..14].copy_from_slice(&b[..4]);
    text[14] = b'-';
    text[15..19].copy_from_slice(&b[4..]);
    text[19] = b'-';
    text[20..24].copy_from_slice(&c[..4]);
    text[24] = b'-';
    text[25..29].copy_from_slice(&c[4..]);
    text[29..37].copy_from_slice(&d);
    text[37] = b'"';
}

/// Four numbers of 32 bits.
fn parts(uuid: Uuid) -> (u32, u32, u32, u32) {
    let (high, low) = uuid.as_u64_pair();
    #[allow(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    let lower = |number: u64| number as u32;
    (lower(high >> 32), lower(high), lower(low >> 32), lower(low))
}

/// The eight digits of a number, all in one register.
fn digits(number: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut spread = u64::from(number);
    spread = (spread << 16 | spread) & 0x0000_ffff_0000_ffff;
    spread = (spread << 8 | spread) & 0x00ff_00ff_00ff_00ff;
    spread = (spread << 4 | spread) & 0x0f0f_0f0f_0f0f_0f0f;
    let is_letter = (spread + 6 * ONES) >> 4 & ONES;
    let letters = is_letter * u64::from(b'a' - 10 - b'0');
    (spread + letters + ONES * u64::from(b'0')).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_written_as_the_library_does() {
        for byte in 0..=u8::MAX {
            for place in 0..16 {
                let mut bytes = [0x5a; 16];
                bytes[place] = byte;
                let uuid = Uuid::from_bytes(bytes);
                let mut text = [b'?'; QUOTED];
                quote(uuid, &mut text);
                assert_eq!(str::from_utf8(&text).unwrap(), format!("\"{}\"", uuid.hyphenated()));
            }
        }
    }
}
