//! Azure's trace for packing (2020): a SQLite database with the tables `vm` and `vmType`.
//!
//! Hadary et al., *Protean: VM Allocation Service at Scale*, OSDI'20. A type says which share of
//! each machine it takes, for every kind of machine that it can run on. The trace has one machine
//! here: the kind that most VMs can run on. VMs that cannot run on it are left out. A machine
//! counts as 1,000 vCPU, 1,000 GiB of memory and 1,000 GB of disk (the larger share of SSD and hard
//! disk). Times are days; a VM that ran before the trace began arrives at 0.

use std::collections::BTreeMap;
use std::path::Path;

use compact_str::{ToCompactString, format_compact};

use crate::error::TraceError;
use crate::sqlite::{Database, Table, Value};
use crate::{Demands, Micros, Resources, Vm};

use super::{WHOLE_MACHINE, WHOLE_MACHINE_MIB, vm};

const MICROS_PER_DAY: f64 = 86_400.0 * 1e6;

type Types = BTreeMap<i64, BTreeMap<i64, Resources>>;

pub(crate) fn read(path: &Path) -> Result<Vec<Vm>, TraceError> {
    let database = Database::open(path)?;
    let types = types(path, &database)?;
    let table = database.table("vm")?;
    let columns = ["vmId", "tenantId", "vmTypeId", "priority", "starttime", "endtime"];
    let places = places(path, &table, columns)?;
    let (mut drafts, mut requests): (Vec<(Vm, i64)>, BTreeMap<i64, u64>) = Default::default();
    database.each_row(&table, &mut |row| {
        let value = |column: usize| row.get(places[column]).unwrap_or(&Value::Null);
        let kind = integer(value(2)).ok_or("a VM has no vmTypeId")?;
        let start = value(4).number().ok_or("a VM has no starttime")?;
        let arrival = micros(start);
        let departure = value(5).number().map(|end| micros(end).max(arrival));
        let priority = value(3).text();
        let demands = Demands {
            project: value(1).text().into(),
            extra: vec![("priority".into(), priority.into())],
            ..Demands::default()
        };
        let mut vm = vm(value(0).text().into(), arrival, departure, Resources::default());
        vm.flavor = kind.to_compact_string();
        vm.demands = Some(Box::new(demands));
        *requests.entry(kind).or_default() += 1;
        drafts.push((vm, kind));
        Ok(())
    })?;
    let Some(machine) = machine_of_most(&types, &requests) else { return Ok(Vec::new()) };
    let sized = drafts.into_iter().filter_map(|(mut vm, kind)| {
        vm.resources = *types.get(&kind)?.get(&machine)?;
        vm.flavor = format_compact!("{kind}@{machine}");
        Some(vm)
    });
    Ok(sized.collect())
}

/// The kind of machine on which most of the requested VMs can run; the lowest number of equal ones.
fn machine_of_most(types: &Types, requests: &BTreeMap<i64, u64>) -> Option<i64> {
    let mut vms: BTreeMap<i64, u64> = BTreeMap::new();
    for (kind, count) in requests {
        for machine in types.get(kind).into_iter().flat_map(BTreeMap::keys) {
            *vms.entry(*machine).or_default() += count;
        }
    }
    vms.into_iter()
        .max_by_key(|&(machine, count)| (count, std::cmp::Reverse(machine)))
        .map(|(machine, _)| machine)
}

fn types(path: &Path, database: &Database) -> Result<Types, TraceError> {
    let table = database.table("vmType")?;
    let places = places(path, &table, ["vmTypeId", "machineId", "core", "memory", "hdd", "ssd"])?;
    let mut types = Types::new();
    database.each_row(&table, &mut |row| {
        let value = |column: usize| row.get(places[column]).unwrap_or(&Value::Null);
        let (kind, machine) =
            integer(value(0)).zip(integer(value(1))).ok_or("a vmType has no vmTypeId or machineId")?;
        let share = |column: usize| value(column).number().unwrap_or(0.0);
        let resources = Resources {
            vcpus: parts(share(2), WHOLE_MACHINE),
            memory_mb: parts(share(3), WHOLE_MACHINE_MIB),
            disk_gb: parts(share(4).max(share(5)), WHOLE_MACHINE),
        };
        types.entry(kind).or_default().insert(machine, resources);
        Ok(())
    })?;
    Ok(types)
}

fn places<const N: usize>(
    path: &Path,
    table: &Table,
    columns: [&'static str; N],
) -> Result<[usize; N], TraceError> {
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(columns) {
        let missing = || TraceError::MissingColumn { path: path.to_owned(), column };
        *place = table.column(column).ok_or_else(missing)?;
    }
    Ok(places)
}

#[allow(clippy::cast_possible_truncation)] // identifiers are whole
fn integer(value: &Value) -> Option<i64> {
    value.number().map(|number| number as i64)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the casts saturate: times before the trace are 0
fn micros(days: f64) -> Micros {
    Micros((days * MICROS_PER_DAY).round() as u64)
}

/// Rounded up, but for the last bits of a share that is a whole number of parts.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the cast saturates
fn parts(share: f64, whole: u32) -> u32 {
    (share * f64::from(whole) - 1e-6).ceil().max(0.0) as u32
}
