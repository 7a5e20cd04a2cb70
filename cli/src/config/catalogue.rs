//! Every setting: what it means, its unit, and what it is or was called in `nova.conf`.

use std::fmt::Write;

use super::layers::{Settings, value_text};

/// A setting of the configuration.
#[derive(Debug)]
pub(super) struct Setting {
    /// The section of `nova.conf`, which is a table below `nova` in Berth's file; or a table of
    /// Berth's own.
    pub(super) group: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: &'static str,
    pub(super) meaning: &'static str,
    /// Former names, as section and key.
    pub(super) former: &'static [(&'static str, &'static str)],
}

/// What values a setting has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Flag,
    Integer,
    Number,
    Text,
    List,
}

impl Setting {
    /// Whether it is about `berth serve`, and unknown to Nova.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.group, SERVE | CANDIDATES | LIMITS | TLS | KEYSTONE | ETCD | NOVA_SHADOW)
    }

    /// The table of Berth's file that it stands in.
    pub(super) fn table(&self) -> String {
        if self.is_own() { self.group.to_owned() } else { format!("nova.{}", self.group) }
    }

    /// The setting's place in Berth's file.
    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.table(), self.name)
    }
}

const fn setting(
    group: &'static str,
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    meaning: &'static str,
    former: &'static [(&'static str, &'static str)],
) -> Setting {
    Setting { group, name, kind, unit, meaning, former }
}

const FS: &str = "filter_scheduler";
const D: &str = "DEFAULT";
const SERVE: &str = "serve";
const CANDIDATES: &str = "serve.candidates";
const LIMITS: &str = "serve.limits";
const TLS: &str = "serve.tls";
const KEYSTONE: &str = "serve.keystone";
const ETCD: &str = "serve.etcd";
const NOVA_SHADOW: &str = "serve.nova_shadow";

