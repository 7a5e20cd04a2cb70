//! The table `instances` of Nova's database, as CSV or as `mysql --batch` prints it (tabs).
//!
//! `SELECT * FROM instances` of a cell's database. A VM arrives at `created_at` and leaves at
//! `terminated_at`, or `deleted_at`; it is in the zone, on the host and of the project that the
//! columns name. Instances that never got a host are in the trace, too.

use compact_str::format_compact;

use crate::error::TraceError;
use crate::neutral::rounded_up;
use crate::rows::{Field, Rows};
use crate::{BatchNumber, Demands, Resources, Vm};

use super::{Numbers, vm};

pub(crate) const COLUMNS: [&str; 4] = ["uuid", "created_at", "vcpus", "memory_mb"];

pub(crate) fn read(mut rows: Rows) -> Result<Vec<Vm>, TraceError> {
    let names = [
        "uuid",
        "created_at",
        "vcpus",
        "memory_mb",
        "root_gb",
        "ephemeral_gb",
        "terminated_at",
        "deleted_at",
        "availability_zone",
        "host",
        "project_id",
        "reservation_id",
        "instance_type_id",
    ];
    let places = names.map(|name| rows.place(name));
    let (mut vms, mut reservations) = (Vec::new(), Numbers::default());
    while rows.advance()? {
        let [
            uuid,
            created,
            vcpus,
            memory,
            root,
            ephemeral,
            terminated,
            deleted,
            zone,
            host,
            project,
            reservation,
            flavor,
        ]: [Field<'_>; 13] = std::array::from_fn(|i| rows.field(places[i], names[i]));
        let arrival = created.moment()?;
        let ended = terminated.optional(Field::moment)?.or(deleted.optional(Field::moment)?);
        let amount =
            |field: Field<'_>| field.optional(|field| rounded_up(*field)).map(Option::unwrap_or_default);
        let resources = Resources {
            vcpus: vcpus.count()?,
            memory_mb: rounded_up(memory)?,
            disk_gb: amount(root)?.saturating_add(amount(ephemeral)?),
        };
        // Clocks of several hosts wrote the times.
        let mut vm = vm(uuid.text()?, arrival, ended.map(|ended| ended.max(arrival)), resources);
        let flavor = flavor.present_text()?;
        vm.flavor = if flavor.is_empty() {
            format_compact!("{}x{}x{}", resources.vcpus, resources.memory_mb, resources.disk_gb)
        } else {
            flavor
        };
        let reservation = reservation.present_text()?;
        vm.batch = if reservation.is_empty() { None } else { BatchNumber::new(reservations.of(reservation)) };
        let demands = Demands {
            zone: zone.present_text()?,
            host: host.present_text()?,
            project: project.present_text()?,
            ..Demands::default()
        };
        vm.demands = (demands != Demands::default()).then(|| Box::new(demands));
        vms.push(vm);
    }
    Ok(vms)
}
