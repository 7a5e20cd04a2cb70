//! Patterns of SQL's `LIKE`, as databases compare them: without case.

/// A pattern: `_` stands for any character, `%` for any text, and a backslash takes a character as
/// it is.
pub(super) struct Like<'a> {
    pattern: &'a [u8],
    /// Whether any text may follow.
    is_open: bool,
}

/// One element of a pattern.
enum Element {
    /// So many bytes of the pattern stand for one character: this, or any.
    One(usize, Option<u8>),
    Any,
}

impl<'a> Like<'a> {
    /// The pattern of a text that begins with another.
    pub(super) const fn beginning_with(pattern: &'a str) -> Self {
        Self { pattern: pattern.as_bytes(), is_open: true }
    }

    /// Whether a name, which is ASCII, is as the pattern says.
    pub(super) fn matches(&self, name: &str) -> bool {
        let (name, mut at, mut place) = (name.as_bytes(), 0, 0);
        // Where to go on when something does not match: behind the last `%`, with one character
        // more for it.
        let mut retry = None;
        loop {
            match self.element(at) {
                None if self.is_open || place == name.len() => return true,
                Some(Element::Any) => {
                    at += 1;
                    retry = Some((at, place));
                    continue;
                }
                Some(Element::One(length, wanted)) => {
                    let here = name.get(place);
                    if here.is_some_and(|byte| wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(byte)))
                    {
                        (at, place) = (at + length, place + 1);
                        continue;
                    }
                }
                None => {}
            }
            match retry {
                Some((behind, from)) if from < name.len() => {
                    retry = Some((behind, from + 1));
                    (at, place) = (behind, from + 1);
                }
                _ => return false,
            }
        }
    }

    fn element(&self, at: usize) -> Option<Element> {
        Some(match (self.pattern.get(at)?, self.pattern.get(at + 1)) {
            (b'%', _) => Element::Any,
            (b'_', _) => Element::One(1, None),
            (b'\\', Some(&literal)) => Element::One(2, Some(literal)),
            (&literal, _) => Element::One(1, Some(literal)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "HW_CPU_X86_AVX512VNNI";

    #[test]
    fn a_prefix_is_compared_as_a_database_does() {
        for pattern in [
            "",
            "HW",
            "hw_cpu",
            "HW-CPU".replace('-', "_").as_str(),
            "H_",
            "%AVX512VNNI",
            "__%avx%NN",
            "HW\\_CPU",
            NAME,
        ] {
            assert!(Like::beginning_with(pattern).matches(NAME), "{pattern}");
        }
        for pattern in ["W", "HW-CPU", "HW_CPU_X86_AVX512VNNI_", "%AVX2", "H\\_", "%NNI%X", "\\%", "☃"] {
            assert!(!Like::beginning_with(pattern).matches(NAME), "{pattern}");
        }
    }

    #[test]
    fn a_long_pattern_takes_no_time() {
        let pattern = "%a".repeat(16 << 10);
        assert!(!Like::beginning_with(&pattern).matches(&"A".repeat(255)));
    }
}
