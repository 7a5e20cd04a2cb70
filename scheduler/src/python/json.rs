//! JSON as Python's reader accepts it: also `NaN`, `Infinity` and whole numbers of any size up to
//! 128 bits.

use super::value::Value;

/// The text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {at}")]
pub struct JsonError {
    /// The position at which reading stopped, in bytes.
    pub at: usize,
}

/// How deep values may be nested; Python gives up at about a thousand.
const MAX_DEPTH: usize = 512;

impl Value {
    /// The value of a JSON text.
    ///
    /// # Errors
    ///
    /// [`JsonError`] for what is not JSON, and for values nested deeper than 512 levels.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let mut reader = Reader { text, at: 0 };
        reader.skip_space();
        let value = reader.value(0)?;
        reader.skip_space();
        if reader.at == text.len() { Ok(value) } else { Err(reader.error()) }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn error(&self) -> JsonError {
        JsonError { at: self.at }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), JsonError> {
        if self.take(token) { Ok(()) } else { Err(self.error()) }
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        if depth > MAX_DEPTH {
            return Err(self.error());
        }
        match self.peek().ok_or_else(|| self.error())? {
            b'{' => self.map(depth),
            b'[' => self.list(depth),
            b'"' => self.string().map(Value::Text),
            _ => self.word().map_or_else(|| self.number(), Ok),
        }
    }

    fn word(&mut self) -> Option<Value> {
        let words = [
            ("null", Value::None),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
            ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        ];
        words.into_iter().find_map(|(word, value)| self.take(word).then_some(value))
    }

    fn map(&mut self, depth: usize) -> Result<Value, JsonError> {
        let mut entries = Vec::new();
        self.items("{", "}", |reader| {
            let key = reader.string()?;
            reader.skip_space();
            reader.expect(":")?;
            reader.skip_space();
            entries.push((key, reader.value(depth + 1)?));
            Ok(())
        })?;
        Ok(Value::map(entries))
    }

    fn list(&mut self, depth: usize) -> Result<Value, JsonError> {
        let mut items = Vec::new();
        self.items("[", "]", |reader| {
            items.push(reader.value(depth + 1)?);
            Ok(())
        })?;
        Ok(Value::List(items))
    }

    fn items(
        &mut self,
        open: &str,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.expect(open)?;
        self.skip_space();
        if self.take(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            self.skip_space();
            if self.take(close) {
                return Ok(());
            }
            self.expect(",")?;
            self.skip_space();
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.expect("\"")?;
        let mut out = String::new();
        loop {
            let c = self.rest().chars().next().ok_or_else(|| self.error())?;
            if c < ' ' {
                return Err(self.error());
            }
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(out),
                '\\' => out.push(self.escape()?),
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let escaped = self.peek().ok_or_else(|| self.error())?;
        let plain = match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.error()),
        };
        self.at += 1;
        Ok(plain)
    }

    /// `uXXXX`, and the second half of a surrogate pair. Half a pair becomes the replacement
    /// character.
    fn unicode(&mut self) -> Result<char, JsonError> {
        self.expect("u")?;
        let high = self.hex()?;
        if !(0xd800..0xdc00).contains(&high) || !self.rest().starts_with("\\u") {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let before = self.at;
        self.at += 2;
        let low = self.hex()?;
        if (0xdc00..0xe000).contains(&low) {
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.at = before;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let code =
            digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or_else(|| self.error())?;
        self.at += 4;
        Ok(code)
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        self.take("-");
        if !self.take("0") && self.digits() == 0 {
            return Err(self.error());
        }
        let fraction = self.fraction();
        let exponent = self.exponent();
        let text = &self.text[start..self.at];
        let whole = (!fraction && !exponent).then(|| text.parse().ok()).flatten();
        whole.map(Value::Int).or_else(|| text.parse().ok().map(Value::Float)).ok_or_else(|| self.error())
    }

    fn fraction(&mut self) -> bool {
        let before = self.at;
        let found = self.take(".") && self.digits() > 0;
        if !found {
            self.at = before;
        }
        found
    }

    fn exponent(&mut self) -> bool {
        let before = self.at;
        let found = (self.take("e") || self.take("E")) && {
            let _ = self.take("+") || self.take("-");
            self.digits() > 0
        };
        if !found {
            self.at = before;
        }
        found
    }

    fn digits(&mut self) -> usize {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str) -> String {
        Value::parse(text).map_or_else(|error| error.to_string(), |value| value.to_string())
    }

    #[test]
    fn reads_what_python_reads() {
        assert_eq!(
            printed(r#" {"b": [1, -2.50, 1e3], "a": null, "b": "\u00e9\ud83d\ude00"} "#),
            "{'b': 'é😀', 'a': None}"
        );
        assert_eq!(printed("[NaN, -Infinity, 100000000000000000000]"), "[nan, -inf, 100000000000000000000]");
    }

    #[test]
    fn refuses_what_python_refuses() {
        for bad in ["", "01", "[1,]", "{'a': 1}", "\"\n\"", "1.", "+1", "nul", "[", "{\"a\"}", "1 2"] {
            assert!(Value::parse(bad).is_err(), "{bad}");
        }
        assert!(Value::parse(&"[".repeat(100_000)).is_err());
    }
}
