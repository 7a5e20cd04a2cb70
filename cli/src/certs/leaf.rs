//! The owner's names and usage in a certificate.

use anyhow::{Context, Result, ensure};
use rcgen::{ExtendedKeyUsagePurpose, SanType};

use super::{Issue, Role};

/// The certificate of an owner that issues none.
pub(super) struct Leaf {
    pub(super) name: String,
    pub(super) alternative_names: Vec<SanType>,
    pub(super) usages: Vec<ExtendedKeyUsagePurpose>,
    pub(super) days: u32,
}

impl Leaf {
    pub(super) fn of(issue: &Issue) -> Result<Self> {
        let Issue { role, name, .. } = issue;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        ensure!(
            !name.is_empty() && !name.starts_with('.') && name.len() <= 64 && name.bytes().all(is_plain),
            "--name: has to be 1 to 64 letters, digits, dots, hyphens and underscores, not {name:?}"
        );
        ensure!(
            issue.uuid.is_none() || *role == Role::Agent,
            "--uuid: is for the role agent only, whose hosts have UUIDs"
        );
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let usages = match role {
            Role::Server => vec![ServerAuth],
            // Other agents fetch disks from it.
            Role::Agent => vec![ClientAuth, ServerAuth],
            _ => vec![ClientAuth],
        };
        Ok(Self {
            name: name.clone(),
            alternative_names: alternative_names(issue)?,
            usages,
            days: issue.days,
        })
    }
}

fn alternative_names(issue: &Issue) -> Result<Vec<SanType>> {
    let is_unreachable = issue.role == Role::Server && issue.dns.is_empty() && issue.ip.is_empty();
    let own = (is_unreachable || issue.role == Role::Agent).then_some(&issue.name);
    let dns = issue.dns.iter().chain(own).map(|name| {
        let text = (&**name).try_into().with_context(|| format!("--dns: {name:?} is no DNS name"))?;
        Ok(SanType::DnsName(text))
    });
    let ip = issue.ip.iter().map(|address| Ok(SanType::IpAddress(*address)));
    let uri = uri(issue).map(|uri| Ok(SanType::URI(uri.as_str().try_into()?)));
    dns.chain(ip).chain(uri).collect()
}

/// The URI that gives a client its role.
fn uri(Issue { role, name, uuid, .. }: &Issue) -> Option<String> {
    match role {
        Role::Operator => Some("berth://role/operator".to_owned()),
        Role::Service => Some("berth://role/service".to_owned()),
        Role::Reader => Some("berth://role/reader".to_owned()),
        Role::Agent => Some(match uuid {
            Some(uuid) => format!("berth://agent/{name}/{uuid}"),
            None => format!("berth://agent/{name}"),
        }),
        Role::Server => None,
    }
}
