//! Services that take no instances, and what if they did.

use serde::{Deserialize, Serialize};

use super::HostTable;

/// Why a service takes no instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outage {
    /// An operator disabled it.
    Disabled,
    /// An operator declared it down.
    ForcedDown,
    /// It has not been heard of for too long.
    NotHeardOf,
}

/// A service as it was before its outage was thought away.
#[derive(Debug, Clone)]
pub struct Mended {
    service: usize,
    disabled: bool,
    forced_down: bool,
    last_seen: i64,
}

impl Outage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Disabled, Self::ForcedDown, Self::NotHeardOf];
}

impl HostTable {
    /// Thinks the outage away on every service. `now` is the time in microseconds since 1970.
    pub fn mend(&mut self, outage: Outage, now: i64) -> Vec<Mended> {
        let mut mended = Vec::new();
        for (at, service) in self.services.iter_mut().enumerate() {
            let former = Mended {
                service: at,
                disabled: service.disabled,
                forced_down: service.forced_down,
                last_seen: service.last_seen,
            };
            match outage {
                Outage::Disabled => service.disabled = false,
                Outage::ForcedDown => service.forced_down = false,
                Outage::NotHeardOf => service.last_seen = now,
            }
            mended.push(former);
        }
        mended
    }

    /// Makes the services what they were before. Several mendings are taken back in the opposite order.
    pub fn unmend(&mut self, mended: Vec<Mended>) {
        for former in mended {
            let service = &mut self.services[former.service];
            service.disabled = former.disabled;
            service.forced_down = former.forced_down;
            service.last_seen = former.last_seen;
        }
    }
}
