//! Headers of requests.

use axum::http::{HeaderMap, HeaderName};

/// All values of a header as one list (RFC 9110, section 5.3).
pub(crate) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}
