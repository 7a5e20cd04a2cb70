//! UUIDs as JSON strings. Long answers are UUIDs for the most part, so the digits are made all at once: compilers turn the
//! loops into vector code.

use uuid::Uuid;

/// The text between quotes.
pub(super) fn quoted(uuid: Uuid) -> [u8; 38] {
    let digits = digits(uuid.as_bytes());
    let mut text = [b'-'; 38];
    (text[0], text[37]) = (b'"', b'"');
    text[1..9].copy_from_slice(&digits[..8]);
    text[10..14].copy_from_slice(&digits[8..12]);
    text[15..19].copy_from_slice(&digits[12..16]);
    text[20..24].copy_from_slice(&digits[16..20]);
    text[25..37].copy_from_slice(&digits[20..]);
    text
}

fn digits(bytes: &[u8; 16]) -> [u8; 32] {
    let mut digits = [0; 32];
    for (place, byte) in bytes.iter().enumerate() {
        digits[2 * place] = byte >> 4;
        digits[2 * place + 1] = byte & 15;
    }
    for digit in &mut digits {
        *digit += if *digit > 9 { b'a' - 10 } else { b'0' };
    }
    digits
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
                assert_eq!(str::from_utf8(&quoted(uuid)).unwrap(), format!("\"{}\"", uuid.hyphenated()));
            }
        }
    }
}
