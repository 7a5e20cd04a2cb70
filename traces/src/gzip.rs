//! gzip files: one member or several, perhaps with zeros behind them.
//!
//! RFC 1952 knows members one after the other. Tapes and block devices pad a file with zeros; gzip
//! and Python ignore them, and so does this reader. Anything else behind a member is an error: it
//! may be the damaged rest of the trace.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// How every member begins.
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The decompressed bytes of all members.
pub(crate) struct Members<R> {
    /// The member being read; none at the end, and after an error.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    pub(crate) fn new(stored: R) -> Self {
        Self { member: Some(GzDecoder::new(stored)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(mut member) = self.member.take() {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                self.member = Some(member);
                return Ok(count);
            }
            self.member = next(member.into_inner())?;
        }
        Ok(0)
    }
}

/// The next member, if there is one.
fn next<R: BufRead>(mut stored: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let buffered = stored.fill_buf()?;
        match buffered.iter().position(|&byte| byte != 0) {
            Some(0) => break,
            Some(zeros) => stored.consume(zeros),
            None if buffered.is_empty() => return Ok(None),
            None => {
                let zeros = buffered.len();
                stored.consume(zeros);
            }
        }
    }
    if stored.fill_buf()?.first() == Some(&MAGIC[0]) {
        return Ok(Some(GzDecoder::new(stored)));
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "there is something else than gzip behind the end"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &str) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    }

    /// With buffers of any size, so that members and zeros end anywhere in one.
    fn read(bytes: &[u8]) -> io::Result<String> {
        let mut answers = [1, 2, 7, 512, 1 << 16].into_iter().map(|capacity| {
            let mut text = String::new();
            Members::new(BufReader::with_capacity(capacity, bytes)).read_to_string(&mut text).map(|_| text)
        });
        let first = answers.next().unwrap();
        assert!(answers.all(|answer| answer.as_ref().ok() == first.as_ref().ok()));
        first
    }

    /// gzip and Python read such files; they were "truncated or corrupt".
    #[test]
    fn zeros_behind_the_end_are_ignored() {
        let (one, two) = (packed("one\n"), packed("two\n"));
        for zeros in [0, 1, 511, 70_000] {
            let padding = vec![0; zeros];
            assert_eq!(read(&[&one[..], &padding].concat()).unwrap(), "one\n");
            assert_eq!(read(&[&one[..], &padding, &two, &padding].concat()).unwrap(), "one\ntwo\n");
        }
        assert_eq!(read(&packed("")).unwrap(), "");
    }

    #[test]
    fn anything_else_behind_the_end_is_an_error() {
        let one = packed("one\n");
        for rest in [&b"x"[..], b"\0\0x", b"\x1f", b"\x1f\x8b", &one[..one.len() - 3]] {
            assert!(read(&[&one[..], rest].concat()).is_err(), "{rest:?}");
        }
        assert!(read(&one[..one.len() - 1]).is_err());
    }
}
