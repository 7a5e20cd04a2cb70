//! Hosts and nodes that a request names: a destination, hosts to ignore, hosts and nodes to insist
//! on.

use std::fmt;

use serde::Deserialize;

use super::{Filter, Reason, RequestState, Scene, Verdict, pass_if};
use crate::hosts::HostRow;
use crate::request_spec::RequestSpec;

/// A part of the request that names hosts or nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restriction {
    /// `requested_destination`: this host, and this node if one is named; hosts of its cell.
    RequestedDestination,
    /// `ignore_hosts`: any but these hosts, whatever the case of letters.
    IgnoreHosts,
    /// `force_hosts`: only these hosts, whatever the case of letters.
    ForceHosts,
    /// `force_nodes`: only these nodes.
    ForceNodes,
}

impl fmt::Display for Restriction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::RequestedDestination => "requested_destination",
            Self::IgnoreHosts => "ignore_hosts",
            Self::ForceHosts => "force_hosts",
            Self::ForceNodes => "force_nodes",
        })
    }
}

impl Restriction {
    /// The restrictions of the request, in the order in which they apply.
    pub(crate) fn of(request: &RequestSpec) -> impl Iterator<Item = Self> {
        let destination = request.requested_destination.as_ref();
        let given = [
            (
                Self::RequestedDestination,
                destination.is_some_and(|wanted| wanted.host.is_some() || wanted.is_cell_bound),
            ),
            (Self::IgnoreHosts, !request.ignore_hosts.is_empty()),
            (Self::ForceHosts, !request.force_hosts.is_empty()),
            (Self::ForceNodes, !request.force_nodes.is_empty()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(restriction, _)| restriction)
    }

    pub(super) fn prepare<'a>(self, scene: &'a Scene<'a>) -> Box<dyn Filter + 'a> {
        let lower = |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect();
        let names = match self {
            Self::RequestedDestination => Vec::new(),
            Self::IgnoreHosts => lower(&scene.request.ignore_hosts),
            Self::ForceHosts => lower(&scene.request.force_hosts),
            Self::ForceNodes => scene.request.force_nodes.clone(),
        };
        Box::new(Restricted { restriction: self, names, scene })
    }
}

struct Restricted<'a> {
    restriction: Restriction,
    names: Vec<String>,
    scene: &'a Scene<'a>,
}

impl Restricted<'_> {
    fn is_destination(&self, row: HostRow) -> bool {
        let hosts = self.scene.hosts;
        self.scene.request.requested_destination.as_ref().is_none_or(|wanted| {
            let node = wanted.node.as_deref().filter(|node| !node.is_empty());
            let is_other_cell = wanted.is_cell_bound
                && wanted.cell_uuid.as_deref().is_some_and(|cell| *hosts.class(row).cell_uuid != *cell);
            !is_other_cell
                && wanted.host.as_deref().is_none_or(|host| hosts.host(row) == host)
                && node.is_none_or(|node| hosts.node(row) == node)
        })
    }

    /// Host and node that are asked for, or the cell.
    fn destination(&self) -> String {
        let wanted = self.scene.request.requested_destination.as_ref();
        let names = wanted.map_or([None, None], |wanted| [wanted.host.as_deref(), wanted.node.as_deref()]);
        if let (Some(wanted), [None, _]) = (wanted, names) {
            return format!("cell {}", wanted.cell_uuid.as_deref().unwrap_or_default());
        }
        names.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn names_host(&self, row: HostRow) -> bool {
        self.names.contains(&self.scene.hosts.host(row).to_lowercase())
    }
}

impl Filter for Restricted<'_> {
    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        match self.restriction {
            Restriction::RequestedDestination => {
                pass_if(self.is_destination(row), || Reason::NotTheDestination { asked: self.destination() })
            }
            Restriction::IgnoreHosts => pass_if(!self.names_host(row), || Reason::Ignored {
                host: self.scene.hosts.host(row).to_owned(),
            }),
            Restriction::ForceHosts => pass_if(self.names_host(row), || Reason::NotAForcedHost {
                asked: self.scene.request.force_hosts.join(", "),
            }),
            Restriction::ForceNodes => {
                let node = self.scene.hosts.node(row);
                pass_if(self.names.iter().any(|name| name == node), || Reason::NotAForcedNode {
                    asked: self.names.join(", "),
                })
            }
        }
    }
}
