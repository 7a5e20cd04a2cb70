//! From and to protobuf messages.

use std::net::IpAddr;

use berth_api::{host_name, v1};
use berth_fleet::{
    CpuFeatures, DesiredGuest, DiskMove, Flavor, FleetError, Goal, GuestReport, GuestState, HypervisorInfo,
    Image, InstanceSpec, Introduction, MigrationTarget, ReportedInventory, ReportedProvider, State, Transfer,
    TransferPhase,
};
use uuid::Uuid;

use crate::amounts;

fn parse_uuid(field: &str, text: &str) -> Result<Uuid, FleetError> {
    Uuid::try_parse(text).map_err(|_| FleetError::field(field, format!("{text:?} is no UUID")))
}

/// Reads the first message of an agent.
pub(super) fn read_hello(hello: &v1::Hello) -> Result<Introduction, FleetError> {
    Ok(Introduction {
        host: hello.host.clone(),
        uuid: parse_uuid("hello.host_uuid", &hello.host_uuid)?,
        boot_nonce: hello.boot_nonce.clone(),
        hypervisor: hello.hypervisor.clone().map(read_hypervisor).transpose()?,
    })
}

fn read_hypervisor(message: v1::Hypervisor) -> Result<HypervisorInfo, FleetError> {
    let v1::Hypervisor {
        kind,
        version,
        libvirt_version,
        is_accelerated,
        architecture,
        cpu_model,
        address,
        agent_version,
        disks_port,
        storage,
        migration_target,
        cpu_features,
    } = message;
    check_address(&address)?;
    Ok(HypervisorInfo {
        storage: Uuid::try_parse(&storage).unwrap_or_default(),
        cpu_features: CpuFeatures::new(cpu_features.iter().map(String::as_str)),
        migration_target: migration_target.map(|of| MigrationTarget {
            uri: of.uri,
            instances_directory: of.instances_directory,
            images_directory: of.images_directory,
        }),
        kind,
        version,
        libvirt_version,
        is_accelerated,
        architecture,
        cpu_model,
        address,
        agent_version,
        disks_port,
    })
}

/// Checks an address that other hosts, and perhaps the fencing command, are given.
fn check_address(address: &str) -> Result<(), FleetError> {
    let is_name = host_name::check(address).is_ok() && !address.starts_with(['-', '.']);
    match address.is_empty() || is_name || address.parse::<IpAddr>().is_ok() {
        true => Ok(()),
        false => Err(FleetError::field(
            "hello.hypervisor.address",
            format!("{address:?} is neither an IP address nor a host name"),
        )),
    }
}

/// Reads a provider tree.
pub(super) fn read_tree(tree: &v1::ProviderTree) -> Result<Vec<ReportedProvider>, FleetError> {
    tree.providers.iter().enumerate().map(read_provider).collect()
}

fn read_provider((place, provider): (usize, &v1::AgentProvider)) -> Result<ReportedProvider, FleetError> {
    let field = |name: &str| format!("providers[{place}].{name}");
    let parent = (!provider.parent.is_empty()).then(|| parse_uuid(&field("parent"), &provider.parent));
    let inventories = provider.inventories.iter().map(|(class, record)| {
        let inventory = amounts::read_inventory(record);
        let ratio = (record.allocation_ratio != 0.0).then_some(inventory.allocation_ratio);
        ReportedInventory { class: class.clone(), inventory, ratio }
    });
    Ok(ReportedProvider {
        uuid: parse_uuid(&field("uuid"), &provider.uuid)?,
        name: provider.name.clone(),
        parent: parent.transpose()?,
        inventories: inventories.collect(),
        traits: provider.traits.clone(),
    })
}

/// Reads a report about a guest.
pub(super) fn read_report(report: &v1::GuestReport) -> Result<GuestReport, FleetError> {
    use v1::guest_report::State;
    Ok(GuestReport {
        instance: parse_uuid("guest.instance", &report.instance)?,
        generation: report.generation,
        known_generation: report.known_generation,
        state: match report.state() {
            State::Unspecified => GuestState::Unknown,
            State::Absent => GuestState::Absent,
            State::Running => GuestState::Running,
            State::Paused => GuestState::Paused,
            State::ShutDown => GuestState::ShutDown,
            State::Crashed => GuestState::Crashed,
            State::Saved => GuestState::Saved,
            State::Shelved => GuestState::Shelved,
            State::BeingReceived => GuestState::Arriving,
        },
        error: beginning(&report.error),
        missing_cpu_features: CpuFeatures::new(report.missing_cpu_features.iter().map(String::as_str)),
        rebuilt: report.rebuilt,
        is_rescue: report.is_rescue,
    })
}