/// All of them, in the order of the documentation.
#[rustfmt::skip] // a table
pub(super) const SETTINGS: &[Setting] = &[
    setting(SERVE, "listen", Kind::Text, "address:port", "the address for requests; the address may be `localhost`", &[]),
    setting(SERVE, "grpc_listen", Kind::Text, "address:port", "the address for gRPC; a loopback address, unless `[serve.tls]` is set", &[]),
    setting(SERVE, "public_url", Kind::Text, "", "the URL by which clients reach the service, such as `https://placement.example.com` or `https://cloud.example.com/placement`: `Location` begins with it; if unset, with `http://` and the request's `Host`. If it has a path, links in responses begin with that path, and requests are accepted below it as well as at the root", &[]),
    setting(SERVE, "auth", Kind::Text, "", "how requests are authenticated: by `keystone`, or with `noauth2`, which trusts their headers, for development and tests: on a loopback address only", &[]),
    setting(SERVE, "dangerous_anybody_is_administrator", Kind::Flag, "", "allow `noauth2` on addresses other than loopback: everybody who reaches them can do anything", &[]),
    setting(SERVE, "trust_agents_on_first_use", Kind::Flag, "", "let a host join that no operator approved and whose certificate does not contain its UUID: the first agent gets the name and the UUID", &[]),
    setting(SERVE, "fence_command", Kind::List, "", "the command that cuts a host that is down off from power or storage, and its arguments, such as `[\"fence_ipmilan\", \"--ip=bmc-{host}\", \"--action=off\"]`; `{host}`, `{uuid}` and `{address}` are those of the host. It has to fail unless nothing runs there any longer. Empty: operators state that themselves", &[]),
    setting(SERVE, "live_migrations_per_target", Kind::Integer, "live migrations", "that a host receives at a time; others wait; 0 for no limit. `nova.DEFAULT.max_concurrent_live_migrations` is the limit of a host that sends", &[]),
    setting(SERVE, "live_migrations", Kind::Integer, "live migrations", "at a time in all; others wait; 0 for no limit", &[]),
    setting(SERVE, "policy", Kind::Text, "", "the policy: the defaults `legacy` or `secure`, or a policy file that overrides rules of `legacy`", &[]),
    setting(SERVE, "cors_origins", Kind::List, "", "origins whose pages may call the API, such as `https://dashboard.example.com`", &[]),
    setting(SERVE, "trusted_proxies", Kind::List, "addresses, networks", "proxies whose `X-Forwarded-For` says from which address a request comes, such as `192.0.2.10` or `10.0.0.0/8`: new tokens from one address wait for each other, and without this setting all clients of a proxy have one address", &[]),
    setting(SERVE, "data", Kind::Text, "directory", "the data directory; `none` to keep the state in memory only; if unset, `$XDG_STATE_HOME/berth` or `~/.local/state/berth`", &[]),
    setting(SERVE, "store", Kind::Text, "", "the state in etcd instead of a data directory: `etcd://HOST:PORT,…/PREFIX`, or `etcds://` with TLS; several services may name the same one; [scale-out.md](scale-out.md)", &[]),
    setting(SERVE, "durability", Kind::Text, "", "whether a response waits for the disk: with `strict`, it is sent when its changes are on disk, and no crash reverts them; with `relaxed`, it is sent at once, and a crash may revert the last changes, at most 10,000", &[]),
    setting(SERVE, "commit_delay", Kind::Integer, "microseconds", "that a commit waits for more changes to share its fsync; while one commit is written, the changes of the next gather anyway", &[]),
    setting(SERVE, "lifetimes", Kind::Text, "file", "CSV of how long instances live, with the columns `flavor`, `project` or both and `lifetime_s` or `p50_s`, for `LifetimeWeigher`; [packing.md](packing.md)", &[]),
    setting(SERVE, "shutdown_timeout", Kind::Integer, "seconds", "to finish requests in progress when the service stops; at least 1", &[]),
    setting(SERVE, "nova_conf", Kind::Text, "file", "the `nova.conf` of nova-scheduler: the service takes nova-scheduler's place on the bus, reads hosts from Nova's databases, and decides with the options of that file; [replace-nova-scheduler.md](replace-nova-scheduler.md)", &[]),
    setting(SERVE, "nova_cell_timeout", Kind::Integer, "seconds", "without an answer after which a cell's database counts as down and its hosts are left out; at least 1", &[]),
    setting(SERVE, "placement_url", Kind::Text, "URL", "with `nova_conf`: another Placement service, OpenStack's say, for candidates and claims, with the credentials of `[placement]` in that file; if unset, the service in this process; [replace-nova-scheduler.md](replace-nova-scheduler.md#with-openstacks-placement)", &[]),
    setting(SERVE, "log", Kind::Text, "", "what is logged: `error`, `warn`, `info`, `debug`, or a list such as `warn,berth_server=debug`; the environment variable `BERTH_LOG` overrides it", &[]),
    setting(SERVE, "log_format", Kind::Text, "", "`text` for people, `json` for machines, one object a line", &[]),
    setting(CANDIDATES, "strategy", Kind::Text, "", "in which order hosts are visited: `breadth-first` gives one candidate of each in turn, `depth-first` all of a host before the next; Placement's `allocation_candidates_generation_strategy`", &[]),
    setting(CANDIDATES, "max", Kind::Integer, "candidates", "that are made at most, before a query's `limit`; unset for all of them; Placement's `max_allocation_candidates`", &[]),
    setting(CANDIDATES, "randomize", Kind::Flag, "", "whether each answer has an order of its own, so that clients do not all begin with the same host; Placement's `randomize_allocation_candidates`", &[]),
    setting(LIMITS, "head_time", Kind::Integer, "seconds", "for the head of a request to arrive; also closes connections that never send one", &[]),
    setting(LIMITS, "idle_time", Kind::Integer, "seconds", "between a response and the next request on the same connection", &[]),
    setting(LIMITS, "body_bytes", Kind::Integer, "bytes", "of a body", &[]),
    setting(LIMITS, "body_time", Kind::Integer, "seconds", "that a body may take to arrive", &[]),
    setting(LIMITS, "write_time", Kind::Integer, "seconds", "that a client may take none of its answer", &[]),
    setting(LIMITS, "body_values", Kind::Integer, "values", "in a body, those in lists and objects included", &[]),
    setting(LIMITS, "list_length", Kind::Integer, "elements", "of one list, or members of one object", &[]),
    setting(LIMITS, "query_bytes", Kind::Integer, "bytes", "of a URL's query; a URL has at most 65536", &[]),
    setting(LIMITS, "query_parameters", Kind::Integer, "parameters", "of a query", &[]),
    setting(LIMITS, "query_list_length", Kind::Integer, "values", "in one parameter, with commas between them", &[]),
    setting(LIMITS, "request_groups", Kind::Integer, "groups", "of a query for allocation candidates", &[]),
    setting(LIMITS, "candidate_work", Kind::Integer, "steps", "to find the allocation candidates of one query: trees looked at, providers tried; 20 million take about a second", &[]),
    setting(LIMITS, "candidate_time", Kind::Integer, "seconds", "for the search of one query for allocation candidates, once it is its turn; searches run on all cores but one, and users take turns", &[]),
    setting(LIMITS, "candidate_bytes", Kind::Integer, "bytes", "of an answer with allocation candidates", &[]),
    setting(LIMITS, "in_flight_bytes", Kind::Integer, "bytes", "of requests that are arriving and of responses that were not read yet, in all, over REST and gRPC", &[]),
    setting(LIMITS, "in_flight_caller_bytes", Kind::Integer, "bytes", "the same for one caller: a user over REST, a certificate over gRPC", &[]),
    setting(LIMITS, "connections", Kind::Integer, "connections", "to the Placement API; for one more, connections of the caller with the most close", &[]),
    setting(TLS, "certificate", Kind::Text, "file", "the service's certificate for gRPC, and those between it and its authority, in PEM; needs `key` and `client_ca` beside it; [tls.md](tls.md)", &[]),
    setting(TLS, "key", Kind::Text, "file", "the key of that certificate, in PEM", &[]),
    setting(TLS, "client_ca", Kind::Text, "file", "certificates of the authorities whose clients and agents are accepted, in PEM", &[]),
    setting(TLS, "client_crl", Kind::Text, "file", "lists of revoked certificates (CRLs) of these authorities, in PEM; read again when the file changes", &[]),
    setting(KEYSTONE, "auth_url", Kind::Text, "URL", "Keystone, as seen from here; needed with `auth = \"keystone\"`", &[]),
    setting(KEYSTONE, "www_authenticate_uri", Kind::Text, "URL", "Keystone, as seen from clients; `auth_url` if unset", &[]),
    setting(KEYSTONE, "username", Kind::Text, "", "the user for validating tokens", &[]),
    setting(KEYSTONE, "password_file", Kind::Text, "file", "where the user's password stands; needed with `auth = \"keystone\"`", &[]),
    setting(KEYSTONE, "user_domain_name", Kind::Text, "", "the user's domain", &[]),
    setting(KEYSTONE, "project_name", Kind::Text, "", "the project in which the user may validate tokens", &[]),
    setting(KEYSTONE, "project_domain_name", Kind::Text, "", "the project's domain", &[]),
    setting(KEYSTONE, "ca_file", Kind::Text, "file", "certificates of the authorities to trust, in PEM; Mozilla's list if unset", &[]),
    setting(KEYSTONE, "token_cache_time", Kind::Integer, "seconds", "that a validated token is cached, and so the longest that a revoked one is accepted; at least 1", &[]),
    setting(KEYSTONE, "token_cache_entries", Kind::Integer, "tokens", "that are cached; at least 1", &[]),
    setting(KEYSTONE, "timeout", Kind::Integer, "seconds", "that Keystone may take for an answer; at least 1", &[]),
    setting(ETCD, "ca_file", Kind::Text, "file", "certificates of the authorities of etcd's members, in PEM; needed with `etcds://`", &[]),
    setting(ETCD, "certificate", Kind::Text, "file", "the client certificate for etcd, in PEM; needs `key` beside it", &[]),
    setting(ETCD, "key", Kind::Text, "file", "the key of that certificate, in PEM", &[]),
    setting(ETCD, "user", Kind::Text, "", "the user of etcd, where its authentication is enabled; needs `password_file` beside it", &[]),
    setting(ETCD, "password_file", Kind::Text, "file", "where the user's password stands", &[]),
    setting(ETCD, "compact", Kind::Flag, "", "whether the service compacts etcd's history, which is that of all keys of the cluster; `false` where something else does", &[]),
    setting(NOVA_SHADOW, "conf", Kind::Text, "file", "the `nova.conf` of the nova-scheduler that decides while Berth only compares (shadow mode); its `transport_url` has a virtual host of its own; [replace-nova-scheduler.md](replace-nova-scheduler.md#shadow-mode)", &[]),
    setting(NOVA_SHADOW, "timeout", Kind::Integer, "seconds", "that nova-scheduler may take to answer; at least 1", &[]),
    setting(NOVA_SHADOW, "unanswered", Kind::Text, "", "what happens to a request that nova-scheduler does not answer: with `fail`, the caller receives `MessagingTimeout`; with `decide`, Berth decides and claims", &[]),
    setting(NOVA_SHADOW, "records", Kind::Text, "file", "the records of shadow mode, one JSON object a line; if unset, `shadow.jsonl` in the data directory", &[]),
    setting(NOVA_SHADOW, "records_bytes", Kind::Integer, "bytes", "of that file and of the one before it (`.1`), together; at least 1 MiB", &[]),
    setting(FS, "enabled_filters", Kind::List, "", "filters, in the order in which they run", &[(D, "scheduler_default_filters")]),
    setting(FS, "weight_classes", Kind::List, "", "weighers, in the order in which their scores are added, as in Nova: `nova.scheduler.weights.all_weighers` or `nova.scheduler.weights.ram.RAMWeigher`", &[(D, "scheduler_weight_classes")]),
    setting(FS, "host_subset_size", Kind::Integer, "hosts", "one of this many best hosts is drawn at random; at least 1", &[(D, "scheduler_host_subset_size")]),
    setting(FS, "shuffle_best_same_weighed_hosts", Kind::Flag, "", "whether the hosts that share the best weight are shuffled", &[]),
    setting(FS, "max_io_ops_per_host", Kind::Integer, "operations", "I/O operations (builds, resizes, snapshots, …) at which a host takes no more instances", &[(D, "max_io_ops_per_host")]),
    setting(FS, "max_instances_per_host", Kind::Integer, "instances", "instances at which a host takes no more", &[(D, "max_instances_per_host")]),
    setting(FS, "track_instance_changes", Kind::Flag, "", "whether hosts report their instances to the scheduler", &[(D, "scheduler_tracks_instance_changes")]),
    setting(FS, "isolated_hosts", Kind::List, "", "hosts kept for isolated images", &[(D, "isolated_hosts")]),
    setting(FS, "isolated_images", Kind::List, "", "ids of the images that need isolated hosts", &[(D, "isolated_images")]),
    setting(FS, "restrict_isolated_hosts_to_isolated_images", Kind::Flag, "", "whether isolated hosts take isolated images only", &[(D, "restrict_isolated_hosts_to_isolated_images")]),
    setting(FS, "image_properties_default_architecture", Kind::Text, "", "the architecture of images that name none", &[]),
    setting(FS, "aggregate_image_properties_isolation_namespace", Kind::Text, "", "when set, only metadata keys with this prefix isolate images", &[(D, "aggregate_image_properties_isolation_namespace")]),
    setting(FS, "aggregate_image_properties_isolation_separator", Kind::Text, "", "what stands between that prefix and the property", &[(D, "aggregate_image_properties_isolation_separator")]),
    setting(FS, "pci_in_placement", Kind::Flag, "", "whether Placement tracks PCI devices", &[]),
    setting(FS, "cpu_weight_multiplier", Kind::Number, "", "weight of free vCPUs; negative packs", &[(D, "cpu_weight_multiplier")]),
    setting(FS, "ram_weight_multiplier", Kind::Number, "", "weight of free memory; negative packs", &[(D, "ram_weight_multiplier")]),
    setting(FS, "disk_weight_multiplier", Kind::Number, "", "weight of free disk; negative packs", &[(D, "disk_weight_multiplier")]),
    setting(FS, "hypervisor_version_weight_multiplier", Kind::Number, "", "weight of the hypervisor's version; negative prefers old ones", &[]),
    setting(FS, "num_instances_weight_multiplier", Kind::Number, "", "weight of the number of instances; negative spreads", &[]),
    setting(FS, "io_ops_weight_multiplier", Kind::Number, "", "weight of I/O operations; negative prefers idle hosts", &[(D, "io_ops_weight_multiplier")]),
    setting(FS, "pci_weight_multiplier", Kind::Number, "", "weight of free PCI devices; not negative", &[(D, "pci_weight_multiplier")]),
    setting(FS, "soft_affinity_weight_multiplier", Kind::Number, "", "weight of soft-affinity groups; not negative", &[(D, "soft_affinity_weight_multiplier")]),
    setting(FS, "soft_anti_affinity_weight_multiplier", Kind::Number, "", "weight of soft-anti-affinity groups; not negative", &[(D, "soft_anti_affinity_weight_multiplier")]),
    setting(FS, "build_failure_weight_multiplier", Kind::Number, "", "how much failed builds count against a host", &[]),
    setting(FS, "cross_cell_move_weight_multiplier", Kind::Number, "", "weight of the instance's own cell when it moves", &[]),
    setting(FS, "image_props_weight_multiplier", Kind::Number, "", "weight of image properties shared with instances of the host; 0 switches it off", &[]),
    setting(FS, "lifetime_weight_multiplier", Kind::Number, "", "weight of `LifetimeWeigher`, which Nova does not have; [packing.md](packing.md)", &[]),
    setting(FS, "image_props_weight_setting", Kind::List, "`property=ratio`", "how much each image property counts", &[]),
    setting("scheduler", "driver", Kind::Text, "", "`filter_scheduler`, `caching_scheduler` or `chance_scheduler`", &[(D, "scheduler_driver")]),
    setting("scheduler", "max_attempts", Kind::Integer, "attempts", "how often a build is tried: the chosen host and alternates; at least 1", &[(D, "scheduler_max_attempts")]),
    setting("scheduler", "max_placement_results", Kind::Integer, "candidates", "the most allocation candidates that are looked at; at least 1", &[]),
    setting("scheduler", "workers", Kind::Integer, "threads", "workers; unset means one for each CPU", &[]),
    setting("scheduler", "discover_hosts_in_cells_interval", Kind::Integer, "seconds", "between searches for new hosts; -1 for never", &[]),
    setting("scheduler", "limit_tenants_to_placement_aggregate", Kind::Flag, "", "whether the aggregates of a project (`filter_tenant_id…`) limit where its instances go", &[]),
    setting("scheduler", "placement_aggregate_required_for_tenants", Kind::Flag, "", "whether a project without aggregates may go nowhere then", &[]),
    setting("scheduler", "query_placement_for_image_type_support", Kind::Flag, "", "whether hosts have to support the image's disk format", &[]),
    setting("scheduler", "enable_isolated_aggregate_filtering", Kind::Flag, "", "whether aggregates with `trait:…=required` keep out what does not ask for the trait", &[]),
    setting("scheduler", "image_metadata_prefilter", Kind::Flag, "", "whether image properties become required traits", &[]),
    setting("scheduler", "query_placement_for_routed_network_aggregates", Kind::Flag, "", "whether the segments of routed networks limit where instances go", &[]),
    setting("metrics", "weight_multiplier", Kind::Number, "", "weight of metrics", &[]),
    setting("metrics", "weight_setting", Kind::List, "`metric=ratio`", "how much each metric counts", &[]),
    setting("metrics", "required", Kind::Flag, "", "whether a host without one of the metrics fails the request", &[]),
    setting("metrics", "weight_of_unavailable", Kind::Number, "", "what such a host weighs otherwise", &[]),
    setting("compute", "packing_host_numa_cells_allocation_strategy", Kind::Flag, "", "whether the fullest NUMA cells of a host come first", &[]),
    setting("workarounds", "disable_fallback_pcpu_query", Kind::Flag, "", "whether hosts that report dedicated CPUs as `VCPU` are left out for pinned instances", &[]),
    setting(D, "service_down_time", Kind::Integer, "seconds", "without a report, after which a host counts as down", &[]),
    setting(D, "report_interval", Kind::Integer, "seconds", "between two reports of a host", &[]),
    setting(D, "cpu_allocation_ratio", Kind::Number, "", "vCPUs for each CPU of hosts with agents, whatever their agents report; unset or 0 leaves it to the host", &[]),
    setting(D, "ram_allocation_ratio", Kind::Number, "", "overcommitment of memory, likewise", &[]),
    setting(D, "disk_allocation_ratio", Kind::Number, "", "overcommitment of disk, likewise", &[]),
    setting(D, "initial_cpu_allocation_ratio", Kind::Number, "", "vCPUs for each CPU of a new host whose agent reports no ratio; above 0", &[]),
    setting(D, "initial_ram_allocation_ratio", Kind::Number, "", "overcommitment of memory of a new host whose agent reports no ratio; above 0", &[]),
    setting(D, "initial_disk_allocation_ratio", Kind::Number, "", "overcommitment of disk of a new host whose agent reports no ratio; above 0", &[]),
    setting(D, "allow_resize_to_same_host", Kind::Flag, "", "whether a resize may leave an instance on its host", &[]),
    setting(D, "resize_confirm_window", Kind::Integer, "seconds", "after which a resize or migration that waits for its confirmation is confirmed; 0 for never", &[]),
    setting(D, "max_concurrent_live_migrations", Kind::Integer, "live migrations", "that a host sends at a time; others wait; 0 for no limit", &[]),
    setting(D, "default_availability_zone", Kind::Text, "", "the zone of hosts that are in none", &[]),
    setting(D, "long_rpc_timeout", Kind::Integer, "seconds", "that a whole scheduling call may take", &[]),
    setting(D, "rpc_response_timeout", Kind::Integer, "seconds", "within which a call has to show signs of life", &[]),
];

