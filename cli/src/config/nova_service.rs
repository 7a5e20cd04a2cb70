//! `nova.conf` of nova-scheduler: where bus and databases are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use berth_nova_database::{DatabaseUrl, Intervals};
use berth_nova_rpc::transport::{Broker, BusCertificates, BusOptions, RabbitOptions, TransportUrl};
use berth_nova_scheduler::{NovaSettings, ShadowSettings};
use berth_process::bounded_file;
use serde_json::Value;

use super::nova_conf::NovaConf;
use super::nova_placement::remote_placement;
use super::serve::NovaShadowTable;
use super::{ServeSettings, lifetimes, options_of, read_nova_conf};

const RABBIT: &str = "oslo_messaging_rabbit";

/// What Berth needs to take nova-scheduler's place; nothing if it is not to take it. `data` is the
/// data directory, `host` the name of this host, where the file has none.
pub(crate) fn nova_settings(
    serve: &ServeSettings,
    data: Option<&Path>,
    host: impl FnOnce() -> Result<String>,
    seed: u64,
) -> Result<Option<NovaSettings>> {
    let Some(file) = &serve.nova_conf else { return Ok(None) };
    let conf = Conf(read_nova_conf(file)?);
    let cell_timeout = Duration::from_secs(serve.nova_cell_timeout);
    let grace = Duration::from_secs(serve.shutdown_timeout);
    let options = berth_scheduler::Options { lifetimes: lifetimes(serve)?, ..options_of(&conf.0, file)? };
    let settings = read(&conf, host, cell_timeout, grace, seed, options)
        .with_context(|| format!("serve.nova_conf: {}", file.display()))?;
    let remote = serve.placement_url.as_deref().map(|url| remote_placement(&conf, url)).transpose();
    let placement = remote.with_context(|| format!("serve.nova_conf: {}", file.display()))?;
    let shadow = shadow_settings(&serve.nova_shadow, &settings.bus, data)?;
    // In shadow mode, the other scheduler does it.
    let discover_hosts = settings.discover_hosts.filter(|_| shadow.is_none());
    Ok(Some(NovaSettings { placement, shadow, discover_hosts, ..settings }))
}

/// Shadow mode, if there is a nova-scheduler to compare with.
fn shadow_settings(
    table: &NovaShadowTable,
    own: &BusOptions,
    data: Option<&Path>,
) -> Result<Option<ShadowSettings>> {
    let Some(file) = &table.conf else { return Ok(None) };
    let read = || {
        let bus = bus(&Conf(read_nova_conf(file)?), own.host.clone())?;
        if is_same_bus(&bus, own) {
            bail!(
                "[DEFAULT] transport_url: is the bus of serve.nova_conf; in shadow mode nova-scheduler needs a virtual host of its \
                 own, because both serve the same topic"
            );
        }
        Ok(bus)
    };
    let bus = read().with_context(|| format!("serve.nova_shadow.conf: {}", file.display()))?;
    let records = match (&table.records, data) {
        (Some(records), _) => records.clone(),
        (None, Some(data)) => data.join("shadow.jsonl"),
        (None, None) => bail!("serve.nova_shadow.records: is needed with serve.data = \"none\""),
    };
    Ok(Some(ShadowSettings {
        bus,
        patience: Duration::from_secs(table.timeout),
        unanswered: table.unanswered.into(),
        records,
        records_bytes: table.records_bytes,
    }))
}

/// Whether a message to a topic of one reaches servers on the other.
fn is_same_bus(one: &BusOptions, other: &BusOptions) -> bool {
    let address = |broker: &Broker| (broker.host.clone(), broker.port);
    let known: Vec<_> = other.url.brokers.iter().map(address).collect();
    one.url.virtual_host == other.url.virtual_host
        && one.url.brokers.iter().any(|broker| known.contains(&address(broker)))
}

fn read(
    conf: &Conf,
    host: impl FnOnce() -> Result<String>,
    cell_timeout: Duration,
    grace: Duration,
    seed: u64,
    options: berth_scheduler::Options,
) -> Result<NovaSettings> {
    let host = match conf.text("DEFAULT", "host")? {
        Some(host) => host,
        None => host()?,
    };
    let discover_hosts = discovery(options.scheduler.discover_hosts_in_cells_interval);
    let report_interval = u64::try_from(options.general.report_interval).unwrap_or(0).max(1);
    let database = conf.text("database", "connection")?;
    let database = database
        .map(|text| {
            let url = DatabaseUrl::parse(&text).map_err(|error| anyhow!("[database] connection: {error}"))?;
            Ok::<_, anyhow::Error>((text, url))
        })
        .transpose()?;
    let api = conf.needed("api_database", "connection")?;
    let api_database =
        DatabaseUrl::parse(&api).map_err(|error| anyhow!("[api_database] connection: {error}"))?;
    Ok(NovaSettings {
        options,
        bus: bus(conf, host)?,
        api_database,
        database,
        cell_timeout,
        intervals: Intervals::default(),
        discover_hosts,
        report_interval: Duration::from_secs(report_interval),
        grace,
        placement: None,
        shadow: None,
        seed,
    })
}

