//! Requests that say the same in another spelling, as the original reads them.
//! `docs/conformance.md` says where Berth goes its own way.

use berth_server::ServiceOptions;
use serde_json::{Value, json};

use crate::client::{Answer, Client, head};
use crate::server::{Running, holding, inventories, provider, uuid};

/// A provider with capitals to lose, and an aggregate.
const UUID: &str = "abcdef01-0000-4000-8000-00000000000a";
const AGGREGATE: &str = "abcdef01-0000-4000-8000-0000000000ee";

fn spellings(uuid: &str) -> [String; 4] {
    [uuid.to_uppercase(), uuid.replace('-', ""), format!("{{{uuid}}}"), format!("urn:uuid:{uuid}")]
}

fn make(client: &mut Client) -> String {
    let body = json!({ "name": "p", "uuid": UUID.to_uppercase().replace('-', "") });
    assert_eq!(client.send("POST", "/resource_providers", &body).expect(200)["uuid"], UUID);
    let path = format!("/resource_providers/{UUID}");
    client.send("PUT", &format!("{path}/inventories"), &inventories(0, &[("VCPU", 10)])).expect(200);
    path
}

fn count(answer: &Value, member: &str) -> usize {
    answer[member].as_array().unwrap().len()
}

/// Sends a request with these lines in its head, at a version.
fn ask(client: &mut Client, method: &str, path: &str, lines: &str, body: &str) -> Answer {
    let length = body.len();
    client.raw(
        format!(
            "{method} {path} HTTP/1.1\r\nhost: berth\r\nx-auth-token: admin\r\n\
             content-length: {length}\r\n{lines}\r\n{body}"
        )
        .as_bytes(),
    );
    client.answer().unwrap()
}

const LATEST: &str = "openstack-api-version: placement latest\r\n";

#[test]
fn a_provider_is_found_by_every_spelling_of_its_uuid() {
    let server = Running::new();
    let mut client = server.client();
    make(&mut client);
    for spelled in spellings(UUID) {
        let found = client.get(&format!("/resource_providers/{spelled}"));
        assert_eq!(found["uuid"], UUID, "{spelled}");
        assert_eq!(client.get(&format!("/resource_providers/{spelled}/usages"))["usages"]["VCPU"], 0);
        let found = client.get(&format!("/allocation_candidates?resources=VCPU:1&in_tree={spelled}"));
        assert_eq!(count(&found, "allocation_requests"), 1, "{spelled}");
    }
    // In a list's query, a UUID has its dashes.
    for parameter in ["uuid", "in_tree"] {
        for (place, spelled) in spellings(UUID).iter().enumerate() {
            let answer = client.ask("GET", &format!("/resource_providers?{parameter}={spelled}"));
            if place == 0 {
                assert_eq!(count(&answer.expect(200), "resource_providers"), 1, "{parameter}={spelled}");
            } else {
                assert!(answer.error(400).contains("is not a 'uuid'"), "{parameter}={spelled}");
            }
        }
    }
    let child = json!({ "name": "child", "parent_provider_uuid": UUID.to_uppercase() });
    let child = client.send("POST", "/resource_providers", &child).expect(200);
    assert_eq!(child["parent_provider_uuid"], UUID);
    let own =
        json!({ "name": "own", "uuid": UUID.replace('-', ""), "parent_provider_uuid": UUID.to_uppercase() });
    assert!(client.send("POST", "/resource_providers", &own).error(400).contains("cannot be same as UUID"));
}

#[test]
fn an_aggregate_in_two_spellings_is_one() {
    let server = Running::new();
    let mut client = server.client();
    let path = format!("{}/aggregates", make(&mut client));
    let all: Vec<String> = spellings(AGGREGATE).into_iter().chain([AGGREGATE.to_owned()]).collect();
    let body = json!({ "aggregates": all, "resource_provider_generation": 1 });
    let written = client.send("PUT", &path, &body).expect(200);
    assert_eq!(written["aggregates"], json!([AGGREGATE]), "what is answered is what is stored");
    assert_eq!(client.get(&path)["aggregates"], json!([AGGREGATE]));
    for spelled in all {
        let found = client.get(&format!("/resource_providers?member_of={spelled}"));
        assert_eq!(count(&found, "resource_providers"), 1, "{spelled}");
        let found = client.get(&format!("/allocation_candidates?resources=VCPU:1&member_of=in:{spelled}"));
        assert_eq!(count(&found, "allocation_requests"), 1, "{spelled}");
        let found = client.get(&format!("/resource_providers?member_of=!{spelled}"));
        assert_eq!(count(&found, "resource_providers"), 0, "{spelled}");
    }
    for version in ["1.1", "1.18"] {
        let list = json!([AGGREGATE, AGGREGATE.to_uppercase()]).to_string();
        let lines =
            format!("content-type: application/json\r\nopenstack-api-version: placement {version}\r\n");
        let written = ask(&mut client, "PUT", &path, &lines, &list).expect(200);
        assert_eq!(written["aggregates"], json!([AGGREGATE]));
    }
}

