//! Who may call what: one table for all services.

use super::identity::Caller;

/// The kind of a method, which decides which callers may use it. Operators may call all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It shows something: for services and readers.
    Read,
    /// It places instances or acts on them: for services.
    Use,
    /// It changes the fleet or its rules: for operators alone.
    Operate,
    /// It speaks for a host: for the host's agent.
    Join,
}

/// Methods whose clients send more than one message. Between two of them, they may be silent for as
/// long as they like.
const STREAMING: [&str; 3] = [
    "/berth.v1.Agents/Join",
    "/berth.v1.Scheduler/ScheduleStream",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
];

/// Further methods whose responses are streams.
const WATCHING: [&str; 2] = ["/berth.v1.Instances/Watch", "/grpc.health.v1.Health/Watch"];

/// Whether the clients of the method at this path send more than one message.
pub(super) fn is_streaming(path: &str) -> bool {
    STREAMING.contains(&path)
}

/// Whether the response of the method at this path is one message.
pub(super) fn answers_once(path: &str) -> bool {
    !is_streaming(path) && !WATCHING.contains(&path)
}

impl Access {
    /// The kind of the method at this path; none if there is no such method.
    #[rustfmt::skip] // a table
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path.strip_prefix('/')?.split_once('/')? {
            ("berth.v1.Placement", method) => match method {
                "ListProviders" | "GetProvider" | "GetConsumer" | "ListConsumers" | "FindCandidates" => Self::Read,
                "PutProvider" | "DeleteProvider" | "SetInventories" | "SetTraits" | "SetAggregates" => Self::Use,
                "Claim" | "Release" => Self::Use,
                _ => return None,
            },
            ("berth.v1.Scheduler", method) => match method {
                "Select" | "Explain" | "ListRequests" => Self::Read,
                "Schedule" | "ScheduleStream" => Self::Use,
                _ => return None,
            },
            ("berth.v1.Fleet", method) => match method {
                "ListHosts" | "GetHost" | "GetStatistics" | "GetHostEvacuation" => Self::Read,
                "ApproveHost" | "SetHost" | "DeleteHost" | "FenceHost" | "EvacuateHost" => Self::Operate,
                "ListAggregates" | "GetAggregate" | "ListZones" => Self::Read,
                "CreateAggregate" | "UpdateAggregate" | "DeleteAggregate" => Self::Operate,
                "ListFlavors" | "GetFlavor" => Self::Read,
                "CreateFlavor" | "DeleteFlavor" => Self::Operate,
                "ListServerGroups" | "GetServerGroup" => Self::Read,
                "CreateServerGroup" | "DeleteServerGroup" => Self::Operate,
                "ListKeyPairs" | "GetKeyPair" => Self::Read,
                "CreateKeyPair" | "DeleteKeyPair" => Self::Use,
                "GetQuota" => Self::Read,
                "SetQuota" => Self::Operate,
                _ => return None,
            },
            ("berth.v1.Instances", method) => match method {
                "Get" | "List" | "ListEvents" | "Watch" | "ListMigrations" | "GetMigration" => Self::Read,
                "Create" | "Delete" | "Start" | "Stop" | "Reboot" | "Pause" | "Unpause" | "Suspend" | "Resume" => Self::Use,
                "Shelve" | "Unshelve" | "Lock" | "Unlock" => Self::Use,
                // It may have passwords that a guest has printed.
                "GetConsoleLog" => Self::Use,
                "Rebuild" | "Rescue" | "Unrescue" | "Resize" | "ConfirmResize" | "RevertResize" => Self::Use,
                "Migrate" | "LiveMigrate" | "AbortMigration" | "ForceCompleteMigration" | "Evacuate" => Self::Operate,
                _ => return None,
            },
            ("berth.v1.Agents", "Join") => Self::Join,
            ("grpc.health.v1.Health", "Check" | "Watch") => Self::Read,
            ("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo") => Self::Read,
            _ => return None,
        })
    }

    /// Whether they may.
    pub(super) fn allows(self, caller: &Caller) -> bool {
        match caller {
            Caller::Local | Caller::Operator => true,
            Caller::Service => matches!(self, Self::Read | Self::Use),
            Caller::Reader => self == Self::Read,
            Caller::Agent(..) => self == Self::Join,
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_api::v1;
    use prost::Message;

    use super::*;

    /// The descriptors say the same of each method.
    #[test]
    fn methods_are_known_and_streaming_as_the_protobuf_files_have_it() {
        let set = prost_types::FileDescriptorSet::decode(v1::DESCRIPTORS).unwrap();
        let files = set.file.iter().filter(|file| file.package() == "berth.v1");
        let mut count = 0;
        for service in files.flat_map(|file| &file.service) {
            for method in &service.method {
                let path = format!("/berth.v1.{}/{}", service.name(), method.name());
                assert!(Access::of(&path).is_some(), "{path}");
                assert_eq!(is_streaming(&path), method.client_streaming(), "{path}");
                assert_eq!(answers_once(&path), !method.server_streaming(), "{path}");
                count += 1;
            }
        }
        assert!(count > 40, "{count}");
    }
}