/// Where disks go to or come from. The address of a source is that of its agent.
fn disk_move(state: &State, disks: &DiskMove) -> v1::DiskMove {
    use v1::disk_move::Role;
    match disks {
        DiskMove::SetAside { migration } => v1::DiskMove {
            role: Role::SetAside.into(),
            migration: migration.to_string(),
            ..v1::DiskMove::default()
        },
        DiskMove::TakeBack { migration } => v1::DiskMove {
            role: Role::TakeBack.into(),
            migration: migration.to_string(),
            ..v1::DiskMove::default()
        },
        DiskMove::Adopt { migration, may_build } => v1::DiskMove {
            role: Role::Adopt.into(),
            migration: migration.to_string(),
            may_build: *may_build,
            ..v1::DiskMove::default()
        },
        DiskMove::Return { migration } => v1::DiskMove {
            role: Role::Return.into(),
            migration: migration.to_string(),
            ..v1::DiskMove::default()
        },
        DiskMove::Offer { ticket } => {
            v1::DiskMove { role: Role::Offer.into(), ticket: ticket.to_string(), ..v1::DiskMove::default() }
        }
        DiskMove::Fetch { migration, ticket, source } => {
            let hypervisor = state.host(source).and_then(|host| host.hypervisor.as_ref());
            v1::DiskMove {
                role: Role::Fetch.into(),
                migration: migration.to_string(),
                ticket: ticket.to_string(),
                source_host: source.clone(),
                source_address: hypervisor.map(|of| of.address.clone()).unwrap_or_default(),
                source_port: hypervisor.map_or(0, |of| of.disks_port),
                may_build: false,
            }
        }
    }
}

/// A live migration. Addresses are those of the agents of both hosts.
fn transfer(state: &State, of: &Transfer) -> v1::Transfer {
    let hypervisor =
        |host: &str| state.host(host).and_then(|host| host.hypervisor.clone()).unwrap_or_default();
    let (source, target) = (hypervisor(&of.source), hypervisor(&of.target));
    let phase = match of.phase {
        TransferPhase::Preparing => v1::transfer::Phase::Preparing,
        TransferPhase::Sending => v1::transfer::Phase::Sending,
        TransferPhase::Stopping => v1::transfer::Phase::Stopping,
    };
    v1::Transfer {
        migration: of.migration.to_string(),
        ticket: of.ticket.to_string(),
        source_host: of.source.clone(),
        source_address: source.address,
        source_port: source.disks_port,
        target_host: of.target.clone(),
        target_address: target.address,
        target: target.migration_target.map(migration_target),
        is_shared: of.is_shared,
        phase: phase.into(),
        is_forced: of.is_forced,
        bandwidth_mib: of.options.bandwidth_mib,
        timeout_s: of.options.timeout_s,
        forces_at_timeout: of.options.forces_at_timeout,
    }
}

/// How running guests are sent to a hypervisor.
pub(crate) fn migration_target(of: MigrationTarget) -> v1::MigrationTarget {
    let MigrationTarget { uri, instances_directory, images_directory } = of;
    v1::MigrationTarget { uri, instances_directory, images_directory }
}

