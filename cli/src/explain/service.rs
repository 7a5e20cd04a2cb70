//! Explanations by a running service.

use anyhow::{Context, Result, bail};
use berth_api::v1::schedule_request::Size;
use berth_api::v1::{ExplainRequest, ScheduleRequest};
use serde_json::Value;
use uuid::Uuid;

use super::{Explain, Shown, json};
use crate::operator;
use crate::operator::connection::{Client, request};
use crate::operator::refusal::Answer;

impl Explain {
    /// Asks the service.
    pub(super) fn of_service(&self) -> Result<Shown> {
        let answer = operator::ask(&self.connection, async |client| {
            let wanted = self.question(&client).await?;
            Ok(client.scheduler().explain(request(wanted)).await.answer()?.json)
        })?;
        let mut explanation: Value =
            serde_json::from_str(&answer).context("the service's explanation is no JSON")?;
        if let Some(standings) = explanation.get_mut("standings").and_then(Value::as_array_mut) {
            standings.truncate(self.top as usize); // the service shows some for 0
        }
        let json = json(&explanation)?;
        let read = "cannot read the explanation";
        Ok(if self.tenant {
            Shown::for_tenant(&serde_json::from_value(explanation).context(read)?, json)
        } else {
            Shown::for_operator(&serde_json::from_value(explanation).context(read)?, json)
        })
    }

    async fn question(&self, client: &Client) -> Result<ExplainRequest> {
        let Some(flavor) = self.flavor.clone() else { bail!("--flavor: needed without --case") };
        let request = ScheduleRequest {
            // A placeholder: an explanation claims nothing.
            instances: vec![Uuid::nil().to_string()],
            size: Some(Size::FlavorName(flavor)),
            image: self.wanted.image()?,
            project: self.project.project.clone(),
            availability_zone: self.wanted.availability_zone.clone(),
            hints: self.wanted.hints(client, &self.project.project).await?,
            ..ScheduleRequest::default()
        };
        Ok(ExplainRequest {
            request: Some(request),
            hosts: self.host.clone(),
            standings: self.top,
            tenant_view: self.tenant,
        })
    }
}
