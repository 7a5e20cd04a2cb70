//! The steps of guests with libvirt.

use std::collections::BTreeMap;

use uuid::Uuid;
use virt::domain::{Domain, DomainShutoffReason, DomainState, DomainStateReason};
use virt::enumutil::Enum;
use virt::error::{Error, ErrorNumber};
use virt::sys;

use super::blueprint::Blueprint;
use super::disks::Parts;
use super::fault::{fault, known};
use super::records::{self, NAMESPACE};
use super::{Inner, domain};
use crate::disks::DiskPart;
use crate::{Fault, Found, GuestRecord, GuestStep, Job, ObservedState, StepOutcome};

impl Inner {
    /// Runs a step. `parts`: what arrives of the disks that it fetches.
    pub(super) fn perform(&self, job: &Job, parts: Option<Parts>) -> StepOutcome {
        let result = match parts {
            Some(parts) => self.fetch(job, parts),
            None => self.step(job),
        };
        self.observed(job, result)
    }

    /// The outcome of a step, with the state of the guest after it.
    pub(super) fn observed(&self, job: &Job, result: Result<(), Fault>) -> StepOutcome {
        match self.power(job.instance, job.transfer.is_some()) {
            Ok(power) => StepOutcome { result, power: Some(power) },
            Err(fault) => StepOutcome { result: result.and(Err(fault)), power: None },
        }
    }

    /// The files of a guest that another host fetches: all, or what it needs before the guest is
    /// sent.
    pub(super) fn export(&self, guest: Uuid) -> Result<Vec<DiskPart>, Fault> {
        match self.power(guest, false)? {
            ObservedState::Running | ObservedState::Paused | ObservedState::Leaving => {
                self.disks.export_empty(guest)
            }
            _ => self.disks.export(guest),
        }
    }

    /// All guests with a domain, disks or a record.
    pub(super) fn guests(&self) -> Result<Vec<Found>, Fault> {
        let failed = |error: std::io::Error| Fault::transient(format!("listing guests: {error}"));
        let mut all: BTreeMap<Uuid, Found> = BTreeMap::new();
        for (instance, record) in self.records.all().map_err(failed)? {
            all.insert(instance, Found { instance, power: ObservedState::Absent, record });
        }
        for instance in self.disks.all().map_err(failed)? {
            let record = self.records.get(instance);
            all.insert(instance, Found { instance, power: ObservedState::Shelved, record });
        }
        let connect = self.connection.get()?;
        let domains = connect.list_all_domains(0).map_err(|error| fault("listing domains", &error))?;
        for domain in &domains {
            if let Some(found) = self.found(domain)? {
                all.insert(found.instance, found);
            }
        }
        Ok(all.into_values().collect())
    }

    /// The guest of a domain; None if the domain is not Berth's or was removed in the meantime.
    fn found(&self, domain: &Domain) -> Result<Option<Found>, Fault> {
        let Some(marked) = record_of(domain)? else { return Ok(None) };
        let asked = |error| fault("reading the UUID of a domain", &error);
        let instance = Uuid::from_bytes(domain.uuid().map_err(asked)?.into_bytes());
        let record = records::later(marked, self.records.get(instance));
        Ok(Some(Found { instance, power: self.power_on_the_way(instance, domain, false)?, record }))
    }

    fn power(&self, instance: Uuid, takes_part: bool) -> Result<ObservedState, Fault> {
        match self.domain(instance)? {
            Some(domain) => self.power_on_the_way(instance, &domain, takes_part),
            None if self.disks.has(instance) => Ok(ObservedState::Shelved),
            None => Ok(ObservedState::Absent),
        }
    }

