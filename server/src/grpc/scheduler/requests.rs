//! Recent requests of Nova's conductors.

use berth_api::v1;

use crate::grpc::call::Call;
use crate::request_log::ServedRequest;

pub(super) fn list(call: &Call<'_>, wanted: &v1::ListRequestsRequest) -> v1::ListRequestsResponse {
    let recent = call.service.request_log().map(|log| log.recent());
    let is_wanted = |request: &ServedRequest| {
        (!wanted.failed || !request.refusal.is_empty())
            && (wanted.request_id.is_empty() || request.request_id == wanted.request_id)
    };
    // Explanations are large: only those of the request that is asked for are sent.
    let is_explained = !wanted.request_id.is_empty();
    let requests = recent.unwrap_or_default().into_iter().filter(is_wanted);
    let requests = requests.map(|request| message(request, is_explained));
    v1::ListRequestsResponse { requests: requests.collect() }
}

fn message(request: ServedRequest, is_explained: bool) -> v1::ServedRequest {
    let explanation = request.explanation.filter(|_| is_explained);
    let removed = |(constraint, hosts)| v1::RemovedBy { constraint, hosts };
    v1::ServedRequest {
        arrived_us: request.arrived_us,
        took_us: request.took_us,
        request_id: request.request_id,
        instances: request.instances,
        project: request.project,
        flavor: request.flavor,
        chosen: request.chosen,
        refusal: request.refusal,
        removed: request.removed.into_iter().map(removed).collect(),
        hosts: request.hosts,
        placed: request.placed,
        explanation: explanation.map(|text| text.to_string()).unwrap_or_default(),
    }
}