/// A desired guest with the allocations of its instance.
pub(super) fn desired_guest(
    guest: &DesiredGuest,
    allocations: Vec<v1::Allocation>,
    state: &State,
) -> v1::DesiredGuest {
    let goal = match guest.goal {
        Goal::Running => v1::desired_guest::Goal::Running,
        Goal::Stopped => v1::desired_guest::Goal::Stopped,
        Goal::Paused => v1::desired_guest::Goal::Paused,
        Goal::Suspended => v1::desired_guest::Goal::Suspended,
        Goal::Shelved => v1::desired_guest::Goal::Shelved,
        Goal::Absent => v1::desired_guest::Goal::Absent,
        Goal::Outgoing => v1::desired_guest::Goal::Outgoing,
        Goal::Leaving => v1::desired_guest::Goal::Leaving,
        Goal::Arriving => v1::desired_guest::Goal::Arriving,
    };
    v1::DesiredGuest {
        instance: guest.instance.to_string(),
        generation: guest.desired.generation,
        goal: goal.into(),
        boot: guest.desired.boot,
        hard: guest.desired.hard,
        must_exist: guest.must_exist,
        spec: guest.spec.as_ref().map(|spec| v1::GuestSpec {
            rescue_image: guest.rescue.as_deref().map(image),
            ..guest_spec(spec, allocations)
        }),
        disks: guest.disks.as_ref().map(|disks| disk_move(state, disks)),
        transfer: guest.transfer.as_ref().map(|of| transfer(state, of)),
        rebuild: guest.rebuilds,
    }
}

fn guest_spec(spec: &InstanceSpec, allocations: Vec<v1::Allocation>) -> v1::GuestSpec {
    v1::GuestSpec {
        name: spec.name.clone(),
        project: spec.project.clone(),
        user: spec.user.clone(),
        flavor: Some(flavor(&spec.flavor)),
        image: spec.image.as_ref().map(image),
        user_data: spec.user_data.clone(),
        metadata: spec.metadata.clone().into_iter().collect(),
        availability_zone: spec.availability_zone.zone.clone(),
        allocations,
        rescue_image: None,
        key_pair: spec
            .key_pair
            .as_ref()
            .map(|of| v1::GuestKeyPair { name: of.name.clone(), public_key: of.public_key.clone() }),
    }
}

/// The message of a flavor.
pub(crate) fn flavor(flavor: &Flavor) -> v1::Flavor {
    v1::Flavor {
        name: flavor.name.clone(),
        vcpus: flavor.vcpus,
        memory_mb: flavor.memory_mb,
        root_gb: flavor.root_gb,
        ephemeral_gb: flavor.ephemeral_gb,
        swap_mb: flavor.swap_mb,
        extra_specs: flavor.extra_specs.clone().into_iter().collect(),
    }
}

/// Reads a flavor.
pub(crate) fn read_flavor(message: v1::Flavor) -> Flavor {
    let v1::Flavor { name, vcpus, memory_mb, root_gb, ephemeral_gb, swap_mb, extra_specs } = message;
    let extra_specs = extra_specs.into_iter().collect();
    Flavor { name, vcpus, memory_mb, root_gb, ephemeral_gb, swap_mb, extra_specs }
}

/// The message of an image.
pub(crate) fn image(image: &Image) -> v1::Image {
    v1::Image { name: image.name.clone(), properties: image.properties.clone().into_iter().collect() }
}

/// Reads an image.
pub(crate) fn read_image(v1::Image { name, properties }: v1::Image) -> Image {
    Image { name, properties: properties.into_iter().collect() }
}
/// Characters of a hypervisor's error that are kept. Each instance keeps many, in every record of
/// it.
const KEPT: usize = 500;

/// The beginning of an error, which names the cause as a rule.
fn beginning(error: &str) -> String {
    match error.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{}…", &error[..end]),
        None => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fencing command was given `--action=on` of an agent.
    #[test]
    fn an_address_is_no_option_of_a_command() {
        for good in ["", "10.0.0.7", "2001:db8::7", "compute-7.example.org"] {
            check_address(good).unwrap();
        }
        for bad in ["--action=on", "-7", ".", "$(reboot)", "a b", "h;x", "10.0.0.7/24", "[::1]"] {
            let refused = check_address(bad).unwrap_err().to_string();
            assert!(refused.contains("hello.hypervisor.address"), "{bad}: {refused}");
        }
    }

    #[test]
    fn a_long_error_keeps_its_beginning() {
        assert_eq!(beginning("no space"), "no space");
        assert_eq!(beginning(&"é".repeat(KEPT)), "é".repeat(KEPT));
        assert_eq!(beginning(&"é".repeat(KEPT + 1)), "é".repeat(KEPT) + "…");
    }
}
