//! Content negotiation by the Accept header (RFC 9110, section 12.5.1).

/// What one element of an Accept header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// Whether it asks for a variant of the media type. There is none of those that are on offer.
    has_parameters: bool,
    /// How much it is wanted, in thousandths; 0 is not at all.
    quality: u16,
}

impl Range<'_> {
    /// How closely the range describes a media type; `None` if it does not.
    fn precision(&self, (kind, subtype): (&str, &str)) -> Option<u8> {
        match (self.kind, self.subtype) {
            _ if self.has_parameters => None,
            ("*", "*") => Some(0),
            (own, "*") if own.eq_ignore_ascii_case(kind) => Some(1),
            (own, of) if own.eq_ignore_ascii_case(kind) && of.eq_ignore_ascii_case(subtype) => Some(2),
            _ => None,
        }
    }
}

/// How much a client wants a media type: 0 (not at all) to 1000. A header that is none says
/// nothing, as if it was missing.
fn quality(accept: &str, offer: (&str, &str)) -> u16 {
    let Some(ranges) = Reader(accept).ranges() else { return 1000 };
    let fitting = ranges.iter().filter_map(|range| Some((range.precision(offer)?, range.quality)));
    let best = fitting.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map_or(0, |(_, quality)| quality)
}

const HTML: (&str, &str) = ("text", "html");
const JSON: (&str, &str) = ("application", "json");

/// The media type of an error response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorForm {
    Json,
    Html,
    Text,
}

impl ErrorForm {
    /// The form that the client prefers; JSON if it states no preference.
    pub(crate) fn of(accept: Option<&str>) -> Self {
        let Some(accept) = accept.filter(|accept| !accept.trim().is_empty() && *accept != "*/*") else {
            return Self::Json;
        };
        match (quality(accept, HTML), quality(accept, JSON)) {
            (0, 0) => Self::Text,
            (html, json) if html >= json => Self::Html,
            _ => Self::Json,
        }
    }
}

/// Whether the client takes JSON.
pub(crate) fn takes_json(accept: Option<&str>) -> bool {
    accept.is_none_or(|accept| accept.trim().is_empty() || quality(accept, JSON) > 0)
}

/// Reads an Accept header from where it has come to.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    /// All ranges; `None` if the header is not of the form that the RFC gives it.
    fn ranges(mut self) -> Option<Vec<Range<'a>>> {
        let mut ranges = Vec::new();
        loop {
            self.skip_space();
            if !self.0.is_empty() && !self.0.starts_with(',') {
                ranges.push(self.range()?);
                self.skip_space();
            }
            if self.0.is_empty() {
                return Some(ranges);
            }
            self.take(',')?;
        }
    }

    fn range(&mut self) -> Option<Range<'a>> {
        let kind = self.token()?;
        self.take('/')?;
        let subtype = self.token()?;
        let mut range = Range { kind, subtype, has_parameters: false, quality: 1000 };
        let mut is_weighed = false;
        while let Some((name, value)) = self.parameter()? {
            if !is_weighed && name.eq_ignore_ascii_case("q") {
                range.quality = thousandths(value?)?;
                is_weighed = true;
            } else if !is_weighed {
                value?;
                range.has_parameters = true;
            }
        }
        Some(range)
    }

    /// `;name=value` or, behind the weight, `;name`; `Some(None)` if there is none.
    fn parameter(&mut self) -> Option<Option<(&'a str, Option<&'a str>)>> {
        let start = self.0;
        self.skip_space();
        if self.take(';').is_none() {
            self.0 = start;
            return Some(None);
        }
        self.skip_space();
        let name = self.token()?;
        if self.take('=').is_none() {
            return Some(Some((name, None)));
        }
        let value = if self.0.starts_with('"') { self.quoted()? } else { self.token()? };
        Some(Some((name, Some(value))))
    }

    fn token(&mut self) -> Option<&'a str> {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.0.find(|c| !is_token(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(token).filter(|token| !token.is_empty())
    }

    /// A text between quotes, with them.
    fn quoted(&mut self) -> Option<&'a str> {
        let mut is_escaped = false;
        for (place, c) in self.0.char_indices().skip(1) {
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => {
                    let (text, rest) = self.0.split_at(place + 1);
                    self.0 = rest;
                    return Some(text);
                }
                _ => {}
            }
        }
        None
    }

    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn take(&mut self, c: char) -> Option<()> {
        self.0 = self.0.strip_prefix(c)?;
        Some(())
    }
}

/// A weight between 0 and 1, with at most three digits behind the point.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, part) = weight.split_once('.').unwrap_or((weight, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

    #[test]
    fn the_most_precise_range_counts() {
        assert_eq!(quality("*/*", JSON), 1000);
        assert_eq!(quality(BROWSER, JSON), 800);
        assert_eq!(quality("application/*;q=0.5, application/json; q=0.25", JSON), 250);
        assert_eq!(quality("*/*, application/json;q=0", JSON), 0);
        assert_eq!(quality("text/plain", JSON), 0);
        assert_eq!(quality("Application/JSON ;\tQ=0.125;extension, ", JSON), 125);
    }

    /// As Placement's framework reads them: see *Differences* in `docs/conformance.md`.
    #[test]
    fn a_header_that_is_none_says_nothing() {
        for accept in [
            "pony",
            "*",
            "application",
            "application/json;q=2",
            "application/json;q=",
            "application/json;q=0.1234",
            "application/json;q=abc",
            "application/json;q=\"0\"",
            "application/json;charset",
            "\"",
        ] {
            assert!(takes_json(Some(accept)), "{accept}");
            assert_eq!(ErrorForm::of(Some(accept)), ErrorForm::Html, "{accept}");
        }
    }

    #[test]
    fn a_variant_that_is_not_on_offer_is_not_taken() {
        for accept in [
            "application/json;version=1",
            "application/json;charset=utf-8;q=0.5",
            "application/json;version=\"1,\\\" 2\"",
            "text/html;level=1, application/json;level=1",
            "*/json",
        ] {
            assert!(!takes_json(Some(accept)), "{accept}");
            assert_eq!(ErrorForm::of(Some(accept)), ErrorForm::Text, "{accept}");
        }
        assert!(takes_json(Some("application/json;version=\"1,2\", */*;q=0.1")));
    }

    #[test]
    fn errors_come_in_the_form_that_is_liked_best() {
        assert_eq!(ErrorForm::of(None), ErrorForm::Json);
        assert_eq!(ErrorForm::of(Some("*/*")), ErrorForm::Json);
        assert_eq!(ErrorForm::of(Some(BROWSER)), ErrorForm::Html);
        assert_eq!(ErrorForm::of(Some("text/plain")), ErrorForm::Text);
        assert_eq!(ErrorForm::of(Some("application/json, text/html;q=0.5")), ErrorForm::Json);
    }
}
