//! The answer of nova-scheduler, as far as it is compared.

use berth_nova_rpc::{AllocationRequest, RpcFailure, Selected};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::compare::OtherView;
use super::record::ShadowAnswer;

/// A host of the answer: a Selection object, or the dictionary of older callers.
#[derive(Deserialize)]
#[serde(untagged)]
enum WireSelection {
    Object {
        #[serde(rename = "nova_object.data")]
        data: SelectionFields,
    },
    Dictionary {
        host: String,
        nodename: String,
    },
}

#[derive(Deserialize)]
struct SelectionFields {
    service_host: String,
    nodename: String,
    #[serde(default)]
    compute_node_uuid: Option<Uuid>,
    #[serde(default)]
    allocation_request: Option<String>,
}

/// The answer with the host of each instance.
#[derive(Deserialize)]
#[serde(untagged)]
enum WireAnswer {
    Lists(Vec<Vec<WireSelection>>),
    List(Vec<WireSelection>),
}

/// The first host of each instance: name for comparisons, service host, allocations.
pub(crate) struct Chosen {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) provider: Option<Uuid>,
    allocations: Option<Value>,
}

/// The chosen hosts of a result.
pub(super) fn chosen(result: &RawValue) -> Result<Vec<Chosen>, serde_json::Error> {
    let first: Vec<WireSelection> = match serde_json::from_str(result.get())? {
        WireAnswer::Lists(lists) => lists.into_iter().filter_map(|list| list.into_iter().next()).collect(),
        WireAnswer::List(list) => list,
    };
    Ok(first.into_iter().map(Chosen::of).collect())
}

impl Chosen {
    fn of(selection: WireSelection) -> Self {
        match selection {
            WireSelection::Object { data } => {
                let request: Option<Value> =
                    data.allocation_request.and_then(|text| serde_json::from_str(&text).ok());
                let allocations =
                    request.and_then(|mut request| Some(request.get_mut("allocations")?.take()));
                let name = name(&data.service_host, &data.nodename);
                Self { name, host: data.service_host, provider: data.compute_node_uuid, allocations }
            }
            WireSelection::Dictionary { host, nodename } => {
                Self { name: name(&host, &nodename), host, provider: None, allocations: None }
            }
        }
    }
}

/// Host and node, or the host alone where the node bears its name: as explanations name it.
fn name(host: &str, node: &str) -> String {
    if host == node { host.to_owned() } else { format!("{host}/{node}") }
}

/// The reply of nova-scheduler.
pub(super) fn other_view(answer: &Result<Vec<Chosen>, RpcFailure>) -> OtherView {
    match answer {
        Ok(chosen) => OtherView {
            answer: ShadowAnswer::Hosts(chosen.iter().map(|one| one.name.clone()).collect()),
            allocations: chosen.iter().map(|one| one.allocations.clone()).collect(),
        },
        Err(failure) => OtherView { answer: exception(failure), allocations: Vec::new() },
    }
}

pub(super) fn exception(failure: &RpcFailure) -> ShadowAnswer {
    ShadowAnswer::Exception { class: failure.class().to_owned(), message: failure.message().to_owned() }
}

/// Berth's own hosts, as those of nova-scheduler are read.
pub(super) fn own_hosts(selected: &[Vec<Selected>], as_objects: bool) -> (ShadowAnswer, Vec<Option<Value>>) {
    let first: Vec<&Selected> = selected.iter().filter_map(|hosts| hosts.first()).collect();
    let allocations = |request: &AllocationRequest| serde_json::to_value(&request.allocations).ok();
    let allocated = first.iter().map(|one| one.allocations.as_ref().filter(|_| as_objects));
    let names = first.iter().map(|one| name(&one.host, &one.node)).collect();
    (ShadowAnswer::Hosts(names), allocated.map(|request| request.and_then(allocations)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_and_dictionaries_are_read() {
        let objects = r#"[[{"nova_object.name": "Selection", "nova_object.version": "1.1", "nova_object.data": {
            "service_host": "c1", "nodename": "n1", "compute_node_uuid": "00000000-0000-0000-0000-000000000001",
            "allocation_request": "{\"allocations\": {\"u\": {\"resources\": {\"VCPU\": 1}}}, \"mappings\": {}}"}}, 1.5], []]"#;
        assert!(serde_json::from_str::<WireAnswer>(objects).is_err(), "a number is no host");
        let raw = RawValue::from_string(objects.replace(", 1.5", "")).expect("JSON");
        let answer = chosen(&raw).expect("reads");
        assert_eq!((answer.len(), answer[0].name.as_str(), answer[0].host.as_str()), (1, "c1/n1", "c1"));
        let view = other_view(&Ok(answer));
        let expected = serde_json::json!({"u": {"resources": {"VCPU": 1}}});
        assert_eq!(view.allocations, [Some(expected)]);
        let raw = RawValue::from_string(r#"[{"host": "c2", "nodename": "c2", "limits": {}}]"#.to_owned());
        let answer = chosen(&raw.expect("JSON")).expect("reads");
        assert_eq!(other_view(&Ok(answer)).answer, ShadowAnswer::Hosts(vec!["c2".to_owned()]));
    }
}
