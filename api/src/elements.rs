//! The number of fields and elements of a message, counted before it is decoded.
//!
//! An element of two bytes becomes a structure of a hundred and more. A message of 8 MiB took 588
//! MB and seconds before its bounds were checked.

use prost::encoding::decode_varint;

/// The most fields and elements of a message, with those of the messages in it. The longest batch
/// of claims has about half of them.
pub(crate) const MOST: usize = 1 << 18;

/// Which fields of a message contain messages.
#[derive(Debug)]
pub struct MessageShape {
    /// Numbers of the fields, and the shapes of their messages.
    pub nested: &'static [(u64, &'static MessageShape)],
}

/// There are more than [`MOST`], or there is a group, which no message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

/// Counts the fields and elements of an encoded message against what is left. What is not an
/// encoded message ends the count: decoding refuses it at the same place.
pub(crate) fn count(mut wire: &[u8], shape: &MessageShape, left: &mut usize) -> Result<(), TooMany> {
    while !wire.is_empty() {
        let Ok(key) = decode_varint(&mut wire) else { return Ok(()) };
        *left = left.checked_sub(1).ok_or(TooMany)?;
        let length = match key & 7 {
            0 => {
                if decode_varint(&mut wire).is_err() {
                    return Ok(());
                }
                continue;
            }
            1 => 8,
            2 => decode_varint(&mut wire).unwrap_or(u64::MAX),
            5 => 4,
            _ => return Err(TooMany),
        };
        let part = usize::try_from(length).ok().and_then(|length| wire.split_at_checked(length));
        let Some((part, rest)) = part else { return Ok(()) };
        wire = rest;
        let number = key >> 3;
        if key & 7 == 2
            && let Some((_, shape)) = shape.nested.iter().find(|(field, _)| *field == number)
        {
            count(part, shape, left)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::bounds::Bounded;
    use crate::v1;

    fn counted<M: Bounded + Message>(message: &M) -> Option<usize> {
        let mut left = MOST;
        count(&message.encode_to_vec(), M::shape()?, &mut left).ok()?;
        Some(MOST - left)
    }

    fn claim() -> v1::ConsumerClaim {
        let resources = [("VCPU".to_owned(), 1), ("MEMORY_MB".to_owned(), 2)].into();
        let allocation = v1::Allocation { provider: "p".to_owned(), resources };
        v1::ConsumerClaim { consumer: "c".to_owned(), allocations: vec![allocation; 3], ..Default::default() }
    }

    #[test]
    fn fields_count_at_every_depth() {
        assert_eq!(counted(&claim_request(0)), Some(0));
        // The consumer; three allocations, each with a provider and two resources.
        let one = 1 + 1 + 3 * (1 + 1 + 2);
        assert_eq!(counted(&claim_request(1)), Some(one));
        assert_eq!(counted(&claim_request(10_000)), Some(10_000 * one));
        assert_eq!(counted(&claim_request(MOST / one + 1)), None);
    }

    fn claim_request(claims: usize) -> v1::ClaimRequest {
        v1::ClaimRequest { claims: vec![claim(); claims], ..Default::default() }
    }

    /// Four million empty elements, two bytes each.
    #[test]
    fn empty_elements_count() {
        let wire = [0x0a, 0].repeat(MOST + 1);
        assert!(v1::ClaimRequest::decode(&wire[..6]).is_ok_and(|request| request.claims.len() == 3));
        let shape = v1::ClaimRequest::shape().unwrap();
        assert_eq!(count(&wire, shape, &mut { MOST }), Err(TooMany));
        assert_eq!(count(&wire[2..], shape, &mut { MOST }), Ok(()));
    }

    /// Decoding refuses what ends the count.
    #[test]
    fn what_is_no_message_is_left_to_decoding() {
        let shape = v1::ClaimRequest::shape().unwrap();
        for wire in [&[0x0a][..], &[0x0a, 5, 0], &[0x80], &[0x08, 0xff], &[0xff; 11], &[0x0d, 0]] {
            assert_eq!(count(wire, shape, &mut { MOST }), Ok(()), "{wire:?}");
            v1::ClaimRequest::decode(wire).unwrap_err();
        }
        assert_eq!(count(&[0x0b, 0x0c], shape, &mut { MOST }), Err(TooMany), "a group");
    }
}
