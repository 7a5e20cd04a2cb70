//! SimpleCIDRAffinityFilter

use std::net::IpAddr;

use super::network::Network;
use super::{Filter, FilterError, PASS, Reason, RequestState, Scene, Scope, Verdict, pass_if};
use crate::hosts::HostRow;
use crate::request_spec::Hint;

/// Hint `build_near_host_ip`: passes hosts whose address is in the same network; hint `cidr` says
/// how large that is (`/24`).
pub(super) struct SimpleCidrAffinityFilter<'a> {
    scene: &'a Scene<'a>,
    /// As written and as read; none without the hint.
    network: Option<(String, Result<Network, FilterError>)>,
}

impl<'a> SimpleCidrAffinityFilter<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        let hints = &scene.request.scheduler_hints;
        let network = hints.given("build_near_host_ip").map(|address| {
            let cidr = hints.get("cidr").unwrap_or(Hint::One("/24"));
            let (Hint::One(address), Hint::One(cidr)) = (address, cidr) else {
                return (format!("{address:?}, {cidr:?}"), Err(FilterError::Networks));
            };
            let text = format!("{address}{cidr}");
            let network = text.parse().map_err(|_| FilterError::Network(text.clone()));
            (text, network)
        });
        Self { scene, network }
    }
}

impl Filter for SimpleCidrAffinityFilter<'_> {
    fn scope(&self) -> Scope {
        if self.network.is_none() { Scope::Everything } else { Scope::Host }
    }

    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let Some((text, network)) = &self.network else { return PASS };
        let network = network.as_ref().map_err(Clone::clone)?;
        let reported = self.scene.hosts.host_ip(row);
        let address = reported.unwrap_or_default();
        let read: Option<IpAddr> = address.parse().ok();
        if read.is_none() && self.scene.options.keep_nova_faults {
            return Err(
                reported.map_or(FilterError::NoAddress, |address| FilterError::Address(address.to_owned()))
            );
        }
        pass_if(read.is_some_and(|address| network.contains(address)), || Reason::OtherNetwork {
            address: address.to_owned(),
            network: text.clone(),
        })
    }
}
