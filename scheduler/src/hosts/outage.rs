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
    /// It has not reported for too long.
    Silent,
}

/// A service as it was before its outage was thought away.
#[derive(Debug, Clone)]
pub struct LiftedOutage {
    service: usize,
    disabled: bool,
    forced_down: bool,
    last_seen: i64,
}

impl Outage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Disabled, Self::ForcedDown, Self::Silent];
}

impl HostTable {
    /// Lifts the outage on every service, as a hypothesis. `now` is the time in microseconds
    /// since 1970.
    pub(crate) fn lift_outage(&mut self, outage: Outage, now: i64) -> Vec<LiftedOutage> {
        let mut lifted = Vec::new();
        for (at, service) in self.services.iter_mut().enumerate() {
            let former = LiftedOutage {
                service: at,
                disabled: service.disabled,
                forced_down: service.forced_down,
                last_seen: service.last_seen,
            };
            match outage {
                Outage::Disabled => service.disabled = false,
                Outage::ForcedDown => service.forced_down = false,
                Outage::Silent => service.last_seen = now,
            }
            lifted.push(former);
        }
        lifted
    }

    /// Restores the services. Several lifted outages are restored in the opposite order.
    pub(crate) fn restore_outage(&mut self, lifted: Vec<LiftedOutage>) {
        for former in lifted {
            let service = &mut self.services[former.service];
            service.disabled = former.disabled;
            service.forced_down = former.forced_down;
            service.last_seen = former.last_seen;
        }
    }
}
