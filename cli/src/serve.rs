//! `berth serve`: the Placement API over HTTP, and the services of `berth.v1` over gRPC.

mod nova_scheduler;
mod reload;
mod tls;

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use berth_nova_scheduler::NovaSettings;
use berth_process::bounded_file;
use berth_process::log::{self, LogControl, LogFilter, Terminal};
use berth_process::supervisor;
use berth_scheduler::options::LifetimeFile;
use berth_server::{
    AccessPolicy, Auth, Control, Cors, DataDir, EtcdHome, FleetOptions, Grpc, Keeper, Keystone,
    KeystoneSettings, LiveLimits, Secret, Server, Service, ServiceOptions, StartError, Tls, TrustedProxies,
    keep_freed_memory, raise_file_limit,
};
use berth_store::{DataError, DurabilityMode, DurabilityOptions, EtcdStoreOptions};
use clap::Args;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use reload::Reload;

use crate::config::{self, AuthChoice, KeystoneTable, LogFormat, ServeSettings, Settings, Sources};
use crate::{BUILD, Ending, environment, etcd, output, store};

/// Serve the OpenStack Placement API, microversions 1.0 to 1.39, and gRPC.
#[derive(Args, Clone)]
#[command(after_help = "\
Every option is also a setting of the configuration, below [serve]: docs/configuration.md. Acknowledged changes are
on disk and survive crashes of the process and the machine: docs/durability.md.")]
pub(crate) struct Serve {
    /// Address to listen on [default: 127.0.0.1:8778]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address to listen on for gRPC [default: 127.0.0.1:8779]
    #[arg(long, value_name = "ADDR")]
    grpc_listen: Option<String>,
    /// Certificate for gRPC in PEM; requires --tls-key and --tls-client-ca
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,
    /// Key of that certificate, in PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Certificates of the authorities whose gRPC clients are accepted, in PEM
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<String>,
    /// Data directory, or `none` to keep the state in memory only [default: ~/.local/state/berth]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The state in etcd instead of a data directory: etcd://HOST:PORT,…/PREFIX (etcds:// with TLS)
    #[arg(long, value_name = "LOCATION", conflicts_with_all = ["data", "init"])]
    store: Option<String>,
    /// Create an empty store where the directory's store is missing
    #[arg(long)]
    init: bool,
    /// Whether a response waits until its changes are on disk [default: strict]
    #[arg(long, value_name = "strict|relaxed")]
    durability: Option<String>,
    /// Certificates that are revoked, as lists (CRLs) in PEM; read again when the file changes
    #[arg(long, value_name = "FILE")]
    tls_client_crl: Option<String>,
    /// How to authenticate requests; noauth2 trusts their headers, and needs a loopback address
    /// [default: noauth2]
    #[arg(long, value_name = "noauth2|keystone")]
    auth: Option<String>,
    /// The policy: a default, or a policy file that overrides rules of `legacy` [default: legacy]
    #[arg(long, value_name = "legacy|secure|FILE")]
    policy: Option<String>,
    /// An origin whose pages may call the API, as scheme://host (may be repeated)
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<String>,
    /// The nova.conf of nova-scheduler: take its place on Nova's message bus
    #[arg(long, value_name = "FILE")]
    nova_conf: Option<String>,
    /// With --nova-conf: another Placement service for candidates and claims [default: the one in
    /// this process]
    #[arg(long, value_name = "URL")]
    placement_url: Option<String>,
    /// The format of the log [default: text]
    #[arg(long, value_name = "text|json")]
    log_format: Option<String>,
    /// Print the rules of the policy as a policy file and exit
    #[arg(long)]
    print_policy: bool,
    #[command(flatten)]
    sources: Sources,
}