    /// The state of a domain that another host may send, or that may be sent to another host.
    /// `takes_part`: the service says so. libvirt answers about the jobs of a hanging guest late,
    /// so it is not asked about one that runs and takes part in nothing.
    fn power_on_the_way(
        &self,
        instance: Uuid,
        domain: &Domain,
        takes_part: bool,
    ) -> Result<ObservedState, Fault> {
        let power = power_of(domain)?;
        match power {
            ObservedState::Running | ObservedState::Paused => self.note_cpu(instance, domain),
            _ => self.forget_cpu(instance),
        }
        if has_migrated(domain)? {
            return Ok(ObservedState::Leaving); // libvirtd undefines it next
        }
        if !matches!(power, ObservedState::Running | ObservedState::Paused) {
            return Ok(power);
        }
        if self.transfers.is_on_its_way(instance) {
            return Ok(ObservedState::Leaving);
        }
        if power == ObservedState::Running && !takes_part {
            return Ok(power);
        }
        match super::sys::job_operation(domain) {
            Ok(Some(sys::VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT)) => Ok(ObservedState::Leaving),
            Ok(Some(sys::VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN)) => Ok(ObservedState::Arriving),
            Ok(_) => Ok(power),
            Err(error) => match known(&error) {
                // libvirt has statistics of a guest that is sent, not of one that is received.
                Some(ErrorNumber::OperationUnsupported) => Ok(ObservedState::Arriving),
                Some(ErrorNumber::OperationInvalid) => Ok(power), // it has just ended
                _ => Err(fault("reading the job of a domain", &error)),
            },
        }
    }

    fn step(&self, job: &Job) -> Result<(), Fault> {
        let instance = job.instance;
        match job.step {
            GuestStep::Look => Ok(()),
            // A guest that is being removed needs no record in its domain, and the domain of a
            // hanging guest is locked.
            GuestStep::Remember(record) if job.spec.is_none() => self.records.put(instance, record),
            GuestStep::Remember(record) => self.remember(job, record),
            GuestStep::CheckDisks => self.check_disks(job),
            GuestStep::Prepare => self.prepare(job),
            GuestStep::Define => self.define(job),
            GuestStep::RemoveDisks => self.disks.remove(instance),
            GuestStep::SetAside(other) => self.disks.hand_over(instance, other),
            GuestStep::TakeBack(other) => self.disks.hand_over(other, instance),
            GuestStep::Adopt { migration, generation, may_build } => {
                self.adopt(job, (migration, generation), may_build)
            }
            GuestStep::Send { .. } => Err(Fault::permanent("sending outlives the step")), // `Libvirt::perform` begins it
            GuestStep::ForceSending => self.force_sending(instance),
            GuestStep::StopSending => self.stop_sending(instance),
            GuestStep::Return(migration) => self.disks.return_disks(instance, migration),
            GuestStep::Fetch => Err(Fault::permanent("desired_guest.disks: there is nothing to fetch")),
            GuestStep::Start => {
                self.disks.check_owner(instance)?;
                self.on(instance, "starting", |domain| domain.create().map(drop))
            }
            GuestStep::Restore => {
                self.disks.check_owner(instance)?;
                self.on(instance, "restoring", |domain| domain.create().map(drop))
            }
            GuestStep::Shutdown => self.on(instance, "asking to turn off", |domain| {
                domain.shutdown_flags(sys::VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN).map(drop)
            }),
            GuestStep::Destroy => self.on(instance, "turning off", Domain::destroy),
            GuestStep::Pause => self.on(instance, "pausing", |domain| domain.suspend().map(drop)),
            GuestStep::Resume => self.on(instance, "resuming", |domain| domain.resume().map(drop)),
            GuestStep::Save => {
                self.on(instance, "saving", |domain| domain.managed_save(sys::VIR_DOMAIN_SAVE_RUNNING))
            }
            GuestStep::DiscardSave => {
                self.on(instance, "discarding the saved memory", |domain| domain.managed_save_remove(0))
            }
            GuestStep::Undefine => self.on(instance, "undefining", undefine),
        }
    }