/// Options of `nova.conf` that have no setting, and what an operator should know about each.
#[rustfmt::skip] // a table
pub(super) const WITHOUT_SETTING: &[(&str, &str, &str)] = &[
    (FS, "available_filters", "Berth's filters are built in; name those wanted in enabled_filters"),
    (D, "scheduler_available_filters", "Berth's filters are built in; name those wanted in enabled_filters"),
    (D, "scheduler_host_manager", "Berth has one host manager"),
    ("scheduler", "host_manager", "Berth has one host manager"),
    (D, "scheduler_driver_task_period", "Berth follows changes as they happen"),
    ("scheduler", "periodic_task_interval", "Berth follows changes as they happen"),
    (D, "scheduler_manager", "Berth has one scheduler manager"),
    (D, "scheduler_topic", "Berth listens on the topic that Nova's RPC names"),
    (D, "scheduler_json_config_location", "filters take no JSON file"),
    (D, "scheduler_use_baremetal_filters", "Ironic nodes are scheduled by resource classes and traits"),
    (D, "baremetal_scheduler_default_filters", "Ironic nodes are scheduled by resource classes and traits"),
    (FS, "use_baremetal_filters", "Ironic nodes are scheduled by resource classes and traits"),
    (FS, "baremetal_enabled_filters", "Ironic nodes are scheduled by resource classes and traits"),
    ("scheduler", "query_placement_for_availability_zone", "always on, as in recent Nova"),
];

