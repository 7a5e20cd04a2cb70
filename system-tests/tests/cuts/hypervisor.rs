//! A hypervisor that outlives its agent, and an agent that dies at a call to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use berth_compute_agent::disks::DiskPart;
use berth_compute_agent::{Facts, FakeHypervisor, Fault, Found, Hypervisor, Job, Notice, StepOutcome};
use tokio::sync::mpsc::UnboundedReceiver;
use uuid::Uuid;

use crate::cut::{Cut, Side, Step};

pub(crate) struct MortalAgent {
    hypervisor: Arc<FakeHypervisor>,
    cut: Arc<Cut>,
    is_dead: AtomicBool,
}

impl MortalAgent {
    pub(crate) fn new(hypervisor: Arc<FakeHypervisor>, cut: Arc<Cut>) -> Self {
        Self { hypervisor, cut, is_dead: AtomicBool::new(false) }
    }

    /// Something is done to a guest, unless the agent dies before it; nothing comes back if it dies
    /// after it.
    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        if self.is_dead() {
            return std::future::pending().await;
        }
        let Step::IsLast(side) = self.cut.step() else { return call.await };
        self.is_dead.store(true, Ordering::Release);
        if side == Side::After {
            call.await;
        }
        self.cut.die();
        std::future::pending().await
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Acquire)
    }
}

impl Hypervisor for MortalAgent {
    async fn facts(&self) -> Result<Facts, Fault> {
        self.hypervisor.facts().await
    }

    async fn guests(&self) -> Result<Vec<Found>, Fault> {
        self.hypervisor.guests().await
    }

    async fn perform(&self, job: Job) -> StepOutcome {
        self.call(self.hypervisor.perform(job)).await
    }

    async fn forget(&self, instance: Uuid) {
        self.call(self.hypervisor.forget(instance)).await;
    }

    async fn export(&self, guest: Uuid) -> Result<Vec<DiskPart>, Fault> {
        self.hypervisor.export(guest).await
    }

    async fn console(&self, guest: Uuid, most_bytes: u32) -> Result<Vec<u8>, Fault> {
        self.hypervisor.console(guest, most_bytes).await
    }

    fn disk_available_gb(&self) -> u32 {
        self.hypervisor.disk_available_gb()
    }

    fn notices(&self) -> UnboundedReceiver<Notice> {
        self.hypervisor.notices()
    }
}