#[test]
fn a_consumer_in_every_spelling_is_one() {
    let server = Running::new();
    let mut client = server.client();
    provider(&mut client, 0, None, &[("VCPU", 100)]);
    let consumer = "abcdef01-0000-4000-8000-00000000000c";
    for (number, spelled) in spellings(consumer).iter().enumerate() {
        let generation = (number > 0).then_some(number as u64);
        let body = holding(generation, &[(0, "VCPU", 1 + number as u32)]);
        client.send("PUT", &format!("/allocations/{spelled}"), &body).expect(204);
        for other in spellings(consumer) {
            let held = client.get(&format!("/allocations/{other}"));
            assert_eq!(held["consumer_generation"], 1 + number, "{other}");
        }
    }
    let mut held = holding(Some(4), &[(0, "VCPU", 5)]);
    let resources = held["allocations"][uuid('a', 0)].take();
    held["allocations"] = json!({ uuid('a', 0).to_uppercase(): resources });
    let body = json!({ consumer.to_uppercase(): held });
    client.send("POST", "/allocations", &body).expect(204);
    assert_eq!(client.get(&format!("/allocations/{consumer}"))["consumer_generation"], 5);
    let bare = consumer.replace('-', "");
    client.ask("DELETE", &format!("/allocations/{bare}")).expect(204);
    client.ask("DELETE", &format!("/allocations/{consumer}")).expect(404);
    assert!(
        client.send("PUT", "/allocations/pony", &body).error(400).contains("Malformed consumer_uuid: pony")
    );
}

/// Until 1.11 allocations are a list: of several entries for one provider, the last counts.
#[test]
fn of_several_entries_for_a_provider_the_last_counts() {
    let server = Running::new();
    let mut client = server.client();
    provider(&mut client, 0, None, &[("VCPU", 10), ("MEMORY_MB", 10)]);
    provider(&mut client, 1, None, &[("VCPU", 10)]);
    let entry = |provider: String, resources: Value| json!({ "resource_provider": { "uuid": provider }, "resources": resources });
    let list = json!([
        entry(uuid('a', 0), json!({ "VCPU": 1, "MEMORY_MB": 4 })),
        entry(uuid('a', 1), json!({ "VCPU": 5 })),
        entry(uuid('a', 0).to_uppercase(), json!({ "VCPU": 2 })),
    ]);
    for (number, version) in ["1.0", "1.7", "1.8", "1.11"].into_iter().enumerate() {
        let mut body = json!({ "allocations": list });
        if number > 1 {
            body["project_id"] = "p".into();
            body["user_id"] = "u".into();
        }
        let path = format!("/allocations/{}", uuid('c', 0));
        let lines =
            format!("content-type: application/json\r\nopenstack-api-version: placement {version}\r\n");
        ask(&mut client, "PUT", &path, &lines, &body.to_string()).expect(204);
        let held = client.get(&path);
        assert_eq!(held["allocations"][uuid('a', 0)]["resources"], json!({ "VCPU": 2 }), "{version}");
        assert_eq!(held["allocations"][uuid('a', 1)]["resources"], json!({ "VCPU": 5 }), "{version}");
        client.ask("DELETE", &path).expect(204);
    }
    server.check();
}

#[test]
fn paths_may_be_percent_encoded_anywhere() {
    let server = Running::new();
    let mut client = server.client();
    make(&mut client);
    for path in [
        "/resource%5Fproviders",
        "/%72esource_providers",
        &format!("/resource_providers%2F{UUID}"),
        &format!("/resource_providers/%61{}/inventories/VC%50U", &UUID[1..]),
        &format!("/resource_providers/{UUID}%2finventories"),
    ] {
        client.get(path);
    }
    for path in ["/%2f", "/traits%2F", "/resource%5Fproviders/", "/traits%00"] {
        client.ask("GET", path).expect(404);
    }
}