const NO_EFFECT: &str = "without effect: nothing in Berth reads it yet";
const OF_COMPUTE_HOSTS: &str =
    "for all hosts with agents: Nova reads it in the nova.conf of each compute host";

/// What an operator should know about settings that are carried over.
#[rustfmt::skip] // a table
pub(super) const REMARKS: &[(&str, &str, &str)] = &[
    (FS, "track_instance_changes", NO_EFFECT),
    (FS, "pci_in_placement", NO_EFFECT),
    ("scheduler", "workers", NO_EFFECT),
    ("scheduler", "discover_hosts_in_cells_interval", "needs grants of its own: docs/replace-nova-scheduler.md"),
    (D, "long_rpc_timeout", NO_EFFECT),
    (D, "rpc_response_timeout", NO_EFFECT),
    (D, "cpu_allocation_ratio", OF_COMPUTE_HOSTS),
    (D, "ram_allocation_ratio", OF_COMPUTE_HOSTS),
    (D, "disk_allocation_ratio", OF_COMPUTE_HOSTS),
    (D, "initial_cpu_allocation_ratio", OF_COMPUTE_HOSTS),
    (D, "initial_ram_allocation_ratio", OF_COMPUTE_HOSTS),
    (D, "initial_disk_allocation_ratio", OF_COMPUTE_HOSTS),
];

/// Filters that Nova had once and Berth has not, and what does their work now.
#[rustfmt::skip] // a table
pub(super) const FORMER_FILTERS: &[(&str, &str)] = &[
    ("ExactCoreFilter", "Ironic nodes are scheduled by resource classes"),
    ("ExactRamFilter", "Ironic nodes are scheduled by resource classes"),
    ("ExactDiskFilter", "Ironic nodes are scheduled by resource classes"),
    ("TypeAffinityFilter", "use AggregateTypeAffinityFilter"),
    ("TrustedFilter", "ask for traits instead"),
];

/// The settings as the tables of docs/configuration.md.
pub(super) fn reference() -> String {
    let defaults = Settings::default();
    let mut out = String::new();
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            let table = setting.table();
            let _ = write!(
                out,
                "\n### `[{table}]`\n\n| setting | meaning | unit | default |\n|---|---|---|---|\n"
            );
        }
        let default =
            value_text(&defaults, setting).map_or_else(|| "unset".to_owned(), |value| format!("`{value}`"));
        let _ = writeln!(out, "| `{}` | {} | {} | {default} |", setting.name, setting.meaning, setting.unit);
    }
    out
}
