//! OpenDC's workload traces: Parquet, one row for each VM (`meta.parquet` of OpenDC 2,
//! `tasks.parquet` of OpenDC 3).
//!
//! `id`, `start_time` or `submission_time`, `stop_time` or `duration` (milliseconds), `cpu_count`,
//! and `mem_capacity` in MB. The load over time, which is in another file, is not read.

use compact_str::format_compact;
use parquet::record::{Field, Row};

use crate::columnar::{ParquetFile, damaged};
use crate::error::TraceError;
use crate::{Micros, Resources, Vm};

use super::vm;

pub(crate) fn read(file: &ParquetFile) -> Result<Vec<Vm>, TraceError> {
    let rows = parquet::file::reader::FileReader::get_row_iter(&file.reader, None);
    let rows = rows.map_err(|error| damaged(&file.path, &error))?;
    let vms = (1_u64..).zip(rows).map(|(number, row)| {
        let row = row.map_err(|error| damaged(&file.path, &error))?;
        vm_of(&row).map_err(|reason| TraceError::Damaged {
            path: file.path.clone(),
            reason: format!("row {number}: {reason}"),
        })
    });
    vms.collect()
}

fn vm_of(row: &Row) -> Result<Vm, String> {
    let field =
        |name: &str| row.get_column_iter().find(|(column, _)| *column == name).map(|(_, field)| field);
    let millis =
        |names: [&str; 2]| -> Option<u64> { names.iter().find_map(|name| field(name).and_then(whole)) };
    let arrival =
        millis(["submission_time", "start_time"]).ok_or("there is no submission_time and no start_time")?;
    let departure = match field("duration").and_then(whole) {
        Some(duration) => Some(arrival.saturating_add(duration)),
        None => field("stop_time").and_then(whole).map(|stop| stop.max(arrival)),
    };
    let count = |name: &str| field(name).and_then(whole).and_then(|count| u32::try_from(count).ok());
    let vcpus = count("cpu_count").ok_or("there is no cpu_count")?;
    let memory_mb = count("mem_capacity").ok_or("there is no mem_capacity")?;
    let id = match field("id") {
        Some(Field::Str(text)) => text.into(),
        Some(other) => other.to_string().into(),
        None => return Err("there is no id".to_owned()),
    };
    let micros = |millis: u64| Micros(millis.saturating_mul(1000));
    let resources = Resources { vcpus, memory_mb, disk_gb: 0 };
    let mut vm = vm(id, micros(arrival), departure.map(micros), resources);
    vm.flavor = format_compact!("{vcpus}x{memory_mb}");
    Ok(vm)
}

/// A number that is not negative, rounded up.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the casts saturate
fn whole(field: &Field) -> Option<u64> {
    match *field {
        Field::Byte(value) => u64::try_from(value).ok(),
        Field::Short(value) => u64::try_from(value).ok(),
        Field::Int(value) => u64::try_from(value).ok(),
        Field::Long(value) | Field::TimestampMillis(value) => u64::try_from(value).ok(),
        Field::TimestampMicros(value) => u64::try_from(value / 1000).ok(),
        Field::UByte(value) => Some(value.into()),
        Field::UShort(value) => Some(value.into()),
        Field::UInt(value) => Some(value.into()),
        Field::ULong(value) => Some(value),
        Field::Float(value) if value >= 0.0 => Some(value.ceil() as u64),
        Field::Double(value) if value >= 0.0 => Some(value.ceil() as u64),
        _ => None,
    }
}
