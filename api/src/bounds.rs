//! Bounds of every text, list and map of the messages that the service receives.
//!
//! The build script generates [`Bounded`] for each message from the protobuf files
//! (`build/bounds.rs` has the numbers), and the codec calls it: a message that exceeds a bound
//! reaches no handler. A handler may have a tighter bound.

use std::collections::BTreeMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::elements::{MOST, MessageShape, TooMany};

/// A message with bounds. Messages that only the service sends have none.
pub trait Bounded {
    /// Which of its fields contain messages; nothing for a message that only the service sends.
    fn shape() -> Option<&'static MessageShape>;

    /// Checks the message and the messages in it.
    ///
    /// # Errors
    /// The first field that exceeds its bound.
    fn check(&self) -> Result<(), Violation>;
}

/// A field that exceeds its bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Violation {
    /// The path of the field, as in `claims[3].project`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl From<Violation> for Status {
    fn from(violation: Violation) -> Self {
        let message = violation.to_string();
        let Violation { field, problem } = violation;
        let details = ErrorDetails::with_bad_request_violation(field, problem);
        Self::with_error_details(Code::InvalidArgument, message, details)
    }
}

impl Violation {
    fn within(self, outer: impl std::fmt::Display) -> Self {
        Self { field: format!("{outer}.{}", self.field), ..self }
    }
}

/// The refusal of a message with too many elements.
pub(crate) fn too_many_elements(_: TooMany) -> Violation {
    let problem = format!("has more than {MOST} fields and elements in all, or a group");
    Violation { field: "the message".to_owned(), problem }
}

type Checked = Result<(), Violation>;

fn at_most(field: &str, count: usize, what: &str, most: usize) -> Checked {
    if count <= most {
        return Ok(());
    }
    let problem = format!("has {count} {what}, and may have at most {most}");
    Err(Violation { field: field.to_owned(), problem })
}

pub(crate) fn text(field: &str, text: &str, most: usize) -> Checked {
    // Most texts need not be counted.
    if text.len() <= most { Ok(()) } else { at_most(field, text.chars().count(), "characters", most) }
}

pub(crate) fn bytes(field: &str, bytes: &[u8], most: usize) -> Checked {
    at_most(field, bytes.len(), "bytes", most)
}

pub(crate) fn texts(field: &str, texts: &[String], elements: usize, most: usize) -> Checked {
    at_most(field, texts.len(), "elements", elements)?;
    texts.iter().enumerate().try_for_each(|(place, element)| {
        if element.len() <= most { Ok(()) } else { text(&format!("{field}[{place}]"), element, most) }
    })
}

pub(crate) fn message<M: Bounded>(field: &str, message: Option<&M>) -> Checked {
    message.map_or(Ok(()), |message| message.check().map_err(|violation| violation.within(field)))
}

pub(crate) fn messages<M: Bounded>(field: &str, messages: &[M], elements: usize) -> Checked {
    at_most(field, messages.len(), "elements", elements)?;
    messages.iter().enumerate().try_for_each(|(place, message)| {
        message.check().map_err(|violation| violation.within(format_args!("{field}[{place}]")))
    })
}

pub(crate) fn map<V>(
    field: &str,
    map: &BTreeMap<String, V>,
    (entries, most): (usize, usize),
    check: impl Fn(&V) -> Checked,
) -> Checked {
    at_most(field, map.len(), "entries", entries)?;
    map.iter().try_for_each(|(key, value)| {
        text(&format!("a key of {field}"), key, most)
            .map_err(|it| Violation { field: field.into(), ..it })?;
        check(value).map_err(|violation| match &*violation.field {
            "" => Violation { field: format!("{field}[{key:?}]"), ..violation },
            _ => violation.within(format_args!("{field}[{key:?}]")),
        })
    })
}
