//! Who may call what: everybody tries every method there is, over mutual TLS.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use crate::certificates::Authority;

/// Each method with its callers. A method that is new to the descriptors needs a line
/// here, and one in the table of `server/src/grpc/access.rs`.
const EXPECTED: &str = include_str!("access.expected");

/// Paths of all methods: those of `berth.v1`, and the standard services beside it.
fn methods() -> Vec<String> {
    let sets = [
        berth_api::v1::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    ];
    let files = sets.into_iter().flat_map(|set| FileDescriptorSet::decode(set).unwrap().file);
    let mut paths = Vec::new();
    for file in files {
        for service in &file.service {
            let methods = service.method.iter().map(|method| method.name().to_owned());
            paths.extend(methods.map(|method| format!("/{}.{}/{method}", file.package(), service.name())));
        }
    }
    paths
}

/// What an empty request comes to.
async fn call(channel: &Channel, path: &str) -> Code {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path: PathAndQuery = path.parse().unwrap();
    let nothing = Request::new(tokio_stream::once(()));
    let answer = client.streaming(nothing, path, ProstCodec::<(), ()>::default()).await;
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_call_what_the_table_says_and_nothing_else() {
    let authority = Authority::new();
    let running = authority.service().await;
    let mut matrix: BTreeMap<String, Vec<&str>> =
        methods().into_iter().map(|path| (path, Vec::new())).collect();
    for (caller, name) in [
        ("operator", "berth://role/operator"),
        ("service", "berth://role/service"),
        ("reader", "berth://role/reader"),
        ("agent", "berth://agent/host1"),
    ] {
        let channel = authority.connect(&running, Some(authority.client(name))).await.unwrap();
        for (path, allowed) in &mut matrix {
            match call(&channel, path).await {
                Code::PermissionDenied => {}
                Code::Unauthenticated => panic!("{caller} is known"),
                _ => allowed.push(caller),
            }
        }
        assert_eq!(call(&channel, "/berth.v1.Placement/Surprise").await, Code::Unimplemented);
        assert_eq!(call(&channel, "/").await, Code::Unimplemented);
    }
    let lines = matrix.iter().map(|(path, allowed)| format!("{path}: {}\n", allowed.join(" ")));
    let found: String = lines.collect();
    assert_eq!(found, EXPECTED, "found:\n{found}");
    assert!(matrix.values().all(|allowed| allowed.contains(&"operator")), "operators may do everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_certificates_everybody_is_an_operator() {
    let running = crate::support::Running::new().await;
    let channel = running.channel().await;
    for path in methods() {
        let code = call(&channel, &path).await;
        assert!(![Code::PermissionDenied, Code::Unauthenticated].contains(&code), "{path}: {code}");
    }
}