/// How often new hosts are mapped: with 0, as often as a periodic task of Nova without an interval.
fn discovery(seconds: i64) -> Option<Duration> {
    let seconds = u64::try_from(seconds).ok()?;
    Some(Duration::from_secs(if seconds == 0 { 60 } else { seconds }))
}

fn bus(conf: &Conf, host: String) -> Result<BusOptions> {
    let url = conf.needed("DEFAULT", "transport_url")?;
    let url = TransportUrl::parse(&url).map_err(|error| anyhow!("[DEFAULT] transport_url: {error}"))?;
    let rabbit = rabbit(conf, &url)?;
    rabbit.validate()?;
    let exchange = conf.text("DEFAULT", "control_exchange")?.unwrap_or_else(|| "nova".to_owned());
    let tls = if rabbit.ssl { Some(tls(&rabbit)?) } else { None };
    Ok(BusOptions { url, rabbit, exchange, topic: "scheduler".to_owned(), host, tls })
}

/// The options of the section, each read as its default is: a flag, a number or a text. Options
/// behind the question mark of the URL precede, as with oslo.messaging.
fn rabbit(conf: &Conf, url: &TransportUrl) -> Result<RabbitOptions> {
    let Value::Object(mut options) = serde_json::to_value(RabbitOptions::default())? else {
        bail!("the options are no object");
    };
    for (name, value) in &mut options {
        let in_url = url.query.iter().find(|(known, _)| known == name);
        let (place, text) = match (in_url, conf.text(RABBIT, name)?) {
            (Some((_, text)), _) => ("[DEFAULT] transport_url", text.clone()),
            (None, Some(text)) => ("[oslo_messaging_rabbit]", text),
            (None, None) => continue,
        };
        let wrong = |kind: &str| anyhow!("{place} {name}: '{text}' is not {kind}");
        *value = match value {
            Value::Bool(_) => match text.trim().to_lowercase().as_str() {
                "true" | "1" | "on" | "yes" => Value::Bool(true),
                "false" | "0" | "off" | "no" => Value::Bool(false),
                _ => return Err(wrong("true or false")),
            },
            Value::Number(_) => {
                let number: f64 = text.trim().parse().map_err(|_| wrong("a number"))?;
                #[expect(clippy::cast_possible_truncation, reason = "fractions of seconds do not count")]
                Value::from(number as i64)
            }
            _ => Value::String(text),
        };
    }
    serde_path_to_error::deserialize(Value::Object(options)).map_err(|error| anyhow!("[{RABBIT}] {error}"))
}

fn tls(rabbit: &RabbitOptions) -> Result<BusCertificates> {
    let read = |option: &str, file: &str| {
        let file = PathBuf::from(file);
        bounded_file::read(&file, bounded_file::SETTINGS)
            .with_context(|| format!("[{RABBIT}] {option}: cannot read {}", file.display()))
    };
    let given = |text: &str| !text.is_empty();
    let authorities =
        given(&rabbit.ssl_ca_file).then(|| read("ssl_ca_file", &rabbit.ssl_ca_file)).transpose()?;
    let authorities = authorities.map(String::from_utf8).transpose().context("ssl_ca_file is not UTF-8")?;
    let identity = if given(&rabbit.ssl_cert_file) {
        Some((read("ssl_cert_file", &rabbit.ssl_cert_file)?, read("ssl_key_file", &rabbit.ssl_key_file)?))
    } else {
        None
    };
    Ok(BusCertificates { authorities, identity })
}

pub(super) struct Conf(pub(super) NovaConf);

impl Conf {
    /// The value of an option with what it refers to.
    pub(super) fn text(&self, section: &str, key: &str) -> Result<Option<String>> {
        let Some(assignment) = self.0.get(section, key) else { return Ok(None) };
        let expanded = self.0.expand(section, &assignment.value);
        let expanded = expanded
            .map_err(|name| anyhow!("[{section}] {key}: it refers to ${name}, which has no value"))?;
        Ok(Some(expanded).filter(|text| !text.is_empty()))
    }

