//! A service of the test's own, on a port of its own, and clients of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::placement_client::PlacementClient;
use berth_server::{Grpc, Service, ServiceOptions, Tls};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

/// How long calls that have begun may take when the test is over.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

pub(crate) struct Running {
    pub(crate) service: Arc<Service>,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

pub(crate) fn options() -> ServiceOptions {
    ServiceOptions::noauth2()
}

impl Running {
    pub(crate) async fn new() -> Self {
        Self::over(Arc::new(Service::new(options())), None).await
    }

    pub(crate) async fn over(service: Arc<Service>, tls: Option<&Tls>) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let grpc = Grpc::bind(any_port, tls, Arc::clone(&service)).await.unwrap();
        let address = grpc.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let fleet = Arc::clone(&service).run_fleet();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = grpc.run(stopped, GRACE) => {}
                () = fleet => unreachable!("it runs until it is dropped"),
            }
        });
        Self { service, address, stop: Some(stop), task }
    }

    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::new(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn placement(&self) -> PlacementClient<Channel> {
        PlacementClient::new(self.channel().await)
    }

    /// Ends the service as its process would; done when all calls are.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.task).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The UUID with this number, of a kind.
pub(crate) fn uuid(kind: char, number: usize) -> String {
    format!("{kind}0000000-0000-4000-8000-{number:012}")
}

/// An inventory of which all can be given away.
pub(crate) fn inventory(total: u32) -> v1::Inventory {
    v1::Inventory { total, ..v1::Inventory::default() }
}

/// Makes the provider with this number, with inventories of these classes and totals.
pub(crate) async fn provider(
    client: &mut PlacementClient<Channel>,
    number: usize,
    totals: &[(&str, u32)],
) -> v1::Provider {
    let uuid = uuid('a', number);
    let wanted =
        v1::PutProviderRequest { uuid: uuid.clone(), name: format!("host{number}"), parent: String::new() };
    let made = client.put_provider(wanted).await.unwrap().into_inner();
    let inventories = totals.iter().map(|(class, total)| ((*class).to_owned(), inventory(*total))).collect();
    let wanted = v1::SetInventoriesRequest { uuid, generation: made.generation, inventories };
    client.set_inventories(wanted).await.unwrap().into_inner()
}

/// A claim of the consumer with this number: (provider, class, amount).
pub(crate) fn claim(number: usize, held: &[(usize, &str, u32)]) -> v1::ConsumerClaim {
    let allocation = |&(provider, class, amount): &(usize, &str, u32)| v1::Allocation {
        provider: uuid('a', provider),
        resources: [(class.to_owned(), amount)].into(),
    };
    v1::ConsumerClaim {
        consumer: uuid('c', number),
        generation: None,
        project: "project".to_owned(),
        user: "user".to_owned(),
        consumer_type: "INSTANCE".to_owned(),
        allocations: held.iter().map(allocation).collect(),
    }
}

/// What claims come to, each by itself.
pub(crate) async fn claims(
    client: &mut PlacementClient<Channel>,
    claims: Vec<v1::ConsumerClaim>,
) -> Vec<v1::ClaimResult> {
    let request = v1::ClaimRequest { claims, all_or_nothing: false };
    client.claim(request).await.unwrap().into_inner().results
}

/// How much of a class is taken from the provider with this number.
pub(crate) async fn used(client: &mut PlacementClient<Channel>, number: usize, class: &str) -> u64 {
    let wanted = v1::GetProviderRequest { uuid: uuid('a', number) };
    client.get_provider(wanted).await.unwrap().into_inner().usages[class]
}
