//! Fields of requests.

use tonic::Status;
use uuid::Uuid;

use super::status::bad_field;

/// The UUID that a field holds.
pub(crate) fn uuid(field: &str, text: &str) -> Result<Uuid, Status> {
    Uuid::try_parse(text).map_err(|_| bad_field(field, format!("has to be a UUID, not {text:?}")))
}

/// The UUID that a field holds; nothing if it is empty.
pub(crate) fn optional_uuid(field: &str, text: &str) -> Result<Option<Uuid>, Status> {
    if text.is_empty() { Ok(None) } else { uuid(field, text).map(Some) }
}

/// The UUIDs that a list holds; `most` is how many it may hold.
pub(crate) fn uuids(field: &str, texts: &[String], most: usize) -> Result<Vec<Uuid>, Status> {
    at_most(field, texts.len(), most)?;
    let texts = texts.iter().enumerate();
    texts.map(|(place, text)| uuid(&format!("{field}[{place}]"), text)).collect()
}

/// A list may have so many elements.
pub(crate) fn at_most(field: &str, length: usize, most: usize) -> Result<(), Status> {
    if length <= most {
        return Ok(());
    }
    Err(bad_field(field, format!("has {length} elements, and may have at most {most}")))
}

/// A text of 1 to `most` characters.
pub(crate) fn text<'a>(field: &str, text: &'a str, most: usize) -> Result<&'a str, Status> {
    match text.chars().count() {
        0 => Err(bad_field(field, "is required")),
        length if length > most => {
            Err(bad_field(field, format!("has {length} characters, and may have at most {most}")))
        }
        _ if text.contains('\0') => Err(bad_field(field, "contains a NUL character")),
        _ => Ok(text),
    }
}