    pub(super) fn needed(&self, section: &str, key: &str) -> Result<String> {
        self.text(section, key)?.with_context(|| format!("[{section}] {key}: is needed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<NovaSettings> {
        let conf = Conf(NovaConf::parse(text).expect("a nova.conf"));
        let second = Duration::from_secs(1);
        read(&conf, || Ok("here".to_owned()), second, second, 0, berth_scheduler::Options::default())
    }

    const LEAST: &str = "[DEFAULT]\ntransport_url = rabbit://u:p$$w@h:5673/\n[api_database]\n\
                         connection = mysql+pymysql://u:secret@db/nova_api\n";

    #[test]
    fn bus_and_databases_are_read() {
        let least = settings(LEAST).expect("reads");
        assert_eq!((least.bus.host.as_str(), least.bus.exchange.as_str()), ("here", "nova"));
        assert_eq!(least.bus.url.brokers[0].password, "p$w");
        assert!(least.database.is_none() && least.bus.tls.is_none());
        let more = format!(
            "{LEAST}[database]\nconnection = mysql://u@db/nova_cell0\n[oslo_messaging_rabbit]\nrabbit_quorum_queue = True\n\
             heartbeat_timeout_threshold = 30\nrabbit_retry_interval=1.5\nhostname = sched\nsomething_else = 1\n"
        );
        let more = settings(&more).expect("reads");
        let rabbit = &more.bus.rabbit;
        assert!(rabbit.rabbit_quorum_queue && rabbit.is_durable() && more.database.is_some());
        assert_eq!((rabbit.heartbeat_timeout_threshold, rabbit.rabbit_retry_interval), (30, 1));
        assert_eq!(rabbit.hostname.as_deref(), Some("sched"));
    }

    /// OpenStack-Ansible writes options of encrypted connections into the URL.
    #[test]
    fn options_of_the_url_precede_those_of_the_section() {
        let url = |query: &str| {
            format!(
                "{LEAST}[oslo_messaging_rabbit]\nrabbit_retry_backoff = 5\nheartbeat_timeout_threshold = 30\n"
            )
            .replace("h:5673/", &format!("h:5673//nova?{query}"))
        };
        let bus = settings(&url("ssl=1&heartbeat_timeout_threshold=15")).expect("reads").bus;
        assert!(bus.tls.is_some() && bus.rabbit.ssl);
        assert_eq!((bus.rabbit.heartbeat_timeout_threshold, bus.rabbit.rabbit_retry_backoff), (15, 5));
        assert_eq!(bus.url.virtual_host, "/nova");
        let problem = format!("{:#}", settings(&url("ssl=maybe")).expect_err("is refused"));
        assert!(problem.contains("[DEFAULT] transport_url ssl: 'maybe'"), "{problem}");
    }

    #[test]
    fn hosts_are_discovered_where_an_interval_is_set() {
        assert_eq!(
            [-1, 0, 300].map(discovery),
            [None, Some(60), Some(300)].map(|one| one.map(Duration::from_secs))
        );
        assert_eq!(settings(LEAST).expect("reads").discover_hosts, None, "the default is -1");
    }

    #[test]
    fn the_nova_scheduler_of_shadow_mode_has_a_virtual_host_of_its_own() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("nova.conf");
        let own = settings(LEAST).expect("reads").bus;
        let shadow = |url: &str, records: Option<PathBuf>, data: Option<&Path>| {
            let conf = format!("[DEFAULT]\ntransport_url = rabbit://{url}\n");
            std::fs::write(&file, conf).expect("is written");
            let table = NovaShadowTable { conf: Some(file.clone()), records, ..NovaShadowTable::default() };
            shadow_settings(&table, &own, data)
        };
        let data = Some(Path::new("/data"));
        let settings = shadow("u:secret@h:5673/shadow", None, data).expect("reads").expect("is on");
        assert_eq!(
            (settings.records, settings.patience),
            (PathBuf::from("/data/shadow.jsonl"), Duration::from_secs(1_800))
        );
        let problem = format!("{:#}", shadow("u:secret@h:5673/", None, data).expect_err("is refused"));
        assert!(problem.contains("transport_url") && problem.contains("virtual host"), "{problem}");
        assert!(!problem.contains("secret"), "{problem}");
        let problem = shadow("h:5673/shadow", None, None).expect_err("is refused").to_string();
        assert!(problem.contains("serve.nova_shadow.records"), "{problem}");
        assert!(shadow("h:5673/shadow", Some("/r".into()), None).expect("reads").is_some());
        assert!(shadow_settings(&NovaShadowTable::default(), &own, None).expect("reads").is_none());
    }

    #[test]
    fn errors_name_the_option_and_no_password() {
        let problem = |text: &str| format!("{:#}", settings(text).expect_err("is refused"));
        assert!(problem("[DEFAULT]\n").contains("[api_database] connection"));
        assert!(
            problem("[api_database]\nconnection = mysql://u:secret@db/n\n")
                .contains("[DEFAULT] transport_url")
        );
        let wrong =
            problem("[api_database]\nconnection = sqlite://u:secret@db/n\n[DEFAULT]\ntransport_url = x\n");
        assert!(wrong.contains("[api_database] connection") && !wrong.contains("secret"), "{wrong}");
        let wrong = problem(&format!("{LEAST}[oslo_messaging_rabbit]\nrabbit_quorum_queue = maybe\n"));
        assert!(wrong.contains("[oslo_messaging_rabbit] rabbit_quorum_queue: 'maybe'"), "{wrong}");
        let wrong = problem(&format!("{LEAST}[oslo_messaging_rabbit]\nrabbit_stream_fanout = true\n"));
        assert!(wrong.contains("rabbit_qos_prefetch_count"), "{wrong}");
    }
}
