//! The members of a cluster, and the space of their databases.

use crate::client::{EtcdClient, Repeat};
use crate::failure::EtcdError;
use crate::proto::kv_client::KvClient;
use crate::proto::maintenance_client::MaintenanceClient;
use crate::proto::{
    AlarmRequest, AlarmType, CompactionRequest, DefragmentRequest, StatusRequest, StatusResponse,
    alarm_request,
};
use crate::version::EtcdVersion;

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// `HOST:PORT`, as in the options.
    pub address: String,
    /// Its version.
    pub version: EtcdVersion,
    /// The size of its database in bytes, with free space in the file.
    pub database_bytes: u64,
    /// The part of the database that is in use, in bytes.
    pub database_bytes_in_use: u64,
    /// Whether it is the leader.
    pub is_leader: bool,
    /// The revision that it has applied.
    pub revision: i64,
}

/// An alarm of a member. It lasts until an operator disarms it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtcdAlarm {
    /// The database has reached its quota: nothing can be written.
    NoSpace,
    /// The member's data differs from that of the others.
    Corrupt,
}

impl EtcdClient {
    /// Asks each member of the options for its status.
    pub async fn statuses(&self) -> Vec<(String, Result<MemberStatus, EtcdError>)> {
        let mut statuses = Vec::new();
        for member in 0..self.members().len() {
            let address = self.members().address(member).to_owned();
            let status = self.status_of(member).await;
            let status = status.and_then(|status| member_status(&address, &status));
            statuses.push((address, status));
        }
        statuses
    }

    pub(crate) async fn status_of(&self, member: usize) -> Result<StatusResponse, EtcdError> {
        let status = self.call_member(member, |connection| {
            let request = connection.request(StatusRequest {});
            async move { MaintenanceClient::new(connection.channel).status(request).await }
        });
        status.await
    }

    /// The alarms of all members.
    ///
    /// # Errors
    /// No member can answer.
    pub async fn alarms(&self) -> Result<Vec<EtcdAlarm>, EtcdError> {
        let action = alarm_request::AlarmAction::Get.into();
        let answer = self.call(Repeat::Always, |connection| {
            let request = AlarmRequest { action, member_id: 0, alarm: AlarmType::None.into() };
            let request = connection.request(request);
            async move { MaintenanceClient::new(connection.channel).alarm(request).await }
        });
        let alarms = answer.await?.alarms.into_iter().filter_map(|alarm| match alarm.alarm() {
            AlarmType::Nospace => Some(EtcdAlarm::NoSpace),
            AlarmType::Corrupt => Some(EtcdAlarm::Corrupt),
            AlarmType::None => None,
        });
        Ok(alarms.collect())
    }

    /// Forgets the history of all keys of the cluster before a revision. Its space can be used
    /// again when this returns.
    ///
    /// # Errors
    /// No member can answer, or the revision is in the future.
    pub async fn compact(&self, revision: i64) -> Result<(), EtcdError> {
        let compacted = self.call(Repeat::Always, |connection| {
            let request = connection.request(CompactionRequest { revision, physical: false });
            async move { KvClient::new(connection.channel).compact(request).await }
        });
        match compacted.await {
            // By another client.
            Err(EtcdError::Compacted) => Ok(()),
            compacted => compacted.map(|_| ()),
        }
    }

    /// Returns the free space of a member's database to its file system. The member answers nothing
    /// meanwhile, so this may take longer than other calls.
    ///
    /// # Errors
    /// The member cannot be reached or refuses.
    ///
    /// # Panics
    /// If the options have no member of this number.
    pub async fn defragment(&self, member: usize) -> Result<(), EtcdError> {
        let failed = |status: tonic::Status| EtcdError::Refused(status.message().to_owned());
        let connection = self.connection(member).await;
        let connection = connection.map_err(|failure| EtcdError::Unavailable(format!("{failure:?}")))?;
        let request = connection.request(DefragmentRequest {});
        let defragmented = MaintenanceClient::new(connection.channel).defragment(request).await;
        defragmented.map(|_| ()).map_err(failed)
    }
}

fn member_status(address: &str, status: &StatusResponse) -> Result<MemberStatus, EtcdError> {
    let header = status.header.unwrap_or_default();
    let bytes = |size: i64| u64::try_from(size).unwrap_or(0);
    Ok(MemberStatus {
        address: address.to_owned(),
        version: status.version.parse().map_err(EtcdError::Refused)?,
        database_bytes: bytes(status.db_size),
        database_bytes_in_use: bytes(status.db_size_in_use),
        is_leader: status.leader != 0 && status.leader == header.member_id,
        revision: header.revision,
    })
}