    pub(super) fn on(
        &self,
        instance: Uuid,
        doing: &str,
        act: impl FnOnce(&Domain) -> Result<(), Error>,
    ) -> Result<(), Fault> {
        let gone = || Fault::transient(format!("{doing}: there is no such domain"));
        let domain = self.domain(instance)?.ok_or_else(gone)?;
        act(&domain).map_err(|error| fault(doing, &error))
    }

    /// Stores the record in the state directory, and in the domain if one exists.
    fn remember(&self, job: &Job, record: GuestRecord) -> Result<(), Fault> {
        let instance = job.instance;
        self.records.put(instance, record)?;
        let Some(domain) = self.domain(instance)? else { return Ok(()) };
        if job.transfer.is_some()
            && matches!(
                self.power_on_the_way(instance, &domain, true)?,
                ObservedState::Leaving | ObservedState::Arriving
            )
        {
            return Ok(()); // the domain is locked meanwhile
        }
        let element = records::element("record", record).to_string();
        let asked = |error| fault("looking at a domain", &error);
        let live = if domain.is_active().map_err(asked)? { sys::VIR_DOMAIN_AFFECT_LIVE } else { 0 };
        // A domain that was undefined while it runs has only its live metadata.
        let is_defined = domain.is_persistent().map_err(asked)?;
        let config = if is_defined { sys::VIR_DOMAIN_AFFECT_CONFIG } else { 0 };
        domain
            .set_metadata(METADATA, Some(&element), Some("berth"), Some(NAMESPACE), live | config)
            .map_err(|error| fault("writing the metadata of a domain", &error))
    }

    fn prepare(&self, job: &Job) -> Result<(), Fault> {
        let (blueprint, spec) = self.blueprint(job)?;
        self.disks.prepare(&blueprint, spec, self.surveyed()?.capabilities.qemu_owner)
    }

    /// Checks what a rebuild needs, before it removes anything.
    fn check_disks(&self, job: &Job) -> Result<(), Fault> {
        let (blueprint, spec) = self.blueprint(job)?;
        self.check_machine(&blueprint)?;
        self.disks.check(&blueprint, spec)
    }

    fn fetch(&self, job: &Job, parts: Parts) -> Result<(), Fault> {
        let (blueprint, spec) = self.blueprint(job)?;
        self.disks.receive(&blueprint, spec, self.surveyed()?.capabilities.qemu_owner, parts)
    }

    fn adopt(&self, job: &Job, takeover: (Uuid, u64), may_build: bool) -> Result<(), Fault> {
        let asked = |error| fault("looking at a domain", &error);
        let is_active =
            self.domain(job.instance)?.map(|domain| domain.is_active()).transpose().map_err(asked)?;
        if is_active == Some(true) {
            return self.disks.take_over_in_use(job.instance, takeover); // the lock on the disks is its own guest's
        }
        let (blueprint, _) = self.blueprint(job)?;
        match self.disks.adopt(&blueprint, takeover, self.surveyed()?.capabilities.qemu_owner)? {
            true => Ok(()),
            false if may_build => self.prepare(job),
            false => Err(Fault::permanent("the storage has no disks of the guest")),
        }
    }

    fn define(&self, job: &Job) -> Result<(), Fault> {
        let connect = self.connection.get()?;
        let (blueprint, _) = self.blueprint(job)?;
        let surveyed = self.surveyed()?;
        self.check_machine(&blueprint)?;
        self.disks.set_rescue(&blueprint, surveyed.capabilities.qemu_owner)?;
        let files = self.disks.files(job.instance);
        let description =
            domain::describe(&surveyed.platform, &blueprint, &files, self.records.get(job.instance));
        connect
            .define_domain_xml(&description.to_string())
            .map(drop)
            .map_err(|error| fault("defining", &error))
    }

    fn check_machine(&self, Blueprint { machine, .. }: &Blueprint) -> Result<(), Fault> {
        if self.surveyed()?.capabilities.machines.contains(machine) {
            return Ok(());
        }
        Err(Fault::permanent(format!(
            "image.properties[hw_machine_type]: QEMU on this host has no {machine:?}"
        )))
    }

