//! Content negotiation by the Accept header.

/// How much a client wants a media type, by its Accept header: 0 (not at all) to 1000.
pub(crate) fn quality(accept: &str, offer: &str) -> u16 {
    let (kind, _) = offer.split_once('/').unwrap_or((offer, ""));
    let mut best: Option<(u8, u16)> = None;
    for range in accept.split(',') {
        let mut parameters = range.split(';').map(str::trim);
        let precision = match parameters.next().unwrap_or_default() {
            range if range.eq_ignore_ascii_case(offer) => 2,
            "*/*" => 0,
            range if range.strip_suffix("/*").is_some_and(|of| of.eq_ignore_ascii_case(kind)) => 1,
            _ => continue,
        };
        let quality = parameters.find_map(|parameter| parameter.strip_prefix("q=")).map_or(1000, thousandths);
        if best.is_none_or(|(known, _)| precision > known) {
            best = Some((precision, quality));
        }
    }
    best.map_or(0, |(_, quality)| quality)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped before
fn thousandths(quality: &str) -> u16 {
    let quality: f32 = quality.parse().unwrap_or(0.0);
    (quality.clamp(0.0, 1.0) * 1000.0) as u16
}

/// The form in which an error is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorForm {
    Json,
    Html,
    Text,
}

impl ErrorForm {
    /// The form that the client likes best; without a word from it, JSON.
    pub(crate) fn of(accept: Option<&str>) -> Self {
        let Some(accept) = accept.filter(|accept| !accept.is_empty() && *accept != "*/*") else {
            return Self::Json;
        };
        match (quality(accept, "text/html"), quality(accept, "application/json")) {
            (0, 0) => Self::Text,
            (html, json) if html >= json => Self::Html,
            _ => Self::Json,
        }
    }
}

/// Whether the client takes JSON.
pub(crate) fn takes_json(accept: Option<&str>) -> bool {
    accept.is_none_or(|accept| accept.is_empty() || quality(accept, "application/json") > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

    #[test]
    fn the_most_precise_range_counts() {
        assert_eq!(quality(BROWSER, "text/html"), 1000);
        assert_eq!(quality(BROWSER, "application/json"), 800);
        assert_eq!(quality("application/*;q=0.3, application/json;q=0", "application/json"), 0);
        assert_eq!(quality("text/plain", "application/json"), 0);
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
