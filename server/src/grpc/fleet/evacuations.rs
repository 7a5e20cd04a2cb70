//! Fencing and evacuating hosts.

use std::io::{self, PipeReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use berth_api::v1;
use berth_fleet::{EvacuationPhase, FleetError, HostEvacuationState, LiveDisks, LiveOptions, VmState};
use tonic::{Code, Status};

use super::CallError;
use crate::fleet::Evacuation;
use crate::grpc::call::Call;
use crate::grpc::status::{bad_field, refused};
use crate::service::Service;

/// How long a fencing command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most bytes of a fencing command's output in a refusal.
const OUTPUT: u64 = 1000;

/// How often the end of a fencing command is looked for.
const POLL: Duration = Duration::from_millis(50);

/// How long its output is waited for after its end.
const LINGER: Duration = Duration::from_secs(1);

/// Runs the fencing command for a host that is down. To be called before a fence record is made
/// that is no operator's word.
pub(super) async fn run_fencing(service: &Service, host: &str) -> Result<(), Status> {
    let fleet = Arc::clone(&service.epoch().fleet);
    let facts = fleet.observe_moment(|fleet, now| {
        fleet.check_down(host, now)?;
        let address_of = |name: &str| {
            let known = fleet.state().host(name)?.hypervisor.as_ref()?;
            Some(known.address.clone()).filter(|address| !address.is_empty())
        };
        Ok::<_, FleetError>(fleet.state().host(host).map(|known| {
            // The address is the agent's word: it must not cut another host off.
            let others = fleet.host_names().filter(|name| **name != *host);
            let address = address_of(host).filter(|own| {
                let mut others = others;
                !others.any(|name| address_of(name).as_ref() == Some(own))
            });
            (known.uuid.to_string(), address)
        }))
    });
    let (uuid, address) = facts.map_err(|error| Status::from(CallError::from(error)))?.unwrap_or_default();
    let command = &service.options.fence_command;
    if address.is_none() && command.iter().any(|word| word.contains("{address}")) {
        let message = format!(
            "serve.fence_command: host {host:?} has no address, or another host has the same; use {{host}} or {{uuid}}"
        );
        return Err(refused(Code::FailedPrecondition, "FENCING_FAILED", message));
    }
    let address = address.unwrap_or_default();
    let words = command
        .iter()
        .map(|word| word.replace("{host}", host).replace("{uuid}", &uuid).replace("{address}", &address));
    let words: Vec<String> = words.collect();
    let Some((program, arguments)) = words.split_first() else {
        let message = "no fencing command is configured (serve.fence_command): power the host off, then say so (--fenced)";
        return Err(refused(Code::FailedPrecondition, "NO_FENCING", message));
    };
    let failed = |why: String| {
        let message = format!("host {host:?} is not fenced: {program}: {why}");
        refused(Code::FailedPrecondition, "FENCING_FAILED", message)
    };
    let (output, writer) = io::pipe().map_err(|error| failed(error.to_string()))?;
    let clone = writer.try_clone().map_err(|error| failed(error.to_string()))?;
    let mut fencing = Command::new(program);
    fencing.args(arguments).stdin(Stdio::null()).stderr(clone).stdout(writer);
    let child = fencing.spawn().map_err(|error| failed(error.to_string()))?;
    drop(fencing); // closes its ends of the pipe
    // A task of its own: the command runs to its end even if the client leaves.
    match tokio::spawn(ended(child, output)).await.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
        Err(error) => Err(failed(error.to_string())),
        Ok((status, _)) if status.success() => Ok(()),
        Ok((status, output)) => Err(failed(format!("{status}: {}", output.trim()))),
    }
}

/// The end of a program, and the beginning of its output. If it takes too long, it is killed.
async fn ended(mut child: Child, output: PipeReader) -> io::Result<(ExitStatus, String)> {
    let reading = tokio::task::spawn_blocking(move || beginning(output));
    let exited = async {
        let mut ticks = tokio::time::interval(POLL);
        loop {
            ticks.tick().await;
            if let Some(status) = child.try_wait()? {
                return Ok::<_, io::Error>(status);
            }
        }
    };
    match tokio::time::timeout(PATIENCE, exited).await {
        Ok(status) => {
            // A process that it started may have the pipe open: its output is not waited for.
            let output = tokio::time::timeout(LINGER, reading).await.map(Result::unwrap_or_default);
            Ok((status?, output.unwrap_or_default()))
        }
        Err(_) => {
            child.kill()?;
            child.wait()?;
            Err(io::Error::other(format!("takes longer than {} s", PATIENCE.as_secs())))
        }
    }
}

