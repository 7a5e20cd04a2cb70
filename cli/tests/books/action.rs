//! What is done with instances, and what it leads to.

use berth_api::v1;
use berth_api::v1::instances_client::InstancesClient;
use tonic::Status;
use tonic::transport::Channel;

/// An action that a client requests for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// So many, all at once.
    #[allow(dead_code, reason = "clients that are killed keep orders of their own")]
    Create(u32),
    Stop,
    Start,
    Pause,
    Unpause,
    Suspend,
    Resume,
    Reboot,
    Shelve,
    Unshelve,
    Delete,
}

impl Action {
    /// The status it leads to; nothing if no instance is left.
    pub(crate) const fn leads_to(self) -> Option<&'static str> {
        Some(match self {
            Self::Stop => "SHUTOFF",
            Self::Pause => "PAUSED",
            Self::Suspend => "SUSPENDED",
            Self::Shelve => "SHELVED_OFFLOADED",
            Self::Create(_) | Self::Start | Self::Unpause | Self::Resume | Self::Reboot | Self::Unshelve => {
                "ACTIVE"
            }
            Self::Delete => return None,
        })
    }

    /// Asks for it; an instance is created by other means.
    pub(crate) async fn ask(self, all: &mut InstancesClient<Channel>, uuid: &str) -> Result<(), Status> {
        let it = named(uuid);
        match self {
            Self::Create(_) => Ok(()),
            Self::Stop => all.stop(it).await.map(drop),
            Self::Start => all.start(it).await.map(drop),
            Self::Pause => all.pause(it).await.map(drop),
            Self::Unpause => all.unpause(it).await.map(drop),
            Self::Suspend => all.suspend(it).await.map(drop),
            Self::Resume => all.resume(it).await.map(drop),
            Self::Reboot => all
                .reboot(v1::RebootRequest { instance: it.instance, hard: true, project: it.project })
                .await
                .map(drop),
            Self::Shelve => all.shelve(it).await.map(drop),
            Self::Unshelve => all.unshelve(it).await.map(drop),
            Self::Delete => all.delete(it).await.map(drop),
        }
    }
}

pub(crate) fn named(uuid: &str) -> v1::InstanceRequest {
    v1::InstanceRequest { instance: uuid.to_owned(), ..v1::InstanceRequest::default() }
}
