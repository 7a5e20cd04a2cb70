//! Actions on instances, and the status that each leads to.

use berth_api::v1;
use berth_api::v1::instances_client::InstancesClient;
use tonic::Status;
use tonic::transport::Channel;

/// An action that a client requests for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Creates this number of instances in one request.
    Create(u32),
    /// Stops the instance.
    Stop,
    /// Starts it.
    Start,
    /// Pauses it.
    Pause,
    /// Resumes a paused one.
    Unpause,
    /// Suspends it to disk.
    Suspend,
    /// Resumes a suspended one.
    Resume,
    /// Reboots it, hard.
    Reboot,
    /// Builds its disks again.
    Rebuild,
    /// Boots it from a temporary disk.
    Rescue,
    /// Boots it from its own disks again.
    Unrescue,
    /// Shelves it.
    Shelve,
    /// Unshelves it.
    Unshelve,
    /// Moves it to another host, where it waits for its confirmation.
    Migrate,
    /// Moves it to another host while its guest runs.
    LiveMigrate,
    /// Confirms that.
    Confirm,
    /// Takes it back.
    Revert,
    /// Evacuates it from its host, which is down, and states that nothing runs there.
    Evacuate,
    /// Deletes it.
    Delete,
}

impl Action {
    /// The status it leads to; None for a deletion.
    pub const fn leads_to(self) -> Option<&'static str> {
        Some(match self {
            Self::Stop => "SHUTOFF",
            Self::Pause => "PAUSED",
            Self::Suspend => "SUSPENDED",
            Self::Rescue => "RESCUE",
            Self::Shelve => "SHELVED_OFFLOADED",
            Self::Migrate => "VERIFY_RESIZE",
            Self::Create(_)
            | Self::Start
            | Self::Unpause
            | Self::Resume
            | Self::Reboot
            | Self::Rebuild
            | Self::Unrescue
            | Self::Unshelve
            | Self::LiveMigrate
            | Self::Confirm
            | Self::Revert
            | Self::Evacuate => "ACTIVE",
            Self::Delete => return None,
        })
    }

    /// Requests the action. An instance is created by other means.
    ///
    /// # Errors
    /// The status of a refusal, or of a lost connection.
    pub async fn ask(self, all: &mut InstancesClient<Channel>, uuid: &str) -> Result<(), Status> {
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
            Self::Rebuild => {
                let v1::InstanceRequest { instance, project } = it;
                all.rebuild(v1::RebuildInstanceRequest { instance, project, image: None }).await.map(drop)
            }
            Self::Rescue => {
                let v1::InstanceRequest { instance, project } = it;
                let image = Some(v1::Image { name: "rescue".to_owned(), ..v1::Image::default() });
                all.rescue(v1::RescueInstanceRequest { instance, project, image }).await.map(drop)
            }
            Self::Unrescue => all.unrescue(it).await.map(drop),
            Self::Shelve => all.shelve(it).await.map(drop),
            Self::Unshelve => all.unshelve(it).await.map(drop),
            Self::Migrate => {
                let wanted = v1::MigrateInstanceRequest {
                    instance: it.instance,
                    ..v1::MigrateInstanceRequest::default()
                };
                all.migrate(wanted).await.map(drop)
            }
            Self::LiveMigrate => {
                let wanted = v1::LiveMigrateInstanceRequest {
                    instance: it.instance,
                    ..v1::LiveMigrateInstanceRequest::default()
                };
                all.live_migrate(wanted).await.map(drop)
            }
            Self::Confirm => all.confirm_resize(it).await.map(drop),
            Self::Revert => all.revert_resize(it).await.map(drop),
            Self::Evacuate => {
                let wanted = v1::EvacuateInstanceRequest {
                    instance: it.instance,
                    fenced: true,
                    ..v1::EvacuateInstanceRequest::default()
                };
                all.evacuate(wanted).await.map(drop)
            }
            Self::Delete => all.delete(it).await.map(drop),
        }
    }
}

/// A request about the instance with this UUID, of any project.
pub fn named(uuid: &str) -> v1::InstanceRequest {
    v1::InstanceRequest { instance: uuid.to_owned(), ..v1::InstanceRequest::default() }
}