    fn blueprint<'a>(&self, job: &'a Job) -> Result<(Blueprint, &'a berth_api::v1::GuestSpec), Fault> {
        let spec = job.spec.as_deref().ok_or_else(|| Fault::permanent("desired_guest.spec: missing"))?;
        Ok((Blueprint::read(job.instance, spec, &self.images, &self.surveyed()?.parts)?, spec))
    }

    /// The domain of a guest, if it exists.
    pub(super) fn domain(&self, instance: Uuid) -> Result<Option<Domain>, Fault> {
        let connect = self.connection.get()?;
        let domain = match connect.lookup_domain_by_uuid_string(&instance.to_string()) {
            Ok(domain) => domain,
            Err(error) if known(&error) == Some(ErrorNumber::NoDomain) => return Ok(None),
            Err(error) => return Err(fault("looking for a domain", &error)),
        };
        match record_of(&domain)? {
            Some(_) => Ok(Some(domain)),
            // One that was received is gone as soon as it is received no longer.
            None if connect.lookup_domain_by_uuid_string(&instance.to_string()).is_err() => Ok(None),
            None => Err(Fault::permanent("a domain with this UUID is on the host, and it is not Berth's")),
        }
    }
}

const METADATA: i32 = sys::VIR_DOMAIN_METADATA_ELEMENT.cast_signed();

/// The record in a domain's metadata; None if the domain is not Berth's. A domain that was
/// undefined while it runs has only its live metadata.
fn record_of(domain: &Domain) -> Result<Option<GuestRecord>, Fault> {
    for flags in [sys::VIR_DOMAIN_AFFECT_CONFIG, sys::VIR_DOMAIN_AFFECT_LIVE] {
        match domain.metadata(METADATA, Some(NAMESPACE), flags) {
            Ok(metadata) => return Ok(Some(records::parse(&metadata))),
            Err(error) => match known(&error) {
                // The domain is transient, or does not run.
                Some(ErrorNumber::OperationInvalid) => {}
                Some(ErrorNumber::NoDomainMetadata | ErrorNumber::NoDomain) => return Ok(None),
                _ => return Err(fault("reading the metadata of a domain", &error)),
            },
        }
    }
    Ok(None)
}

/// Whether a domain is off because its guest was sent to another host.
fn has_migrated(domain: &Domain) -> Result<bool, Fault> {
    let (_, reason) = domain.state().map_err(|error| fault("reading the state of a domain", &error))?;
    Ok(matches!(
        reason,
        Enum::Known(DomainStateReason::Shutoff(reason)) if reason.is(DomainShutoffReason::Migrated)
    ))
}

pub(super) fn power_of(domain: &Domain) -> Result<ObservedState, Fault> {
    let asked = |error: Error| fault("reading the state of a domain", &error);
    let (state, reason) = domain.state().map_err(asked)?;
    Ok(match state.known() {
        Some(DomainState::Shutoff | DomainState::NoState) | None => {
            let is_crashed = matches!(
                reason,
                Enum::Known(DomainStateReason::Shutoff(reason)) if reason.is(DomainShutoffReason::Crashed)
            );
            match domain.has_managed_save(0).map_err(asked)? {
                true => ObservedState::Saved,
                false if is_crashed => ObservedState::Crashed,
                false => ObservedState::ShutDown,
            }
        }
        Some(DomainState::Crashed) => ObservedState::Crashed,
        Some(DomainState::Paused) => ObservedState::Paused,
        // A guest that is shutting down or sleeping still holds its memory.
        Some(
            DomainState::Running | DomainState::Blocked | DomainState::Shutdown | DomainState::PMSuspended,
        ) => ObservedState::Running,
    })
}

fn undefine(domain: &Domain) -> Result<(), Error> {
    domain.undefine_flags(
        sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | sys::VIR_DOMAIN_UNDEFINE_NVRAM
            | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA,
    )
}
