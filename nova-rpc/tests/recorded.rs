//! Messages that Nova's own services exchanged: every request is read, and the answers are written
//! as they were.

use std::collections::BTreeMap;

use berth_nova_rpc::{
    AllocationRequest, Call, DestinationsRequest, Message, ProviderResources, Reply, ReplyTo, RpcFailure,
    Selected, result,
};
use berth_scheduler::request_spec::GroupPolicyKind;
use serde_json::{Value, json};

const EXCHANGES: &str = include_str!("recorded/exchanges.jsonl");
const MESSAGES: &str = include_str!("recorded/messages.jsonl");

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn body(message: &Value) -> Vec<u8> {
    json!({"oslo.version": "2.0", "oslo.message": message.to_string()}).to_string().into_bytes()
}

fn call(message: &Value) -> Result<Call, RpcFailure> {
    Call::read(&Message::read(&body(message)).expect("an envelope"))
}

fn selected(name: &str, request: &Value) -> DestinationsRequest {
    match call(request) {
        Ok(Call::SelectDestinations(request)) => *request,
        other => panic!("{name}: {other:?}"),
    }
}

fn exchange(name: &str) -> (Value, Value) {
    let line = lines(EXCHANGES).into_iter().find(|line| line["name"] == name).expect("is recorded");
    (line["request"].clone(), line["answer"].clone())
}

/// A recorded Selection, as the decider would give it.
fn of_object(object: &Value) -> Selected {
    let data = &object["nova_object.data"];
    let text = |field: &str| data[field].as_str().expect("a text").to_owned();
    let request: Value = serde_json::from_str(&text("allocation_request")).expect("JSON");
    let amounts = |resources: &Value| {
        let resources = resources["resources"].as_object().expect("an object");
        let resources =
            resources.iter().map(|(class, amount)| (class.clone(), amount.as_u64().expect("a number")));
        ProviderResources { resources: resources.collect() }
    };
    let allocations = request.as_object().map(|request| AllocationRequest {
        allocations: request["allocations"]
            .as_object()
            .expect("an object")
            .iter()
            .map(|(provider, resources)| (provider.clone(), amounts(resources)))
            .collect(),
        mappings: serde_json::from_value(request["mappings"].clone()).expect("mappings"),
    });
    Selected {
        compute_node_uuid: text("compute_node_uuid"),
        host: text("service_host"),
        node: text("nodename"),
        cell_uuid: text("cell_uuid"),
        availability_zone: text("availability_zone"),
        allocations,
        limits: None,
        network_metadata: None,
    }
}

/// What does not count: Python writes sets in any order, and JSON objects have none.
fn normalized(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| {
                let mut value = normalized(value);
                if key == "nova_object.changes"
                    && let Value::Array(names) = &mut value
                {
                    names.sort_by_key(ToString::to_string);
                }
                if key == "allocation_request"
                    && let Value::String(text) = &value
                {
                    value = serde_json::from_str(text).expect("JSON");
                }
                (key.clone(), value)
            };
            Value::Object(fields.iter().map(field).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(normalized).collect()),
        other => other.clone(),
    }
}

fn decoded(body: &[u8]) -> Value {
    let envelope: Value = serde_json::from_slice(body).expect("JSON");
    assert_eq!(envelope["oslo.version"], "2.0");
    serde_json::from_str(envelope["oslo.message"].as_str().expect("a text")).expect("JSON")
}