/// The beginning of an output that is read to its end, so that its writer is not blocked.
fn beginning(mut output: PipeReader) -> String {
    let mut bytes = Vec::new();
    let read = output.by_ref().take(OUTPUT).read_to_end(&mut bytes);
    let drained = read.and_then(|_| io::copy(&mut output, &mut io::sink()));
    if let Err(error) = drained {
        tracing::warn!(%error, "the output of the fencing command cannot be read");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Makes sure that a host is fenced: by its record, the operator's word, or the fencing command.
pub(crate) async fn ensure_fenced(
    service: &Service,
    host: &str,
    is_fenced: bool,
    user: &str,
) -> Result<(), Status> {
    let fleet = Arc::clone(&service.epoch().fleet);
    let checked = fleet.observe_moment(|fleet, now| fleet.check_fenced(host, now));
    let is_unfenced = match checked {
        Err(FleetError::Precondition { reason, .. }) if reason == berth_fleet::NOT_FENCED => true,
        checked => {
            checked.map_err(|error| Status::from(CallError::from(error)))?;
            false
        }
    };
    let has_command = !service.options.fence_command.is_empty();
    if !is_unfenced || !(is_fenced || has_command) {
        return Ok(()); // the command that needs the record refuses, and says what to do
    }
    if !is_fenced {
        run_fencing(service, host).await?;
    }
    fleet.fence_host(host, user, !is_fenced).map(drop).map_err(|error| CallError::from(error).into())
}

/// The state after an evacuation.
pub(crate) fn target_state(state: i32) -> Result<Option<VmState>, Status> {
    match v1::EvacuatedState::try_from(state) {
        Ok(v1::EvacuatedState::Unspecified) => Ok(None),
        Ok(v1::EvacuatedState::Active) => Ok(Some(VmState::Active)),
        Ok(v1::EvacuatedState::Stopped) => Ok(Some(VmState::Stopped)),
        Err(_) => Err(bad_field("state", format!("{state} is no state after an evacuation"))),
    }
}

pub(super) fn evacuate(
    call: &Call<'_>,
    wanted: &v1::EvacuateHostRequest,
    user: &str,
) -> Result<v1::HostEvacuation, CallError> {
    if let Some(live) = &wanted.live {
        return evacuate_live(call, wanted, live, user);
    }
    let evacuation =
        Evacuation { host: String::new(), rebuild: wanted.rebuild, state: target_state(wanted.state)? };
    let run = tokio::task::block_in_place(|| call.fleet.evacuate_host(&wanted.name, &evacuation, user))?;
    Ok(message(&wanted.name, &run))
}

fn evacuate_live(
    call: &Call<'_>,
    wanted: &v1::EvacuateHostRequest,
    live: &v1::LiveEvacuation,
    user: &str,
) -> Result<v1::HostEvacuation, CallError> {
    let of_dead_hosts = [
        ("fenced", wanted.fenced),
        ("rebuild", wanted.rebuild),
        ("state", target_state(wanted.state)?.is_some()),
    ];
    if let Some((field, _)) = of_dead_hosts.into_iter().find(|(_, is_set)| *is_set) {
        return Err(bad_field(field, "is for hosts that are down, and cannot be set with live").into());
    }
    let &v1::LiveEvacuation { bandwidth_mib, timeout_s, forces_at_timeout } = live;
    let options = LiveOptions { disks: LiveDisks::Any, bandwidth_mib, timeout_s, forces_at_timeout };
    let run = tokio::task::block_in_place(|| call.fleet.evacuate_host_live(&wanted.name, &options, user))?;
    Ok(message(&wanted.name, &run))
}

pub(super) fn get(
    call: &Call<'_>,
    wanted: &v1::GetHostEvacuationRequest,
) -> Result<v1::HostEvacuation, CallError> {
    Ok(message(&wanted.name, &call.fleet.read(|fleet| fleet.host_evacuation(&wanted.name))?))
}

fn message(host: &str, evacuation: &HostEvacuationState) -> v1::HostEvacuation {
    use v1::host_evacuation::State;
    let run = &evacuation.run;
    let state = match (run.phase, evacuation.open(), evacuation.failed()) {
        (EvacuationPhase::Proving, ..) => State::Proving,
        (EvacuationPhase::Moving, 0, 0) => State::Done,
        (EvacuationPhase::Moving, 0, _) => State::Incomplete,
        (EvacuationPhase::Moving, ..) => State::Moving,
    };
    let moved = evacuation.instances.iter().filter_map(|(instance, migration)| {
        let migration = migration.as_deref()?;
        let target = if migration.target.is_empty() { &instance.location.host } else { &migration.target };
        Some(v1::EvacuatedInstance {
            instance: instance.uuid.to_string(),
            name: instance.spec.name.clone(),
            status: migration.status(instance).to_owned(),
            host: target.clone(),
            reason: migration.error.clone(),
        })
    });
    let skipped = run.skipped.iter().map(|(uuid, reason)| v1::EvacuatedInstance {
        instance: uuid.to_string(),
        status: "skipped".to_owned(),
        host: host.to_owned(),
        reason: reason.clone(),
        ..v1::EvacuatedInstance::default()
    });
    v1::HostEvacuation {
        uuid: run.uuid.to_string(),
        host: host.to_owned(),
        state: state.into(),
        user: run.user.clone(),
        live: run.is_live,
        created_at: run.created_at.0,
        instances: moved.chain(skipped).collect(),
    }
}
