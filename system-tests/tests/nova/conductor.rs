//! What nova-conductor asks, over the real bus.

use std::time::{Duration, Instant};

use berth_nova_rpc::bus::{CallError, Caller};
use berth_nova_rpc::transport::BusOptions;
use serde_json::{Value, json};
use uuid::Uuid;

/// How long a call may take. A message that nobody received by then is dropped by the broker.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long everything may take to answer again.
const RECOVERY: Duration = Duration::from_secs(900);

/// A conductor; it connects again whenever its connection is lost.
pub(crate) struct Conductor {
    bus: BusOptions,
    caller: Option<Caller>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// For each instance its host, then the alternates.
    Hosts(Vec<Vec<String>>),
    /// The class of an exception, and its message.
    Exception(String, String),
    /// No reply came. Whether anything was claimed is unknown.
    Lost,
}

impl Conductor {
    pub(crate) const fn new(bus: BusOptions) -> Self {
        Self { bus, caller: None }
    }

    /// Asks for hosts for these instances; `ignored` are hosts on which a build failed.
    pub(crate) async fn ask(&mut self, instances: &[Uuid], vcpus: u64, ignored: &[&str]) -> Answer {
        let args = arguments(instances, vcpus, ignored);
        let deadline = Instant::now() + RECOVERY;
        loop {
            let caller = match self.caller.take().filter(Caller::is_connected) {
                Some(caller) => Ok(caller),
                None => Caller::connect(&self.bus).await,
            };
            if let Ok(caller) = caller {
                let called =
                    caller.call("scheduler", "select_destinations", "4.5", args.clone(), PATIENCE).await;
                self.caller = Some(caller);
                match called {
                    Ok(Ok(result)) => return Answer::Hosts(hosts(&result)),
                    Ok(Err(exception)) => {
                        let text = |name: &str| exception[name].as_str().unwrap_or_default().to_owned();
                        return Answer::Exception(text("class"), text("message"));
                    }
                    // Nothing was sent, or nobody received it.
                    Err(CallError::NoServer(_)) => {}
                    Err(_) => return Answer::Lost,
                }
            }
            assert!(Instant::now() < deadline, "there is no bus");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Asks until an answer comes that is no exception: everything works again.
    pub(crate) async fn ask_until_placed(&mut self, lost: &mut Vec<Uuid>) -> (Uuid, String) {
        let deadline = Instant::now() + RECOVERY;
        loop {
            let instance = new_uuid();
            match self.ask(&[instance], 1, &[]).await {
                Answer::Hosts(hosts) => return (instance, hosts[0][0].clone()),
                Answer::Lost => lost.push(instance),
                Answer::Exception(..) => {}
            }
            assert!(Instant::now() < deadline, "no request finds a host");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// An instance that no other request has.
pub(crate) fn new_uuid() -> Uuid {
    Uuid::new_v4()
}

fn hosts(result: &Value) -> Vec<Vec<String>> {
    let host = |selection: &Value| {
        selection["nova_object.data"]["service_host"].as_str().expect("a Selection").to_owned()
    };
    let of_one = |list: &Value| list.as_array().expect("a list").iter().map(host).collect();
    result.as_array().expect("a list").iter().map(of_one).collect()
}

fn object(name: &str, version: &str, data: &Value) -> Value {
    json!({"nova_object.name": name, "nova_object.namespace": "nova", "nova_object.version": version, "nova_object.data": data})
}

fn arguments(instances: &[Uuid], vcpus: u64, ignored: &[&str]) -> Value {
    let flavor = json!({"id": 1, "name": "small", "flavorid": "small", "vcpus": vcpus, "memory_mb": 64, "root_gb": 1,
        "ephemeral_gb": 0, "swap": 0, "extra_specs": {}});
    let properties = object("ImageMetaProps", "1.44", &json!({}));
    let image =
        json!({"id": Uuid::nil(), "name": "image", "min_ram": 0, "min_disk": 0, "properties": properties});
    let spec = json!({"image": object("ImageMeta", "1.8", &image), "numa_topology": null, "project_id": "project",
        "user_id": "user", "availability_zone": null, "flavor": object("Flavor", "1.2", &flavor),
        "num_instances": instances.len(), "ignore_hosts": ignored, "force_hosts": null, "force_nodes": null,
        "requested_destination": null, "instance_group": null, "scheduler_hints": {}, "instance_uuid": instances[0],
        "is_bfv": false});
    json!({"instance_uuids": instances, "spec_obj": object("RequestSpec", "1.15", &spec), "return_objects": true,
        "return_alternates": true})
}