impl Serve {
    pub(crate) fn run(self) -> Result<Ending> {
        let started = self.settings()?;
        let Settings { serve: settings, nova } = started.clone();
        if self.print_policy {
            return print(&policy(&settings.policy)?);
        }
        let Inputs { log, policy, auth, tls, nova_scheduler, lifetimes, data, etcd } =
            Inputs::read(&settings).map_err(first)?;
        let log = start_log(log, settings.log_format);
        keep_freed_memory();
        let files = raise_file_limit();
        tracing::debug!(files, "files and connections that may be open");
        let options = ServiceOptions {
            auth,
            policy,
            cors: Cors { allowed_origins: settings.cors_origins.clone() },
            trusted_proxies: TrustedProxies::new(&settings.trusted_proxies)?,
            limits: settings.limits.limits(),
            candidates: settings.candidates.options(),
            public_url: settings.public_url.clone(),
            fleet: FleetOptions {
                trust_on_first_use: settings.trust_agents_on_first_use,
                live_limits: LiveLimits {
                    per_source: nova.general.max_concurrent_live_migrations,
                    per_target: settings.live_migrations_per_target,
                    total: settings.live_migrations,
                },
                ..fleet_options(berth_scheduler::Options { lifetimes, ..nova })
            },
            fence_command: settings.fence_command.clone(),
            build: BUILD,
        };
        let (service, keeper) = load(&settings, data.as_deref(), etcd, options, self.init)?;
        let reload = Reload { options: self, started, log, tls: tls.clone(), service: Arc::clone(&service) };
        let runtime = Builder::new_multi_thread().enable_all().build().context("cannot start the threads")?;
        let served = runtime.block_on(serve(
            &settings,
            tls.as_ref(),
            nova_scheduler,
            data.as_deref(),
            service,
            reload,
        ));
        // Requests that did not finish in time end here. A computation gets one more second: no
        // client sees what it changes after that.
        runtime.shutdown_timeout(Duration::from_secs(1));
        if let Some(keeper) = keeper {
            keeper.stop();
        }
        served.map(|()| Ending::Complete)
    }

    /// The settings in effect.
    fn settings(&self) -> Result<Settings> {
        let this = self.clone();
        let cors = (!this.cors_origin.is_empty()).then(|| this.cors_origin.join(","));
        let options = [
            ("--listen", "serve.listen", this.listen),
            ("--grpc-listen", "serve.grpc_listen", this.grpc_listen),
            ("--tls-certificate", "serve.tls.certificate", this.tls_certificate),
            ("--tls-key", "serve.tls.key", this.tls_key),
            ("--tls-client-ca", "serve.tls.client_ca", this.tls_client_ca),
            ("--tls-client-crl", "serve.tls.client_crl", this.tls_client_crl),
            ("--data", "serve.data", this.data),
            ("--store", "serve.store", this.store),
            ("--durability", "serve.durability", this.durability),
            ("--auth", "serve.auth", this.auth),
            ("--policy", "serve.policy", this.policy),
            ("--cors-origin", "serve.cors_origins", cors),
            ("--nova-conf", "serve.nova_conf", this.nova_conf),
            ("--placement-url", "serve.placement_url", this.placement_url),
            ("--log-format", "serve.log_format", this.log_format),
        ];
        let given = options.into_iter().filter_map(|(option, path, text)| Some((option, path, text?)));
        this.sources.settings(given.collect())
    }
}

/// What `berth serve` reads before it opens its store and its ports.
struct Inputs {
    log: LogFilter,
    policy: AccessPolicy,
    auth: Auth,
    tls: Option<Tls>,
    nova_scheduler: Option<NovaSettings>,
    lifetimes: Arc<LifetimeFile>,
    /// The data directory; none if the state is in etcd or stays in memory.
    data: Option<PathBuf>,
    /// The state in etcd.
    etcd: Option<EtcdStoreOptions>,
}

