//! Every text, list and map of every message that the service receives has a bound, and the error
//! names the field.

use berth_api::bounds::{Bounded, Violation};
use berth_api::v1;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorSet};

/// Protobuf, written by hand: a field with a length.
fn field(number: i32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_key(
        u32::try_from(number).unwrap(),
        prost::encoding::WireType::LengthDelimited,
        &mut bytes,
    );
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

fn messages() -> Vec<DescriptorProto> {
    let set = FileDescriptorSet::decode(v1::DESCRIPTORS).unwrap();
    let files = set.file.into_iter().filter(|file| file.package() == "berth.v1");
    files.flat_map(|file| file.message_type).collect()
}

/// Longer than any text of a message but a query.
fn long() -> Vec<u8> {
    vec![b'a'; 70_000]
}

/// What is wrong with a message that has too long a text in one place: (the field, the bytes of the
/// message).
fn too_long(messages: &[DescriptorProto], name: &str, depth: usize) -> Vec<(String, Vec<u8>)> {
    let Some(message) = messages.iter().find(|message| message.name() == name) else { return Vec::new() };
    let mut found = Vec::new();
    for of in &message.field {
        let inner = of.type_name().rsplit('.').next().unwrap_or_default();
        let entry = message.nested_type.iter().find(|nested| nested.name() == inner);
        let is_list = of.label() == Label::Repeated;
        match (of.r#type(), entry) {
            (Type::String | Type::Bytes, _) => {
                let place = if is_list { "[0]" } else { "" };
                found.push((format!("{}{place}", of.name()), field(of.number(), &long())));
            }
            (Type::Message, Some(entry)) => {
                found.push((of.name().to_owned(), field(of.number(), &field(1, &long()))));
                if entry.field[1].r#type() == Type::String {
                    let value = [field(1, b"k"), field(2, &long())].concat();
                    found.push((format!("{}[\"k\"]", of.name()), field(of.number(), &value)));
                }
            }
            (Type::Message, None) if depth > 0 => {
                let place = if is_list { "[0]" } else { "" };
                let below = too_long(messages, inner, depth - 1).into_iter();
                found.extend(below.map(|(path, bytes)| {
                    (format!("{}{place}.{path}", of.name()), field(of.number(), &bytes))
                }));
            }
            _ => {}
        }
    }
    found
}

fn check<M: Message + Bounded + Default>(name: &str) -> usize {
    let messages = messages();
    let cases = too_long(&messages, name, 4);
    for (path, bytes) in &cases {
        if path == "query" {
            continue; // its bound is a setting of the service
        }
        let violation = M::decode(&bytes[..]).unwrap().check().expect_err(path);
        assert_eq!(&violation.field, path, "{name}");
    }
    cases.len()
}

#[test]
fn every_text_that_the_service_receives_has_a_bound() {
    let count = [
        check::<v1::ListProvidersRequest>("ListProvidersRequest"),
        check::<v1::GetProviderRequest>("GetProviderRequest"),
        check::<v1::PutProviderRequest>("PutProviderRequest"),
        check::<v1::DeleteProviderRequest>("DeleteProviderRequest"),
        check::<v1::SetInventoriesRequest>("SetInventoriesRequest"),
        check::<v1::SetTraitsRequest>("SetTraitsRequest"),
        check::<v1::SetAggregatesRequest>("SetAggregatesRequest"),
        check::<v1::GetConsumerRequest>("GetConsumerRequest"),
        check::<v1::ListConsumersRequest>("ListConsumersRequest"),
        check::<v1::ClaimRequest>("ClaimRequest"),
        check::<v1::ReleaseRequest>("ReleaseRequest"),
        check::<v1::FindCandidatesRequest>("FindCandidatesRequest"),
        check::<v1::ScheduleRequest>("ScheduleRequest"),
        check::<v1::TaggedScheduleRequest>("TaggedScheduleRequest"),
        check::<v1::ExplainRequest>("ExplainRequest"),
        check::<v1::ListHostsRequest>("ListHostsRequest"),
        check::<v1::GetHostRequest>("GetHostRequest"),
        check::<v1::ApproveHostRequest>("ApproveHostRequest"),
        check::<v1::SetHostRequest>("SetHostRequest"),
        check::<v1::DeleteHostRequest>("DeleteHostRequest"),
        check::<v1::ListAggregatesRequest>("ListAggregatesRequest"),
        check::<v1::CreateAggregateRequest>("CreateAggregateRequest"),
        check::<v1::UpdateAggregateRequest>("UpdateAggregateRequest"),
        check::<v1::CreateFlavorRequest>("CreateFlavorRequest"),
        check::<v1::CreateServerGroupRequest>("CreateServerGroupRequest"),
        check::<v1::SetQuotaRequest>("SetQuotaRequest"),
        check::<v1::CreateInstancesRequest>("CreateInstancesRequest"),
        check::<v1::InstanceRequest>("InstanceRequest"),
        check::<v1::RebootRequest>("RebootRequest"),
        check::<v1::LockRequest>("LockRequest"),
        check::<v1::ListInstancesRequest>("ListInstancesRequest"),
        check::<v1::WatchInstancesRequest>("WatchInstancesRequest"),
        check::<v1::AgentMessage>("AgentMessage"),
    ];
    assert!(count.iter().sum::<usize>() > 80, "{count:?}");
}

#[test]
fn lists_and_maps_have_bounds() {
    let too_many = v1::ReleaseRequest { consumers: vec![String::new(); 10_001] };
    let expected = Violation {
        field: "consumers".to_owned(),
        problem: "has 10001 elements, and may have at most 10000".to_owned(),
    };
    assert_eq!(too_many.check(), Err(expected));
    let image = v1::Image {
        properties: (0..129).map(|number| (format!("p{number}"), String::new())).collect(),
        ..v1::Image::default()
    };
    let creation = v1::CreateInstancesRequest { image: Some(image), ..v1::CreateInstancesRequest::default() };
    let violation = creation.check().unwrap_err();
    assert_eq!(violation.to_string(), "image.properties: has 129 entries, and may have at most 128");
}

/// A text of 255 characters may have more bytes.
#[test]
fn characters_are_counted() {
    let name = |letter: &str, count| v1::GetHostRequest { name: letter.repeat(count) };
    assert_eq!(name("é", 255).check(), Ok(()));
    assert!(name("é", 256).check().is_err());
}
