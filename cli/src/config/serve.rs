//! The settings of `berth serve`.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use berth_etcd::EtcdLocation;
use berth_nova_scheduler::WhenUnanswered;
use berth_placement::candidates::Strategy;
use berth_process::log::LogFilter;
use berth_server::{CandidateOptions, DurabilityMode, LiveLimits, TrustedProxies};
use serde::{Deserialize, Serialize};

use super::limits::LimitsTable;
use super::{listen, url};

/// The settings of `berth serve`; the catalogue documents each.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServeSettings {
    #[serde(deserialize_with = "listen::deserialize")]
    pub(crate) listen: SocketAddr,
    #[serde(deserialize_with = "listen::deserialize")]
    pub(crate) grpc_listen: SocketAddr,
    pub(crate) public_url: Option<String>,
    pub(crate) auth: AuthChoice,
    pub(crate) dangerous_anybody_is_administrator: bool,
    pub(crate) trust_agents_on_first_use: bool,
    pub(crate) fence_command: Vec<String>,
    pub(crate) live_migrations_per_target: u32,
    pub(crate) live_migrations: u32,
    pub(crate) policy: String,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) trusted_proxies: Vec<String>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) store: Option<String>,
    pub(crate) durability: DurabilityChoice,
    pub(crate) commit_delay: u64,
    pub(crate) lifetimes: Option<PathBuf>,
    pub(crate) shutdown_timeout: u64,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    pub(crate) candidates: CandidatesTable,
    pub(crate) limits: LimitsTable,
    pub(crate) tls: TlsTable,
    pub(crate) keystone: KeystoneTable,
    pub(crate) etcd: EtcdTable,
    pub(crate) nova_conf: Option<PathBuf>,
    pub(crate) nova_cell_timeout: u64,
    pub(crate) placement_url: Option<String>,
    pub(crate) nova_shadow: NovaShadowTable,
}

/// How requests are authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AuthChoice {
    Noauth2,
    Keystone,
}

/// Whether responses wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DurabilityChoice {
    Strict,
    Relaxed,
}

impl From<DurabilityChoice> for DurabilityMode {
    fn from(choice: DurabilityChoice) -> Self {
        match choice {
            DurabilityChoice::Strict => Self::Strict,
            DurabilityChoice::Relaxed => Self::Relaxed,
        }
    }
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// How allocation candidates are generated.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CandidatesTable {
    pub(crate) strategy: StrategyChoice,
    pub(crate) max: Option<NonZeroUsize>,
    pub(crate) randomize: bool,
}

/// In which order the trees of providers are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StrategyChoice {
    #[default]
    BreadthFirst,
    DepthFirst,
}

/// Certificates, as files in PEM: all of them, or none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TlsTable {
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) client_ca: Option<PathBuf>,
    pub(crate) client_crl: Option<PathBuf>,
}

/// The address of Keystone, and the credentials for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct KeystoneTable {
    pub(crate) auth_url: Option<String>,
    pub(crate) www_authenticate_uri: Option<String>,
    pub(crate) username: String,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) user_domain_name: String,
    pub(crate) project_name: String,
    pub(crate) project_domain_name: String,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) token_cache_time: u64,
    pub(crate) token_cache_entries: usize,
    pub(crate) timeout: u64,
}

/// How etcd is reached, and used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EtcdTable {
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) compact: bool,
}

/// How requests are passed on to nova-scheduler in shadow mode.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NovaShadowTable {
    pub(crate) conf: Option<PathBuf>,
    pub(crate) timeout: u64,
    pub(crate) unanswered: UnansweredChoice,
    pub(crate) records: Option<PathBuf>,
    pub(crate) records_bytes: u64,
}

/// What happens to a request that nova-scheduler does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UnansweredChoice {
    Fail,
    Decide,
}

