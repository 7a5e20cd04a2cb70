//! JsonFilter

use super::json_query::{Attributes, JsonQueryError, holds};
use super::{Filter, FilterError, PASS, Reason, RequestState, Scene, Scope, Verdict, pass_if};
use crate::hosts::HostRow;
use crate::python::Value;
use crate::request_spec::Hint;

/// Hint `query`: passes hosts for which the query in JSON holds.
pub(super) struct JsonFilter<'a> {
    scene: &'a Scene<'a>,
    query: Option<Result<Value, JsonQueryError>>,
}

impl<'a> JsonFilter<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        let query = scene.request.scheduler_hints.given("query").map(|hint| match hint {
            Hint::One(text) => Value::parse(text).map_err(JsonQueryError::Json),
            Hint::Many(_) => Err(JsonQueryError::Several),
        });
        Self { scene, query }
    }
}

struct HostAttributes<'a> {
    scene: &'a Scene<'a>,
    row: HostRow,
}

impl Attributes for HostAttributes<'_> {
    fn attribute(&self, name: &str) -> Option<Value> {
        self.scene.hosts.attribute(self.row, name)
    }
}

impl Filter for JsonFilter<'_> {
    fn scope(&self) -> Scope {
        if self.query.is_none() { Scope::Everything } else { Scope::Host }
    }

    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let Some(query) = &self.query else { return PASS };
        let query = query.as_ref().map_err(|error| FilterError::Query(error.clone()))?;
        let host = HostAttributes { scene: self.scene, row };
        pass_if(holds(query, &host)?, || Reason::QueryIsFalse)
    }
}
