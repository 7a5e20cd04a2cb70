//! Flavors, server groups, key pairs, quotas, and what is said of bad requests.

use berth_api::v1;
use tonic::Code;

use crate::service::{Cloud, creation, fields, named, reason};

#[tokio::test(flavor = "multi_thread")]
async fn flavors_are_made_listed_and_removed() {
    let mut cloud = Cloud::new().await;
    cloud.flavor("small", 1, &[("trait:HW_CPU_X86_AVX2", "required")]).await;
    cloud.flavor("large", 4, &[]).await;
    let mut page = v1::ListFlavorsRequest { page_size: 1, ..v1::ListFlavorsRequest::default() };
    let first = cloud.fleet.list_flavors(page.clone()).await.unwrap().into_inner();
    assert_eq!(first.flavors[0].name, "large");
    page.page_token = first.next_page_token;
    let second = cloud.fleet.list_flavors(page).await.unwrap().into_inner();
    assert_eq!((second.flavors[0].name.as_str(), second.next_page_token.as_str()), ("small", ""));
    assert_eq!(second.flavors[0].extra_specs["trait:HW_CPU_X86_AVX2"], "required");

    let twice = v1::CreateFlavorRequest { flavor: Some(second.flavors[0].clone()) };
    assert_eq!(cloud.fleet.create_flavor(twice).await.unwrap_err().code(), Code::AlreadyExists);
    let flavor = Some(v1::Flavor { name: "none".to_owned(), ..v1::Flavor::default() });
    let refused = cloud.fleet.create_flavor(v1::CreateFlavorRequest { flavor }).await.unwrap_err();
    assert_eq!((refused.code(), fields(&refused)), (Code::InvalidArgument, vec!["flavor.vcpus".to_owned()]));

    let gone = || v1::DeleteFlavorRequest { name: "small".to_owned() };
    cloud.fleet.delete_flavor(gone()).await.unwrap();
    assert_eq!(cloud.fleet.delete_flavor(gone()).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_never_exceed_a_quota() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1", "h2"]).await;
    cloud.flavor("small", 1, &[]).await;
    let quota =
        v1::SetQuotaRequest { project: "p".to_owned(), vcpus: Some(5), ..v1::SetQuotaRequest::default() };
    cloud.fleet.set_quota(quota).await.unwrap();
    let ask = |number: usize| {
        let mut client = cloud.instances.clone();
        tokio::spawn(async move { client.create(creation(&format!("i{number}"), "small")).await })
    };
    let asked: Vec<_> = (0..12).map(ask).collect();
    let mut granted = 0;
    for one in asked {
        match one.await.unwrap() {
            Ok(_) => granted += 1,
            Err(refused) => assert_eq!(reason(&refused), "QUOTA_EXCEEDED", "{refused}"),
        }
    }
    let wanted = v1::GetQuotaRequest { project: "p".to_owned() };
    let quota = cloud.fleet.get_quota(wanted).await.unwrap().into_inner();
    assert_eq!((granted, quota.used_vcpus, quota.used_instances), (5, 5, 5));

    // At least two do not fit, at most two and at least none more than fit do.
    let refused =
        cloud.instances.create(v1::CreateInstancesRequest { min_count: 2, ..creation("m", "small") }).await;
    assert_eq!(reason(&refused.unwrap_err()), "QUOTA_EXCEEDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_name_the_field() {
    let mut cloud = Cloud::new().await;
    cloud.flavor("small", 1, &[]).await;
    let blank = creation("", "small");
    let refused = cloud.instances.create(blank).await.unwrap_err();
    assert_eq!(fields(&refused), ["name"]);
    let counts = v1::CreateInstancesRequest { min_count: 3, max_count: 2, ..creation("i", "small") };
    assert_eq!(fields(&cloud.instances.create(counts).await.unwrap_err()), ["max_count"]);
    let unknown = cloud.instances.create(creation("i", "huge")).await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (Code::NotFound, "there is no flavor huge"));
    let hints = [("group".to_owned(), v1::Hints { values: vec!["x".to_owned()] })].into();
    let refused =
        cloud.instances.create(v1::CreateInstancesRequest { hints, ..creation("i", "small") }).await;
    assert_eq!(fields(&refused.unwrap_err()), ["hints.group"]);
    let set = v1::SetHostRequest { name: "h".to_owned(), ..v1::SetHostRequest::default() };
    assert_eq!(fields(&cloud.fleet.set_host(set).await.unwrap_err()), ["status"]);
    // Nothing is left of what was refused.
    let all = cloud.instances.list(v1::ListInstancesRequest::default()).await.unwrap().into_inner();
    assert_eq!(all.instances, []);
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMS4MkM8ey8Jq6s/q/aWtueCGwu+2X5ZP1Jf00hEtKYj me@laptop";

fn key_pair(name: &str) -> v1::CreateKeyPairRequest {
    v1::CreateKeyPairRequest { name: name.to_owned(), project: "p".to_owned(), public_key: KEY.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_get_the_key_pair_that_their_user_named() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 1, &[]).await;
    let made = cloud.fleet.create_key_pair(key_pair("laptop")).await.unwrap().into_inner();
    assert_eq!(
        (made.fingerprint.as_str(), made.public_key.as_str()),
        ("SHA256:yEBj1zHa7slxlCnFCloO/FpG9Q920DlbbrWo27iVnIg", KEY)
    );
    let wanted = v1::CreateInstancesRequest { key_name: "laptop".to_owned(), ..creation("it", "small") };
    let made = cloud.instances.create(wanted.clone()).await.unwrap().into_inner().instances;
    let it = made[0].uuid.clone();
    assert_eq!(made[0].key_name, "laptop");
    cloud.until_status(&it, "ACTIVE").await;

    // It keeps its copy.
    let gone = || v1::DeleteKeyPairRequest { name: "laptop".to_owned(), project: "p".to_owned() };
    cloud.fleet.delete_key_pair(gone()).await.unwrap();
    assert_eq!(cloud.fleet.delete_key_pair(gone()).await.unwrap_err().code(), Code::NotFound);
    cloud.instances.stop(named(&it)).await.unwrap();
    assert_eq!(cloud.until_status(&it, "SHUTOFF").await.key_name, "laptop");
    let sent: Vec<_> =
        host.machine.lock().unwrap().desired.iter().map(|of| of.spec.clone().unwrap().key_pair).collect();
    let key = v1::GuestKeyPair { name: "laptop".to_owned(), public_key: KEY.to_owned() };
    assert!(sent.len() >= 2 && sent.iter().all(|of| *of == Some(key.clone())), "{sent:?}");

    let refused = cloud.instances.create(wanted).await.unwrap_err();
    assert_eq!((refused.code(), fields(&refused)), (Code::InvalidArgument, vec!["key_name".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn key_pairs_belong_to_projects_and_count_in_their_quotas() {
    let mut cloud = Cloud::new().await;
    let limit =
        v1::SetQuotaRequest { project: "p".to_owned(), key_pairs: Some(2), ..v1::SetQuotaRequest::default() };
    cloud.fleet.set_quota(limit).await.unwrap();
    for name in ["b", "a"] {
        cloud.fleet.create_key_pair(key_pair(name)).await.unwrap();
    }
    assert_eq!(cloud.fleet.create_key_pair(key_pair("a")).await.unwrap_err().code(), Code::AlreadyExists);
    let refused = cloud.fleet.create_key_pair(key_pair("c")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "QUOTA_EXCEEDED"));
    let other = v1::CreateKeyPairRequest { project: "q".to_owned(), ..key_pair("a") };
    cloud.fleet.create_key_pair(other).await.unwrap();
    let quota = cloud.fleet.get_quota(v1::GetQuotaRequest { project: "p".to_owned() }).await.unwrap();
    assert_eq!((quota.get_ref().key_pairs, quota.get_ref().used_key_pairs), (Some(2), 2));

    let list = async |project: &str, page_size: u32, page_token: String| {
        let wanted = v1::ListKeyPairsRequest { page_size, page_token, project: project.to_owned() };
        cloud.fleet.clone().list_key_pairs(wanted).await.unwrap().into_inner()
    };
    let names = |page: &v1::ListKeyPairsResponse| {
        page.key_pairs.iter().map(|of| format!("{}/{}", of.project, of.name)).collect::<Vec<_>>()
    };
    assert_eq!(names(&list("p", 0, String::new()).await), ["p/a", "p/b"]);
    let first = list("", 2, String::new()).await;
    assert_eq!(names(&first), ["p/a", "p/b"]);
    assert_eq!(names(&list("", 2, first.next_page_token).await), ["q/a"]);
    let of_others = v1::GetKeyPairRequest { name: "b".to_owned(), project: "q".to_owned() };
    assert_eq!(cloud.fleet.get_key_pair(of_others).await.unwrap_err().code(), Code::NotFound);
    let refused = cloud.fleet.create_key_pair(v1::CreateKeyPairRequest {
        public_key: "-----BEGIN OPENSSH PRIVATE KEY-----".to_owned(),
        ..key_pair("c")
    });
    assert_eq!(fields(&refused.await.unwrap_err()), ["public_key"]);
}