/// As databases compare names: without case, and with SQL's wildcards.
#[test]
fn traits_are_listed_by_a_prefix_without_case() {
    let server = Running::new();
    let mut client = server.client();
    let mut found = |prefix: &str| {
        let answer = client.get(&format!("/traits?name=startswith:{prefix}"));
        let names: Vec<String> = serde_json::from_value(answer["traits"].clone()).unwrap();
        names
    };
    let upper = found("HW_CPU_X86_AVX512");
    assert!(upper.len() > 10 && upper.iter().all(|name| name.starts_with("HW_CPU_X86_AVX512")));
    assert_eq!(found("hw_cpu_x86_avx512"), upper);
    assert_eq!(found("HW%25AVX512VNNI"), ["HW_CPU_X86_AVX512VNNI"]);
    assert_eq!(found("H__CPU_X86_AVX512VNNI"), ["HW_CPU_X86_AVX512VNNI"]);
    assert_eq!(found("HW-CPU"), [""; 0]);
    assert!(!found("").is_empty());
}

#[test]
fn a_semicolon_separates_parameters() {
    let server = Running::new();
    let mut client = server.client();
    make(&mut client);
    let found = client.get(&format!("/resource_providers?name=p;uuid={UUID}"));
    assert_eq!(count(&found, "resource_providers"), 1);
    let found = client.get("/resource_providers?name=p%3Buuid");
    assert_eq!(count(&found, "resource_providers"), 0);
    assert!(client.ask("GET", "/resource_providers?name=p;pony=1").error(400).contains("pony"));
}

#[test]
fn a_bad_parent_is_reported_rather_than_a_taken_name() {
    let server = Running::new();
    let mut client = server.client();
    let first = provider(&mut client, 0, None, &[("VCPU", 1)]);
    provider(&mut client, 1, Some(0), &[("VCPU", 1)]);
    let before = client.get(&first);
    for parent in [uuid('a', 9), uuid('a', 0), uuid('a', 1)] {
        let body = json!({ "name": uuid('a', 1), "parent_provider_uuid": parent });
        client.send("PUT", &first, &body).error(400);
    }
    let body = json!({ "name": uuid('a', 1), "parent_provider_uuid": null });
    client.send("PUT", &first, &body).error(409);
    assert_eq!(client.get(&first), before, "what is refused changes nothing");
    // The move is not done when the name is refused.
    provider(&mut client, 2, None, &[("VCPU", 1)]);
    let body = json!({ "name": uuid('a', 1), "parent_provider_uuid": uuid('a', 2) });
    client.send("PUT", &first, &body).error(409);
    assert_eq!(client.get(&first), before);
    server.check();
}

/// Nova recognises by these words that consumers hold some of an inventory.
#[test]
fn the_conflict_of_an_inventory_in_use_has_novas_words() {
    let server = Running::new();
    let mut client = server.client();
    let path = format!("{}/inventories", provider(&mut client, 0, None, &[("VCPU", 10)]));
    client
        .send("PUT", &format!("/allocations/{}", uuid('c', 0)), &holding(None, &[(0, "VCPU", 1)]))
        .expect(204);
    let answer = client.send("PUT", &path, &inventories(2, &[]));
    assert_eq!(answer.body["errors"][0]["code"], "placement.inventory.inuse");
    let in_use = format!("Inventory for 'VCPU' on resource provider '{}' in use", uuid('a', 0));
    let sentence = "There was a conflict when trying to complete your request.\n\n update conflict: ";
    assert!(answer.error(409).starts_with(&format!("{sentence}{in_use}")));
    let error = client.ask("DELETE", &path).error(409);
    assert!(error.starts_with(&in_use), "{error}");
    let error = client.ask("DELETE", &format!("{path}/VCPU")).error(409);
    assert!(error.contains(&format!("Unable to delete inventory of class VCPU: {in_use}")), "{error}");
}

#[test]
fn media_types_are_read_as_the_original_does() {
    let server = Running::new();
    let mut client = server.client();
    for (number, (given, status)) in [
        ("application/json", 200),
        (" application/json", 200),
        ("application/json;", 200),
        ("application/json;charset", 200),
        ("application/json; charset=utf-8", 200),
        ("application/json ;", 415),
        ("application/json\t; charset=utf-8", 415),
        ("APPLICATION/JSON", 415),
        ("application/json, text/plain", 415),
    ]
    .into_iter()
    .enumerate()
    {
        let lines = format!("{LATEST}content-type: {given}\r\n");
        let body = format!("{{\"name\": \"m{number}\"}}");
        ask(&mut client, "POST", "/resource_providers", &lines, &body).expect(status);
    }
    for (given, status) in [
        ("", 200),
        ("*/*", 200),
        ("pony", 200),
        ("*", 200),
        ("application/json;q=abc", 200),
        ("application/json;q=0.1234", 200),
        ("application/json ; q=0.5", 200),
        ("application/json;Q=0", 406),
        ("application/json;q=0.000", 406),
        ("application/json;version=1", 406),
        ("application/json;charset=utf-8", 406),
        ("text/html", 406),
        ("text/html\r\naccept: application/json", 200),
        ("*/*;q=0,application/json", 200),
    ] {
        let lines = format!("{LATEST}accept: {given}\r\n");
        let answer = ask(&mut client, "GET", "/resource_providers?name=none", &lines, "");
        assert_eq!(answer.status, status, "{given}");
    }
}

