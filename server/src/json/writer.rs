//! Writes JSON text piece by piece; commas come by themselves.

use std::ops::Range;

use uuid::Uuid;

use super::uuid_text;

/// JSON text in the making. Objects and arrays are closures, so they always end.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes) }
    }

    /// The text of one object.
    pub(crate) fn document(members: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut writer = Self::with_capacity(256);
        writer.object(members);
        writer.out
    }

    /// A piece of text, to be written several times with [`Self::begin`].
    pub(crate) fn text(write: impl FnOnce(&mut Self) -> &mut Self) -> Vec<u8> {
        let mut writer = Self::default();
        write(&mut writer);
        writer.out
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.nest(b'{', b'}', members);
    }

    pub(crate) fn array(&mut self, elements: impl FnOnce(&mut Self)) {
        self.nest(b'[', b']', elements);
    }

    fn nest(&mut self, open: u8, close: u8, content: impl FnOnce(&mut Self)) {
        self.separate();
        self.out.push(open);
        content(self);
        self.out.push(close);
    }

    /// The name of the next member.
    pub(crate) fn key(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.out.push(b':');
        self
    }

    /// The name of the next member.
    pub(crate) fn uuid_key(&mut self, name: Uuid) -> &mut Self {
        self.uuid(name);
        self.out.push(b':');
        self
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.separate();
        self.out.push(b'"');
        let mut rest = text.as_bytes();
        while let Some(place) = rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            self.out.extend_from_slice(&rest[..place]);
            self.escape(rest[place]);
            rest = &rest[place + 1..];
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }

    fn escape(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        match byte {
            b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', byte]),
            b'\n' => self.out.extend_from_slice(b"\\n"),
            b'\r' => self.out.extend_from_slice(b"\\r"),
            b'\t' => self.out.extend_from_slice(b"\\t"),
            _ => {
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                self.out.extend_from_slice(b"\\u00");
                self.out.extend_from_slice(&digits);
            }
        }
    }

    pub(crate) fn uuid(&mut self, uuid: Uuid) {
        self.placed_uuid(uuid);
    }

    /// Where it stands, for [`Self::overwrite_uuid`].
    #[inline]
    pub(crate) fn placed_uuid(&mut self, uuid: Uuid) -> usize {
        self.separate();
        let place = self.out.len();
        self.out.extend_from_slice(&[0; uuid_text::QUOTED]);
        self.overwrite_uuid(place, uuid);
        place
    }

    /// Puts another UUID where one was written.
    #[inline]
    pub(crate) fn overwrite_uuid(&mut self, place: usize, uuid: Uuid) {
        let text = self.out[place..].first_chunk_mut().expect("a UUID was written there");
        uuid_text::quote(uuid, text);
    }

    pub(crate) fn uuid_or_null(&mut self, uuid: Option<Uuid>) {
        match uuid {
            Some(uuid) => self.uuid(uuid),
            None => self.null(),
        }
    }

    pub(crate) fn integer(&mut self, number: impl itoa::Integer) {
        self.separate();
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// A number that is finite.
    pub(crate) fn float(&mut self, number: f64) {
        debug_assert!(number.is_finite());
        self.separate();
        self.out.extend_from_slice(ryu::Buffer::new().format_finite(number).as_bytes());
    }

    /// A value, member or element whose text, or the beginning of it, is written already.
    pub(crate) fn begin(&mut self, text: &[u8]) -> &mut Self {
        self.separate();
        self.ready(text)
    }

    /// Writes the bytes unchanged.
    pub(crate) fn ready(&mut self, text: &[u8]) -> &mut Self {
        self.out.extend_from_slice(text);
        self
    }

    /// Writes the bytes of that place again, unchanged.
    pub(crate) fn repeat(&mut self, place: Range<usize>) {
        self.out.extend_from_within(place);
    }

    /// Writes the bytes of that place again, as the next value, member or element. Returns where
    /// that begins.
    pub(crate) fn begin_again(&mut self, place: Range<usize>) -> usize {
        self.separate();
        let start = self.out.len();
        self.repeat(place);
        start
    }

    /// Reserves capacity for this number of further bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.out.reserve(bytes);
    }

    pub(crate) fn null(&mut self) {
        self.separate();
        self.out.extend_from_slice(b"null");
    }

    fn separate(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[' | b':')) {
            self.out.push(b',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let text = "quote \" slash \\ line \n bell \u{7} snow ☃ brace { [ : ,";
        let document = Writer::document(|w| {
            w.key(text).string(text);
            w.key("list").array(|w| {
                w.integer(-7);
                w.float(16.0);
                w.null();
                w.array(|_| ());
                w.object(|_| ());
            });
            w.key("empty").object(|_| ());
            w.uuid_key(Uuid::from_u128(1)).uuid(Uuid::from_u128(2));
        });
        let read: serde_json::Value = serde_json::from_slice(&document).unwrap();
        let expected = serde_json::json!({
            text: text, "list": [-7, 16.0, null, [], {}], "empty": {},
            "00000000-0000-0000-0000-000000000001": "00000000-0000-0000-0000-000000000002",
        });
        assert_eq!(read, expected);
    }
}