impl Inputs {
    /// # Errors
    /// Everything that is missing or wrong, each with its setting; never an empty list.
    fn read(settings: &ServeSettings) -> Result<Self, Vec<anyhow::Error>> {
        let log = log_filter(settings);
        let policy = policy(&settings.policy);
        let auth = auth(settings);
        let tls = tls::read(&settings.tls).and_then(|tls| {
            let checked = Grpc::check_address(settings.grpc_listen, tls.as_ref());
            checked.map(|()| tls).map_err(tls::advised)
        });
        let data = directory(settings);
        let beside = data.as_ref().ok().and_then(Option::as_deref);
        let nova_scheduler = nova_scheduler::settings(settings, beside);
        let lifetimes = config::lifetimes(settings);
        let etcd = etcd::store(settings);
        match (log, policy, auth, tls, nova_scheduler, lifetimes, data, etcd) {
            (
                Ok(log),
                Ok(policy),
                Ok(auth),
                Ok(tls),
                Ok(nova_scheduler),
                Ok(lifetimes),
                Ok(data),
                Ok(etcd),
            ) => Ok(Self { log, policy, auth, tls, nova_scheduler, lifetimes, data, etcd }),
            (log, policy, auth, tls, nova_scheduler, lifetimes, data, etcd) => {
                // With lifetimes that cannot be read, those for nova-scheduler cannot either.
                let nova_scheduler = nova_scheduler.err().filter(|_| lifetimes.is_ok());
                let problems = [log.err(), policy.err(), auth.err(), tls.err(), data.err(), lifetimes.err()];
                Err(problems.into_iter().chain([nova_scheduler, etcd.err()]).flatten().collect())
            }
        }
    }
}

/// Everything that `berth serve` would refuse in these settings, with the names of the settings.
pub(crate) fn problems(settings: &Settings) -> Vec<String> {
    let problems = Inputs::read(&settings.serve).err().unwrap_or_default();
    problems.iter().map(|problem| format!("{problem:#}")).collect()
}

fn first(problems: Vec<anyhow::Error>) -> anyhow::Error {
    problems.into_iter().next().expect("inputs that cannot be read have a problem")
}

fn log_filter(settings: &ServeSettings) -> Result<LogFilter> {
    match std::env::var(environment::LOG) {
        Ok(filter) => filter.parse().context(environment::LOG),
        Err(_) => settings.log.parse().context("serve.log"),
    }
}

fn start_log(filter: LogFilter, format: LogFormat) -> LogControl {
    let format = match format {
        LogFormat::Text => log::LogFormat::Text,
        LogFormat::Json => log::LogFormat::Json,
    };
    log::start(filter, format, &Terminal::of_environment())
}

fn policy(choice: &str) -> Result<AccessPolicy> {
    match choice {
        "legacy" => Ok(AccessPolicy::legacy()),
        "secure" => Ok(AccessPolicy::secure()),
        file => {
            let text = bounded_file::read_to_string(file.as_ref(), bounded_file::SETTINGS);
            let text = text.with_context(|| format!("serve.policy: cannot read {file}"))?;
            AccessPolicy::legacy().overridden(&text).with_context(|| format!("serve.policy: {file}"))
        }
    }
}

fn auth(settings: &ServeSettings) -> Result<Auth> {
    match settings.auth {
        AuthChoice::Noauth2 => Ok(Auth::Noauth2),
        AuthChoice::Keystone => {
            let keystone = Keystone::new(&keystone(&settings.keystone)?);
            Ok(Auth::Keystone(Arc::new(keystone.map_err(|error| anyhow!("serve.keystone.{error}"))?)))
        }
    }
}

fn keystone(table: &KeystoneTable) -> Result<KeystoneSettings> {
    let needed = |setting| format!("serve.keystone.{setting}: is needed with serve.auth = \"keystone\"");
    let read = |setting: &str, file: &PathBuf| {
        bounded_file::read_to_string(file, bounded_file::SETTINGS)
            .with_context(|| format!("serve.keystone.{setting}: cannot read {}", file.display()))
    };
    let password_file = table.password_file.as_ref().with_context(|| needed("password_file"))?;
    let password = read("password_file", password_file)?;
    Ok(KeystoneSettings {
        auth_url: table.auth_url.clone().with_context(|| needed("auth_url"))?,
        www_authenticate_uri: table.www_authenticate_uri.clone(),
        username: table.username.clone(),
        password: Secret(password.trim_end_matches(['\r', '\n']).to_owned()),
        user_domain_name: table.user_domain_name.clone(),
        project_name: table.project_name.clone(),
        project_domain_name: table.project_domain_name.clone(),
        ca_certificates: table.ca_file.as_ref().map(|file| read("ca_file", file)).transpose()?,
        cache_time: Duration::from_secs(table.token_cache_time),
        cache_entries: NonZeroUsize::new(table.token_cache_entries)
            .context("serve.keystone.token_cache_entries: is less than 1")?,
        timeout: Duration::from_secs(table.timeout),
    })
}

