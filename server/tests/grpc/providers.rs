//! Providers: made, changed, listed and removed.

use berth_api::v1;
use berth_api::v1::placement_client::PlacementClient;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::details::{bad_field, reason, resource};
use crate::support::{Running, claim, claims, provider, uuid};

async fn put(
    client: &mut PlacementClient<Channel>,
    number: usize,
    name: &str,
    parent: Option<usize>,
) -> Result<Response<v1::Provider>, Status> {
    let parent = parent.map(|number| uuid('a', number)).unwrap_or_default();
    client
        .put_provider(v1::PutProviderRequest { uuid: uuid('a', number), name: name.to_owned(), parent })
        .await
}

async fn delete(
    client: &mut PlacementClient<Channel>,
    number: usize,
) -> Result<Response<v1::DeleteProviderResponse>, Status> {
    client.delete_provider(v1::DeleteProviderRequest { uuid: uuid('a', number) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_made_renamed_and_moved_and_may_be_put_again() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    let root = put(&mut client, 1, "one", None).await.unwrap().into_inner();
    assert_eq!((&*root.name, &*root.parent, &*root.root, root.generation), ("one", "", &*uuid('a', 1), 0));
    put(&mut client, 2, "two", None).await.unwrap();
    let child = put(&mut client, 3, "cell", Some(1)).await.unwrap().into_inner();
    assert_eq!((child.parent, child.root), (uuid('a', 1), uuid('a', 1)));
    let again = put(&mut client, 3, "cell", Some(1)).await.unwrap().into_inner();
    assert_eq!(again.generation, 0);
    let moved = put(&mut client, 3, "cell 0", Some(2)).await.unwrap().into_inner();
    assert_eq!((&*moved.name, &moved.root), ("cell 0", &uuid('a', 2)));
    let got = client.get_provider(v1::GetProviderRequest { uuid: uuid('a', 3) }).await.unwrap().into_inner();
    assert_eq!(got, moved);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_be_changes_nothing() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    put(&mut client, 1, "one", None).await.unwrap();
    put(&mut client, 2, "two", Some(1)).await.unwrap();
    resource(put(&mut client, 3, "one", None).await, Code::AlreadyExists, "resource provider", "one");
    resource(put(&mut client, 2, "one", Some(1)).await, Code::AlreadyExists, "resource provider", "one");
    resource(put(&mut client, 3, "x", Some(9)).await, Code::NotFound, "resource provider", &uuid('a', 9));
    reason(put(&mut client, 1, "new name", Some(2)).await, Code::FailedPrecondition, "LOOP");
    reason(put(&mut client, 1, "new name", Some(1)).await, Code::FailedPrecondition, "LOOP");
    reason(put(&mut client, 4, "own parent", Some(4)).await, Code::FailedPrecondition, "LOOP");
    let kept = client.get_provider(v1::GetProviderRequest { uuid: uuid('a', 1) }).await.unwrap().into_inner();
    assert_eq!((&*kept.name, &*kept.parent), ("one", ""));
    bad_field(put(&mut client, 3, "", None).await, "name", "is required");
    bad_field(put(&mut client, 3, &"☂".repeat(201), None).await, "name", "201 characters");
    bad_field(put(&mut client, 3, "a\0b", None).await, "name", "NUL");
    put(&mut client, 3, &"☂".repeat(200), None).await.unwrap();
    let wanted = v1::PutProviderRequest { uuid: "x".into(), name: "x".into(), parent: String::new() };
    bad_field(client.put_provider(wanted).await, "uuid", "has to be a UUID, not \"x\"");
    let wanted = v1::PutProviderRequest { uuid: uuid('a', 5), name: "x".into(), parent: "y".into() };
    bad_field(client.put_provider(wanted).await, "parent", "has to be a UUID");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_others_need_is_not_removed() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    provider(&mut client, 1, &[("VCPU", 8)]).await;
    put(&mut client, 2, "child", Some(1)).await.unwrap();
    claims(&mut client, vec![claim(1, &[(1, "VCPU", 1)])]).await;
    reason(delete(&mut client, 1).await, Code::FailedPrecondition, "HAS_CHILDREN");
    delete(&mut client, 2).await.unwrap();
    reason(delete(&mut client, 1).await, Code::FailedPrecondition, "IN_USE");
    client.release(v1::ReleaseRequest { consumers: vec![uuid('c', 1)] }).await.unwrap();
    delete(&mut client, 1).await.unwrap();
    resource(delete(&mut client, 1).await, Code::NotFound, "resource provider", &uuid('a', 1));
    let gone = client.get_provider(v1::GetProviderRequest { uuid: uuid('a', 1) }).await;
    resource(gone, Code::NotFound, "resource provider", &uuid('a', 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_comes_in_pages_in_order_of_uuid() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    for number in [5, 3, 1, 4, 2] {
        put(&mut client, number, &format!("host{number}"), None).await.unwrap();
    }
    let (mut seen, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let wanted = v1::ListProvidersRequest { page_size: 2, page_token, ..Default::default() };
        let page = client.list_providers(wanted).await.unwrap().into_inner();
        seen.extend(page.providers.into_iter().map(|provider| provider.uuid));
        (page_token, pages) = (page.next_page_token, pages + 1);
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((seen, pages), ((1..=5).map(|number| uuid('a', number)).collect(), 3));
    let wanted = v1::ListProvidersRequest { page_size: 1001, ..Default::default() };
    bad_field(client.list_providers(wanted).await, "page_size", "at most 1000");
    let wanted = v1::ListProvidersRequest { page_token: "2".into(), ..Default::default() };
    bad_field(client.list_providers(wanted).await, "page_token", "is not a token of this service");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_can_be_narrowed_to_a_tree_and_a_name() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    for (number, parent) in [(1, None), (2, Some(1)), (3, Some(2)), (4, None)] {
        put(&mut client, number, &format!("p{number}"), parent).await.unwrap();
    }
    let mut listed = async |in_tree: &str, name: &str| {
        let wanted =
            v1::ListProvidersRequest { in_tree: in_tree.into(), name: name.into(), ..Default::default() };
        let page = client.list_providers(wanted).await?.into_inner();
        Ok::<_, Status>(page.providers.into_iter().map(|provider| provider.name).collect::<Vec<_>>())
    };
    assert_eq!(listed(&uuid('a', 3), "").await.unwrap(), ["p1", "p2", "p3"]);
    assert_eq!(listed(&uuid('a', 3), "p2").await.unwrap(), ["p2"]);
    assert_eq!(listed(&uuid('a', 3), "p4").await.unwrap(), [""; 0]);
    assert_eq!(listed("", "p4").await.unwrap(), ["p4"]);
    assert_eq!(listed("", "p5").await.unwrap(), [""; 0]);
    assert_eq!(listed(&uuid('a', 9), "").await.unwrap(), [""; 0]);
    let error = listed("tree", "").await.unwrap_err();
    assert!(error.message().starts_with("in_tree: has to be a UUID"), "{error}");
}