impl From<UnansweredChoice> for WhenUnanswered {
    fn from(choice: UnansweredChoice) -> Self {
        match choice {
            UnansweredChoice::Fail => Self::Fail,
            UnansweredChoice::Decide => Self::Decide,
        }
    }
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8778)),
            grpc_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8779)),
            public_url: None,
            auth: AuthChoice::Noauth2,
            dangerous_anybody_is_administrator: false,
            trust_agents_on_first_use: false,
            fence_command: Vec::new(),
            live_migrations_per_target: LiveLimits::default().per_target,
            live_migrations: LiveLimits::default().total,
            policy: "legacy".to_owned(),
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            data: None,
            store: None,
            durability: DurabilityChoice::Strict,
            commit_delay: 0,
            lifetimes: None,
            shutdown_timeout: 30,
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            candidates: CandidatesTable::default(),
            limits: LimitsTable::default(),
            tls: TlsTable::default(),
            keystone: KeystoneTable::default(),
            etcd: EtcdTable::default(),
            nova_conf: None,
            nova_cell_timeout: 10,
            placement_url: None,
            nova_shadow: NovaShadowTable::default(),
        }
    }
}

impl Default for NovaShadowTable {
    fn default() -> Self {
        Self {
            conf: None,
            timeout: 1_800,
            unanswered: UnansweredChoice::Fail,
            records: None,
            records_bytes: 128 << 20,
        }
    }
}

impl Default for EtcdTable {
    fn default() -> Self {
        let (ca_file, certificate, key, user, password_file) = Default::default();
        Self { ca_file, certificate, key, user, password_file, compact: true }
    }
}

impl Default for KeystoneTable {
    fn default() -> Self {
        Self {
            auth_url: None,
            www_authenticate_uri: None,
            username: "placement".to_owned(),
            password_file: None,
            user_domain_name: "Default".to_owned(),
            project_name: "service".to_owned(),
            project_domain_name: "Default".to_owned(),
            ca_file: None,
            token_cache_time: 300,
            token_cache_entries: 10_000,
            timeout: 10,
        }
    }
}

impl CandidatesTable {
    pub(crate) fn options(&self) -> CandidateOptions {
        let strategy = match self.strategy {
            StrategyChoice::BreadthFirst => Strategy::BreadthFirst,
            StrategyChoice::DepthFirst => Strategy::DepthFirst,
        };
        CandidateOptions { strategy, max: self.max.map(NonZeroUsize::get), randomize: self.randomize }
    }
}

impl ServeSettings {
    /// Whether every setting is in its range.
    pub(super) fn validate(&self) -> Result<(), String> {
        let positive = [
            self.shutdown_timeout,
            self.nova_cell_timeout,
            self.nova_shadow.timeout,
            self.keystone.timeout,
            self.keystone.token_cache_time,
            self.keystone.token_cache_entries as u64,
        ];
        if self.data.as_ref().is_some_and(|data| data.as_os_str().is_empty()) {
            return Err("is empty; name a directory, or `none`".to_owned());
        }
        if let Some(store) = &self.store {
            store.parse::<EtcdLocation>().map_err(|invalid| invalid.to_string())?;
        }
        let bases = [
            &self.public_url,
            &self.placement_url,
            &self.keystone.auth_url,
            &self.keystone.www_authenticate_uri,
        ];
        bases.into_iter().flatten().try_for_each(|base| url::check_base(base))?;
        self.cors_origins.iter().try_for_each(|origin| url::check_origin(origin))?;
        TrustedProxies::new(&self.trusted_proxies).map_err(|invalid| invalid.to_string())?;
        if positive.contains(&0) {
            return Err("is less than 1".to_owned());
        }
        if self.nova_shadow.records_bytes < 1 << 20 {
            return Err("is less than 1 MiB".to_owned());
        }
        self.log.parse::<LogFilter>().map_err(|error| error.to_string())?;
        self.limits.validate().map_err(ToOwned::to_owned)
    }

    /// Whether any client on another machine can be an administrator.
    pub(crate) fn is_open(&self) -> bool {
        self.auth == AuthChoice::Noauth2 && !self.listen.ip().is_loopback()
    }

    /// Settings that cannot be together: the one to change, and why.
    pub(super) fn conflict(&self) -> Option<(&'static str, String)> {
        if self.store.is_some() && self.data.is_some() {
            let problem = "the state is in etcd or in the directory serve.data, not in both; unset one";
            return Some(("serve.store", problem.to_owned()));
        }
        (self.is_open() && !self.dangerous_anybody_is_administrator).then(|| {
            let problem = format!(
                "{} is not a loopback address, and with serve.auth = \"noauth2\" everybody who reaches it is an administrator if they \
                 say so; use serve.auth = \"keystone\", or a loopback address, or set \
                 serve.dangerous_anybody_is_administrator = true",
                self.listen
            );
            ("serve.listen", problem)
        })
    }
}