/// The heartbeat interval and the down time of agents are those of Nova's compute services.
fn fleet_options(scheduler: berth_scheduler::Options) -> FleetOptions {
    let seconds = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1));
    let (heartbeat, down_after) =
        (seconds(scheduler.general.report_interval), seconds(scheduler.general.down_time()));
    let allow_resize_to_same_host = scheduler.general.allow_resize_to_same_host;
    let resize_confirm_window = Duration::from_secs(scheduler.general.resize_confirm_window);
    FleetOptions {
        scheduler,
        heartbeat,
        down_after,
        allow_resize_to_same_host,
        resize_confirm_window,
        ..FleetOptions::default()
    }
}

/// The data directory; none if the state is in etcd or stays in memory.
pub(crate) fn directory(settings: &ServeSettings) -> Result<Option<PathBuf>> {
    if settings.store.is_some() {
        return Ok(None);
    }
    match &settings.data {
        Some(data) if data.as_os_str() == "none" => Ok(None),
        Some(data) => Ok(Some(data.clone())),
        None => {
            let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
            let states = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
            let states =
                states.context("serve.data: is needed where neither XDG_STATE_HOME nor HOME is set")?;
            Ok(Some(states.join("berth")))
        }
    }
}

/// The service, with the state of its data directory or of etcd if it has one.
fn load(
    settings: &ServeSettings,
    data: Option<&Path>,
    etcd: Option<EtcdStoreOptions>,
    options: ServiceOptions,
    init: bool,
) -> Result<(Arc<Service>, Option<Keeper>)> {
    let start = Instant::now();
    let mode = DurabilityMode::from(settings.durability);
    let commit_delay = Duration::from_micros(settings.commit_delay);
    let durability = DurabilityOptions { mode, commit_delay, ..DurabilityOptions::default() };
    let (service, keeper) = match (data, etcd) {
        (_, Some(etcd)) => Keeper::start(EtcdHome(etcd), options, durability).context("serve.store")?,
        (Some(data), None) => {
            let directory = DataDir::open(data).context("serve.data")?.or_init(init);
            let started = Keeper::start(directory, options, durability);
            started.map_err(|error| advised(error, data)).context("serve.data")?
        }
        (None, None) => {
            tracing::warn!("serve.data is none: the state ends with this process");
            return Ok((Arc::new(Service::new(options)), None));
        }
    };
    if mode == DurabilityMode::Relaxed {
        tracing::warn!("serve.durability is relaxed: a crash may lose up to 10,000 acknowledged changes");
    }
    let (index, took) = (service.index(), start.elapsed().as_secs_f64());
    let (providers, consumers) = (index.topology().providers().count(), index.consumers());
    let place = data.map(Path::display).map(tracing::field::display);
    tracing::info!(directory = place, store = settings.store, providers, consumers, took, "loaded the state");
    Ok((service, Some(keeper)))
}

/// Adds advice to the error of a damaged store.
fn advised(error: StartError, directory: &Path) -> anyhow::Error {
    match &error {
        StartError::Data(DataError::Missing(_)) => {
            let directory = directory.display();
            anyhow!(
                "{error}\n  berth store restore BACKUP {directory}   puts a backup in its place\n  \
                 berth serve --init                  starts with an empty store; all that was kept there is lost"
            )
        }
        StartError::Data(damage) if damage.is_damage() => anyhow!("{error}\n{}", store::advice(directory)),
        _ => error.into(),
    }
}

