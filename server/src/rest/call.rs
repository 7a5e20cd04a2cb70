//! One request, as its handler sees it.

use axum::http::{HeaderMap, header};
use berth_placement::candidates::Stop;
use berth_placement::{Index, Timestamp};
use serde_json::Value;

use crate::auth::Identity;
use crate::error::Failure;
use crate::fleet::FleetHandle;
use crate::http::accept::takes_json;
use crate::http::body::RequestBody;
use crate::http::headers::joined;
use crate::json::Schema;
use crate::json::reader::{self, Bounds};
use crate::microversion::Microversion;
use crate::query::Query;
use crate::request::FoundProvider;
use crate::service::Service;
use crate::uuids;

/// A request whose sender and microversion are known.
pub(crate) struct Call<'a> {
    pub(crate) service: &'a Service,
    pub(crate) index: &'a Index,
    pub(crate) fleet: &'a FleetHandle,
    pub(crate) version: Microversion,
    pub(crate) identity: &'a Identity,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: Query,
    pub(crate) body: RequestBody,
    pub(crate) now: Timestamp,
    /// Ends a search of this request.
    pub(crate) stop: Stop,
}

impl Call<'_> {
    /// Checks that the microversion has a feature that came with `minor`.
    pub(crate) fn since(&self, minor: u16) -> Result<(), Failure> {
        if self.version.at_least(minor) { Ok(()) } else { Err(Failure::no_such_resource()) }
    }

    /// Checks that the policy allows it.
    pub(crate) fn may(&self, rule: &str) -> Result<(), Failure> {
        self.may_for(rule, self.identity.project_id.as_deref())
    }

    /// Checks that the policy allows it for the project.
    pub(crate) fn may_for(&self, rule: &str, project_id: Option<&str>) -> Result<(), Failure> {
        let allowed = self.service.policy().allows(rule, self.identity, project_id);
        if allowed { Ok(()) } else { Err(Failure::forbidden(rule)) }
    }

    /// Checks that the client accepts JSON.
    pub(crate) fn takes_json(&self) -> Result<(), Failure> {
        if takes_json(joined(self.headers, &header::ACCEPT).as_deref()) {
            Ok(())
        } else {
            Err(Failure::not_acceptable("Only application/json is provided"))
        }
    }

    /// Checks that the body's content type is JSON.
    pub(crate) fn sends_json(&self) -> Result<(), Failure> {
        let given = self.headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok());
        // As the original: white space before the semicolon makes it another type.
        let media_type = given.map_or("", |given| given.split(';').next().unwrap_or_default());
        match media_type {
            "application/json" => Ok(()),
            "" => Err(Failure::unsupported_media_type("None")),
            other => Err(Failure::unsupported_media_type(other)),
        }
    }

    /// Parses the body, and checks it against the schema.
    pub(crate) fn json(&self, schema: &Schema) -> Result<Value, Failure> {
        let limits = &self.service.options.limits;
        let bounds = Bounds { values: limits.body_values, list_length: limits.list_length };
        let value = reader::read(&self.body.bytes, bounds)
            .map_err(|error| Failure::bad_request(error.to_string()))?;
        schema
            .check(&value)
            .map_err(|error| Failure::bad_request(format!("JSON does not validate: {error}")))?;
        Ok(value)
    }

    /// The provider with this UUID.
    pub(crate) fn provider(&self, uuid: &str) -> Result<FoundProvider, Failure> {
        self.find(uuid).ok_or_else(|| Failure::not_found(no_provider(uuid)))
    }

    pub(crate) fn find(&self, uuid: &str) -> Option<FoundProvider> {
        FoundProvider::find(self.index, uuids::read(uuid)?)
    }
}

/// The message for an unknown provider.
pub(crate) fn no_provider(uuid: &str) -> String {
    format!("No resource provider with uuid {uuid} found")
}
