//! Why a request finds its host, or none.

use berth_api::v1;
use berth_scheduler::explain::{Ending, Explanation, HostVerdict};

use super::request;
use crate::grpc::call::Call;
use crate::grpc::fleet::CallError;
use crate::grpc::status::bad_field;

/// Hosts that are shown with their weights, unless another number is asked for.
const STANDINGS: usize = 3;

pub(super) fn explain(
    call: &Call<'_>,
    wanted: &v1::ExplainRequest,
) -> Result<v1::ExplainResponse, CallError> {
    let asked = wanted.request.as_ref().ok_or_else(|| bad_field("request", "is required"))?;
    if wanted.tenant_view && !wanted.hosts.is_empty() {
        return Err(bad_field("hosts", "cannot be named in the tenant's view").into());
    }
    let ask = request::ask(call, asked)?;
    let standings = if wanted.standings == 0 { STANDINGS } else { wanted.standings as usize };
    let explained = call.fleet.explain(&ask, &wanted.hosts, standings)?;
    Ok(if wanted.tenant_view { for_tenant(&explained) } else { for_operator(&explained) })
}

fn for_operator(explained: &Explanation) -> v1::ExplainResponse {
    let chosen = match &explained.ending {
        Ending::Found { host } => host.clone(),
        _ => String::new(),
    };
    let removed = explained.removed.iter();
    v1::ExplainResponse {
        hosts: u32::try_from(explained.hosts).unwrap_or(u32::MAX),
        chosen,
        removed: removed.map(|by| removed_by(by.constraint.to_string(), by.removed)).collect(),
        verdicts: explained.verdicts.iter().map(verdict).collect(),
        json: serde_json::to_string(explained).unwrap_or_default(),
    }
}

fn verdict(verdict: &HostVerdict) -> v1::HostVerdict {
    v1::HostVerdict { host: verdict.host.clone(), reason: verdict.text.clone() }
}

fn for_tenant(explained: &Explanation) -> v1::ExplainResponse {
    let explained = explained.for_tenant();
    let removed = explained.removed.iter();
    v1::ExplainResponse {
        hosts: u32::try_from(explained.hosts).unwrap_or(u32::MAX),
        chosen: String::new(),
        removed: removed.map(|by| removed_by(by.constraint.clone(), by.removed)).collect(),
        verdicts: Vec::new(),
        json: serde_json::to_string(&explained).unwrap_or_default(),
    }
}

fn removed_by(constraint: String, hosts: usize) -> v1::RemovedBy {
    v1::RemovedBy { constraint, hosts: u32::try_from(hosts).unwrap_or(u32::MAX) }
}