fn print(policy: &AccessPolicy) -> Result<Ending> {
    let rules: String = policy.rules().map(|(rule, check)| format!("\"{rule}\": \"{check}\"\n")).collect();
    output::print_document(&rules)?;
    Ok(Ending::Complete)
}

async fn serve(
    settings: &ServeSettings,
    tls: Option<&Tls>,
    nova: Option<NovaSettings>,
    data: Option<&Path>,
    service: Arc<Service>,
    reload: Reload,
) -> Result<()> {
    let address = settings.listen;
    let server = Server::bind(address, Arc::clone(&service)).await;
    let server = server.with_context(|| format!("serve.listen: cannot listen on {address}"))?;
    let grpc = Grpc::bind(settings.grpc_listen, tls, Arc::clone(&service)).await;
    let grpc = grpc.map_err(tls::advised)?;
    let (stopper, stop) = stop(reload)?;
    let nova = nova_scheduler::serve(nova, Arc::clone(&service), stop.clone());
    let nova = async {
        nova.await.inspect_err(|_| {
            stopper.send_replace(true);
        })
    };
    // It ends with the runtime at the latest: a backup does not delay the shutdown.
    if let Some(data) = data {
        match Control::bind(data, Arc::clone(&service)) {
            Ok(control) => drop(tokio::spawn(control.run())),
            Err(error) => {
                tracing::warn!(%error, "there is no control socket: no backup while the service runs");
            }
        }
    }
    tracing::info!(address = %grpc.address()?, tls = tls.is_some(), "serving gRPC");
    tracing::info!(address = %server.address()?, auth = ?settings.auth, "serving the Placement API");
    if settings.is_open() {
        tracing::warn!(
            "serve.dangerous_anybody_is_administrator: everybody who reaches this address can do anything"
        );
    }
    supervisor::ready("serving");
    let alive = tokio::spawn(report_alive(Arc::clone(&service)));
    // Until the listeners have ended: agents and clients still get answers.
    let fleet = tokio::spawn(service.run_fleet());
    let grace = Duration::from_secs(settings.shutdown_timeout);
    let (_, _, nova) =
        tokio::join!(server.run(stopped(stop.clone()), grace), grpc.run(stopped(stop), grace), nova);
    fleet.abort();
    alive.abort();
    nova
}

/// Reports to the service manager, if it waits for it, that the service is alive: its threads run,
/// and its fleet is not held for ever.
async fn report_alive(service: Arc<Service>) {
    let Some(interval) = supervisor::alive_interval() else { return };
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        let service = Arc::clone(&service);
        let asked = tokio::task::spawn_blocking(move || service.wait_for_fleet().health());
        if let Ok(health) = asked.await {
            let failed = health.checks.into_iter().find(|check| !check.is_ok);
            supervisor::alive(
                &failed.map_or_else(
                    || "serving".to_owned(),
                    |check| format!("{}: {}", check.name, check.reason),
                ),
            );
        }
    }
}

/// Turns true when a signal asks the process to stop. SIGHUP has the settings read again, unless it
/// means that the terminal is gone.
fn stop(reload: Reload) -> Result<(watch::Sender<bool>, watch::Receiver<bool>)> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut hang_up = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    let has_terminal = std::io::stderr().is_terminal();
    let (sender, stop) = watch::channel(false);
    let stopper = sender.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                Some(()) = hang_up.recv() => {
                    if has_terminal {
                        break;
                    }
                    tokio::task::block_in_place(|| reload.run()); // it reads files
                }
                Ok(()) = tokio::signal::ctrl_c() => break,
            }
        }
        tracing::info!("finishing the requests that have begun");
        supervisor::stopping("finishing the requests that have begun");
        sender.send_replace(true);
    });
    Ok((stopper, stop))
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    drop(stop.wait_for(|stops| *stops).await); // a sender that is gone means the same
}
