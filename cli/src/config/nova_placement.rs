//! `[placement]` of a `nova.conf`: the credentials for another Placement service.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use berth_nova_scheduler::{FixedToken, RemotePlacementSettings, TokenSource};
use berth_process::bounded_file;
use berth_server::{Keystone, KeystoneSettings, Secret};

use super::nova_service::Conf;

const SECTION: &str = "placement";

/// How long a request to Placement may take unless `[placement] timeout` says otherwise. The
/// candidates of a large fleet take seconds.
const TIMEOUT: u64 = 60;

/// The tokens of a user, from Keystone.
struct ServiceUser(Keystone);

impl TokenSource for ServiceUser {
    fn token(&self, refused: Option<&str>) -> Result<String, String> {
        self.0.service_token(refused)
    }
}

/// The Placement service at a URL, with the credentials of the file.
pub(super) fn remote_placement(conf: &Conf, url: &str) -> Result<RemotePlacementSettings> {
    let authorities = match conf.text(SECTION, "cafile")? {
        Some(file) => {
            let pem = bounded_file::read_to_string(Path::new(&file), bounded_file::SETTINGS);
            Some(pem.with_context(|| format!("[{SECTION}] cafile: cannot read {file}"))?)
        }
        None => None,
    };
    let timeout = match conf.text(SECTION, "timeout")? {
        Some(text) => {
            text.parse().map_err(|_| anyhow!("[{SECTION}] timeout: '{text}' is no number of seconds"))?
        }
        None => TIMEOUT,
    };
    let timeout = Duration::from_secs(u64::max(timeout, 1));
    let tokens = tokens(conf, authorities.as_ref(), timeout)?;
    Ok(RemotePlacementSettings { url: url.to_owned(), tokens, authorities, timeout })
}

fn tokens(conf: &Conf, authorities: Option<&String>, timeout: Duration) -> Result<Arc<dyn TokenSource>> {
    let kind = conf.text(SECTION, "auth_type")?.unwrap_or_default();
    Ok(match kind.as_str() {
        "admin_token" => Arc::new(FixedToken(conf.needed(SECTION, "token")?)),
        "none" | "noauth" => Arc::new(FixedToken("admin".to_owned())),
        "password" | "v3password" => {
            let text = |name: &str, default: &str| {
                Ok::<_, anyhow::Error>(conf.text(SECTION, name)?.unwrap_or_else(|| default.to_owned()))
            };
            let settings = KeystoneSettings {
                auth_url: conf.needed(SECTION, "auth_url")?,
                www_authenticate_uri: None,
                username: conf.needed(SECTION, "username")?,
                password: Secret(conf.needed(SECTION, "password")?),
                user_domain_name: text("user_domain_name", "Default")?,
                project_name: text("project_name", "service")?,
                project_domain_name: text("project_domain_name", "Default")?,
                ca_certificates: authorities.cloned(),
                cache_time: Duration::from_secs(1),
                cache_entries: NonZeroUsize::MIN,
                timeout,
            };
            Arc::new(ServiceUser(Keystone::new(&settings).map_err(|error| anyhow!("[{SECTION}] {error}"))?))
        }
        "" => bail!("[{SECTION}] auth_type: is needed with serve.placement_url"),
        other => {
            bail!("[{SECTION}] auth_type: '{other}' is not supported; use password, admin_token or none")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::nova_conf::NovaConf;
    use super::*;

    fn read(text: &str) -> Result<RemotePlacementSettings> {
        let conf = Conf(NovaConf::parse(&format!("[placement]\n{text}")).expect("a nova.conf"));
        remote_placement(&conf, "http://placement")
    }

    #[test]
    fn credentials_of_each_kind_are_read() {
        let settings = read("auth_type = admin_token\ntoken = t\ntimeout = 5\n").expect("reads");
        assert_eq!((settings.tokens.token(None), settings.timeout.as_secs()), (Ok("t".to_owned()), 5));
        assert!(!format!("{settings:?}").contains("tokens"));
        assert_eq!(read("auth_type = none\n").expect("reads").timeout.as_secs(), TIMEOUT);
        let password =
            "auth_type = password\nauth_url = http://keystone/v3\nusername = nova\npassword = secret\n";
        assert!(read(password).is_ok());
    }

    #[test]
    fn errors_name_the_option() {
        for (text, option) in [
            ("", "auth_type"),
            ("auth_type = v3oidc\n", "auth_type"),
            ("auth_type = admin_token\n", "token"),
            ("auth_type = password\nauth_url = http://k\nusername = nova\n", "password"),
            ("auth_type = none\ntimeout = soon\n", "timeout"),
            ("auth_type = none\ncafile = /nowhere\n", "cafile"),
        ] {
            let problem = format!("{:#}", read(text).expect_err("is refused"));
            assert!(problem.contains(&format!("[placement] {option}")), "{problem}");
        }
    }
}