#[test]
fn every_recorded_request_is_read() {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let requests = lines(EXCHANGES).into_iter().map(|line| (line["name"].clone(), line["request"].clone()));
    let messages = lines(MESSAGES).into_iter().map(|line| (line["name"].clone(), line["message"].clone()));
    for (name, request) in requests.chain(messages.filter(|(_, message)| message.get("method").is_some())) {
        let kind = match call(&request) {
            Ok(Call::SelectDestinations(_)) => "select",
            Ok(Call::Ping(arg)) => {
                assert_eq!(arg, "hello");
                "ping"
            }
            Ok(Call::UpdateAggregates(aggregates)) => {
                assert!(aggregates.iter().all(|one| one.id > 0 && one.uuid.is_some()));
                "update_aggregates"
            }
            Ok(Call::DeleteAggregate(id)) => {
                assert!(id > 0);
                "delete_aggregate"
            }
            Ok(Call::UpdateInstances { instances, .. }) => {
                assert!(!instances.is_empty());
                "update_instances"
            }
            Ok(Call::DeleteInstance { .. }) => "delete_instance",
            Ok(Call::SyncInstances { .. }) => "sync_instances",
            other => panic!("{name}: {other:?}"),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    let expected = [
        ("delete_aggregate", 3),
        ("delete_instance", 3),
        ("ping", 2),
        ("select", 33),
        ("sync_instances", 3),
        ("update_aggregates", 3),
        ("update_instances", 3),
    ];
    assert_eq!(kinds, expected.into());
}

#[test]
fn answers_are_those_of_the_original() {
    let mut answered = 0;
    for line in lines(EXCHANGES).iter().filter(|line| !line["answer"]["result"].is_null()) {
        let recorded = &line["answer"]["result"];
        let lists = recorded.as_array().expect("a list");
        let selections: Vec<Vec<Selected>> = lists
            .iter()
            .map(|hosts| hosts.as_array().expect("a list").iter().map(of_object).collect())
            .collect();
        let written: Value = serde_json::from_str(result(&selections, true).get()).expect("JSON");
        assert_eq!(normalized(&written), normalized(recorded), "{}", line["name"]);
        answered += 1;
    }
    assert_eq!(answered, 15);
}

#[test]
fn the_fields_of_an_answer_are_in_the_order_of_the_original() {
    let (_, answer) = exchange("boot");
    let selections = vec![vec![of_object(&answer["result"][0][0])]];
    let text = result(&selections, true);
    let fields = [
        "[[{\"nova_object.name\": \"Selection\", \"nova_object.namespace\": \"nova\", \"nova_object.version\": \"1.1\"",
        "\"nova_object.data\": {\"compute_node_uuid\": ",
        "\"service_host\": ",
        "\"nodename\": ",
        "\"cell_uuid\": ",
        "\"limits\": {\"nova_object.name\": \"SchedulerLimits\"",
        "\"allocation_request\": \"{\\\"allocations\\\": {\\\"",
        "\\\"mappings\\\": {\\\"\\\": [\\\"",
        "\"allocation_request_version\": \"1.36\"",
        "\"availability_zone\": ",
    ];
    let mut rest = text.get();
    for field in fields {
        let at = rest.find(field).unwrap_or_else(|| panic!("{field} is missing or out of order in {text}"));
        rest = &rest[at + field.len()..];
    }
}

#[test]
fn refusals_are_those_of_the_original() {
    let mut refused = 0;
    for line in lines(EXCHANGES).iter().filter(|line| line["answer"]["failure"].is_string()) {
        let recorded: Value =
            serde_json::from_str(line["answer"]["failure"].as_str().expect("a text")).expect("JSON");
        let reason = recorded["kwargs"]["reason"].as_str().expect("a reason");
        let to = ReplyTo {
            queue: "q".to_owned(),
            msg_id: line["answer"]["_msg_id"].as_str().expect("an id").to_owned(),
        };
        let unique = line["answer"]["_unique_id"].as_str().expect("an id");
        let written = decoded(&Reply::Failure(RpcFailure::no_valid_host(reason)).body(&to, unique));
        assert_eq!(written, line["answer"], "{}", line["name"]);
        refused += 1;
    }
    assert_eq!(refused, 10);
}

#[test]
fn keep_alives_and_other_exceptions_are_those_of_the_original() {
    let messages = lines(MESSAGES);
    let find = |name: &str| {
        messages.iter().find(|line| line["name"] == name).expect("is recorded")["message"].clone()
    };
    let written = |reply: &Reply, recorded: &Value| {
        let text = |field: &str| recorded[field].as_str().expect("a text").to_owned();
        let to = ReplyTo { queue: "q".to_owned(), msg_id: text("_msg_id") };
        decoded(&reply.body(&to, &text("_unique_id")))
    };
    let keep_alive = find("17-reply-heartbeat");
    assert_eq!(written(&Reply::KeepAlive, &keep_alive), keep_alive);
    let recorded = find("08-reply-failure");
    let failure = RpcFailure::exception("ValueError", "could not convert string to float: 'abc'");
    let mut expected: Value =
        serde_json::from_str(recorded["failure"].as_str().expect("a text")).expect("JSON");
    expected["tb"] = json!([]);
    let reply = written(&Reply::Failure(failure), &recorded);
    let found: Value = serde_json::from_str(reply["failure"].as_str().expect("a text")).expect("JSON");
    assert_eq!(found, expected);
    assert_eq!((&reply["result"], &reply["ending"]), (&Value::Null, &json!(true)));
}

#[test]
fn request_specs_carry_everything_that_filters_look_at() {
    let DestinationsRequest { spec, instances, returns_objects, returns_alternates } =
        selected("boot-group", &exchange("boot-group").0);
    assert!(returns_objects && returns_alternates);
    assert_eq!(instances.map(|instances| instances.len()), Some(1));
    let group = spec.instance_group.as_ref().expect("a group");
    assert_eq!(
        (group.policy, group.members.len(), group.hosts.len()),
        (Some(GroupPolicyKind::AntiAffinity), 1, 0)
    );
    assert!(spec.scheduler_hints.contains("group"));
    assert_eq!((spec.flavor.vcpus, spec.flavor.memory_mb, spec.flavor.root_gb), (1, 512, 1));
    assert!(!spec.is_rebuild());

    let moved = selected("destination-host", &exchange("destination-host").0);
    let destination = moved.spec.requested_destination.expect("a destination");
    assert_eq!(destination.host.as_deref(), Some("c2"));
    assert_eq!(destination.cell_uuid.as_deref(), Some("a35c4fb5-6c5c-47fd-b576-3d1d826744e0"));
    assert!(!moved.returns_alternates);

    let rebuilt = selected("rebuild", &exchange("rebuild").0);
    assert!(rebuilt.spec.is_rebuild() && !rebuilt.spec.force_hosts.is_empty());
    assert!(!rebuilt.spec.scheduler_hints.names().any(|name| name.starts_with('_')));

    let zone = selected("boot-zone", &exchange("boot-zone").0);
    assert_eq!(zone.spec.availability_zone.as_deref(), Some("az1"));

    let forced = selected("boot-forced", &exchange("boot-forced").0);
    assert_eq!(forced.spec.force_hosts.len(), 1);
}

#[test]
fn pinned_cpus_are_read() {
    let messages = lines(MESSAGES);
    let request = messages.iter().find(|line| line["name"] == "01-select_destinations").expect("is recorded");
    let spec = selected("01", &request["message"]).spec;
    assert_eq!(spec.flavor.extra_specs.get("hw:cpu_policy"), Some("dedicated"));
    assert!(spec.numa_topology.is_some_and(|topology| !topology.cells.is_empty()));
}

#[test]
fn fields_of_newer_versions_are_ignored_and_other_major_versions_refused() {
    let (mut request, _) = exchange("boot");
    request["args"]["spec_obj"]["nova_object.version"] = json!("1.99");
    request["args"]["spec_obj"]["nova_object.data"]["something_new"] = json!({"a": [1]});
    assert!(call(&request).is_ok());
    request["args"]["spec_obj"]["nova_object.version"] = json!("3.0");
    let failure = call(&request).expect_err("another major version");
    assert!(failure.message().contains("RequestSpec") && failure.message().contains("3.0"), "{failure:?}");
}

#[test]
fn absent_fields_are_no_errors() {
    let (mut request, _) = exchange("boot");
    let data = request["args"]["spec_obj"]["nova_object.data"].as_object_mut().expect("an object");
    data.retain(|field, _| field == "flavor" || field == "project_id");
    let spec = selected("boot", &request).spec;
    assert_eq!((spec.image, spec.instance_group, spec.num_instances), (None, None, 1));
    request["args"]["spec_obj"]["nova_object.data"] = json!({});
    let failure = call(&request).expect_err("no flavor");
    assert!(failure.message().contains("flavor"), "{failure:?}");
}

#[test]
fn errors_name_the_field() {
    let (mut request, _) = exchange("boot");
    request["args"]["spec_obj"]["nova_object.data"]["flavor"]["nova_object.data"]["vcpus"] = json!("two");
    let failure = call(&request).expect_err("no number");
    assert!(failure.message().contains("vcpus"), "{failure:?}");
    assert_eq!(failure.class(), "TypeError");
}

#[test]
fn what_the_scheduler_does_not_serve_is_refused_as_by_the_original() {
    let asked = |method: &str, namespace: Option<&str>, version: &str, args: Value| {
        let mut message =
            json!({"method": method, "version": version, "args": args, "_msg_id": "m", "_reply_q": "q"});
        if let Some(namespace) = namespace {
            message["namespace"] = json!(namespace);
        }
        call(&message)
    };
    let class = |answer: Result<Call, RpcFailure>| answer.expect_err("is refused").class().to_owned();
    for version in ["4.6", "5.0", "3.0", "x"] {
        assert_eq!(class(asked("select_destinations", None, version, json!({}))), "UnsupportedVersion");
    }
    assert_eq!(class(asked("ping", Some("other"), "1.0", json!({"arg": 1}))), "UnsupportedVersion");
    assert_eq!(class(asked("ping", Some("baseapi"), "1.2", json!({"arg": 1}))), "UnsupportedVersion");
    assert_eq!(class(asked("select_nothing", None, "4.5", json!({}))), "NoSuchMethod");
    assert_eq!(class(asked("nothing", Some("baseapi"), "1.0", json!({}))), "NoSuchMethod");
    assert_eq!(class(asked("select_destinations", None, "4.5", json!({"nothing": 1}))), "TypeError");
    assert_eq!(class(asked("select_destinations", None, "4.5", json!({"instance_uuids": []}))), "ValueError");
    assert!(matches!(asked("ping", Some("baseapi"), "1.1", json!({"arg": "x"})), Ok(Call::Ping(_))));
    let text = RpcFailure::unsupported_version("4.6", "select_destinations").to_text();
    assert!(text.contains("\"module\": \"oslo_messaging.rpc.dispatcher\""), "{text}");
}

#[test]
fn nonsense_is_an_error_and_no_panic() {
    let bodies: [&[u8]; 7] = [
        b"no json",
        b"{}",
        b"",
        b"\xff\xfe",
        br#"{"oslo.version": "2.0", "oslo.message": "{"}"#,
        br#"{"oslo.version": "3.0", "oslo.message": "{}"}"#,
        br#"{"oslo.version": "2.0", "oslo.message": "{\"method\": 1}"}"#,
    ];
    for body in bodies {
        assert!(Message::read(body).is_err(), "{body:?}");
    }
}

#[test]
fn a_cast_has_no_reply_and_a_call_that_is_not_monitored_no_timeout() {
    let read = |message: Value| Message::read(&body(&message)).expect("reads");
    let cast = read(json!({"method": "delete_instance_info", "version": "4.2", "args": {}}));
    assert_eq!((cast.reply_to(), cast.monitor_timeout(), cast.request_id()), (None, None, None));
    let call = read(json!({"method": "ping", "_msg_id": "m", "_reply_q": "q", "_timeout": 60,
        "_context_request_id": "req-1", "_context_global_request_id": "req-2"}));
    assert_eq!(call.reply_to().map(|to| to.queue), Some("q".to_owned()));
    assert_eq!(
        (call.monitor_timeout(), call.request_id(), call.local_request_id()),
        (Some(60.0), Some("req-2"), Some("req-1"))
    );
    assert_eq!(read(json!({"method": "ping", "_timeout": null})).monitor_timeout(), None);
}