#[test]
fn lists_without_anything_were_never_modified() {
    let server = Running::new();
    let mut client = server.client();
    let path = format!("{}/inventories", make(&mut client));
    let full = client.ask("GET", &path);
    assert!(full.header("last-modified").is_some() && full.header("cache-control") == Some("no-cache"));
    let cleared = client.send("PUT", &path, &inventories(1, &[]));
    for answer in [cleared, client.ask("GET", &path)] {
        assert_eq!(
            (answer.header("last-modified"), answer.header("cache-control")),
            (None, Some("no-cache"))
        );
    }
    // Of other lists, the original says that they were modified now.
    for list in ["allocations", "traits", "usages", "aggregates"] {
        let answer = client.ask("GET", &format!("/resource_providers/{UUID}/{list}"));
        assert!(answer.header("last-modified").is_some(), "{list}");
    }
}

/// Every answer of a version has the header, errors included: caches depend on it.
#[test]
fn answers_of_a_version_vary_with_it() {
    let server = Running::new();
    let mut client = server.client();
    for path in ["/", "/traits", "/nothing", "/resource_providers/none", "/traits?pony=1"] {
        let answer = client.ask("GET", path);
        assert_eq!(answer.header("vary"), Some("openstack-api-version"), "{path}");
    }
}

/// It comes from the middleware in front of the API, and has that one's form.
#[test]
fn the_answer_to_a_missing_token_has_the_form_of_the_middleware() {
    let server = Running::new();
    let mut client = server.client();
    let mut refused = |accept: &str| {
        client.raw(format!("GET /traits HTTP/1.1\r\nhost: a\r\naccept: {accept}\r\n\r\n").as_bytes());
        client.answer().unwrap()
    };
    let answer = refused("application/json");
    assert_eq!(answer.body["code"], "401 Unauthorized");
    assert_eq!(answer.body["title"], "Unauthorized");
    assert!(answer.body["message"].is_string() && answer.body["errors"].is_null());
    assert!(answer.header("openstack-api-version").is_none());
    assert!(refused("text/html").text.contains("<h1>401 Unauthorized</h1>"));
    assert!(refused("text/plain").text.starts_with("401 Unauthorized"));
}

/// `public_url` with a path: proxies take the prefix away or leave it.
#[test]
fn a_service_below_a_path_is_served_there_and_links_there() {
    let public_url = Some("https://cloud.example/placement/".to_owned());
    let server = Running::of(ServiceOptions { public_url, ..ServiceOptions::noauth2() });
    let mut client = server.client();
    for (number, prefix) in ["", "/placement"].into_iter().enumerate() {
        let body = json!({ "name": format!("p{number}"), "uuid": uuid('a', number) });
        let made = client.send("POST", &format!("{prefix}/resource_providers"), &body);
        let path = format!("/resource_providers/{}", uuid('a', number));
        let location = format!("https://cloud.example/placement{path}");
        assert_eq!(made.header("location"), Some(location.as_str()));
        for link in made.expect(200)["links"].as_array().unwrap() {
            let href = link["href"].as_str().unwrap();
            assert!(href.starts_with(&format!("/placement{path}")), "{href}");
            client.get(href);
        }
        let class = client.get(&format!("{prefix}/resource_classes/VCPU"));
        assert_eq!(class["links"][0]["href"], "/placement/resource_classes/VCPU");
        let classes = client.get(&format!("{prefix}/resource_classes"));
        assert!(
            classes["resource_classes"][0]["links"][0]["href"].as_str().unwrap().starts_with("/placement/")
        );
        let name = format!("CUSTOM_{number}");
        let made = client.ask("PUT", &format!("{prefix}/traits/{name}"));
        assert_eq!(made.header("location"), Some(&*format!("https://cloud.example/placement/traits/{name}")));
        client.raw(head("GET", &format!("{prefix}/metrics"), "").as_bytes());
        assert!(client.answer().unwrap().text.contains("berth_"));
    }
    // Anybody may ask for the versions.
    for path in ["/", "/placement", "/placement/"] {
        client.raw(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes());
        assert_eq!(client.answer().unwrap().expect(200)["versions"][0]["id"], "v1.0", "{path}");
    }
    client.ask("GET", "/placements").expect(404);
    client.ask("GET", "/placement/placement").expect(404);
}
