//! The hosts of a scenario.

use berth_traces::{HostShape, HostShapes, Resources, TraceHost};
use compact_str::{CompactString, format_compact};

use crate::scenario::ScenarioError;
use crate::scenario::config::{FleetSpec, ShapeSpec};

/// The fleet without one in the scenario.
const DEFAULT_HOSTS: &str = "64x256x3840:1000";

/// Hosts, and what they are called together.
#[derive(Debug, Clone)]
pub struct FleetBuilt {
    /// The hosts, in the order of the shapes.
    pub hosts: Vec<TraceHost>,
    /// A description for reports.
    pub name: String,
    /// The price of all hosts, if every shape has one.
    pub price: Option<f64>,
    /// Whether disk binds on any host.
    pub has_disk: bool,
}

/// The hosts of the settings. `file` is the content of the fleet file that they name: hosts or
/// shapes.
///
/// # Errors
/// Two sources of hosts, or impossible amounts.
pub fn build(spec: &FleetSpec, file: Option<FleetFile>) -> Result<FleetBuilt, ScenarioError> {
    if [spec.cpu_ratio, spec.memory_ratio].iter().flatten().any(|ratio| !ratio.is_finite() || *ratio <= 0.0) {
        return Err(ScenarioError::new("fleet: cpu_ratio and memory_ratio are larger than 0"));
    }
    let sources =
        usize::from(spec.hosts.is_some()) + usize::from(file.is_some()) + usize::from(!spec.shape.is_empty());
    if sources > 1 {
        return Err(ScenarioError::new("fleet: only one of hosts, file and shape"));
    }
    let mut shapes = spec.shape.clone();
    let mut built = match file {
        Some(FleetFile::Hosts(mut hosts)) => {
            override_ratios(&mut hosts, spec);
            named(format!("{} hosts of a file", hosts.len()), hosts)
        }
        Some(FleetFile::Shapes(own)) => {
            shapes = own;
            of_shapes(&shapes, spec)?
        }
        None if !shapes.is_empty() => of_shapes(&shapes, spec)?,
        None => {
            let text = spec.hosts.as_deref().unwrap_or(DEFAULT_HOSTS);
            let fleet: HostShapes =
                text.parse().map_err(|error| ScenarioError::new(&format!("fleet.hosts: {error}")))?;
            let mut hosts = fleet.hosts();
            override_ratios(&mut hosts, spec);
            named(HostShapes::words(&fleet), hosts)
        }
    };
    if let Some(cells) = spec.numa_cells {
        built.hosts.iter_mut().filter(|host| host.numa_cells == 0).for_each(|host| host.numa_cells = cells);
    }
    let prices = shapes.iter().map(|shape| shape.price.map(|price| price * f64::from(shape.count)));
    built.price = if shapes.is_empty() { None } else { prices.sum() };
    Ok(built)
}

/// Applies the ratios of the settings in place of those that the capacities have.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the cast saturates
fn override_ratios(hosts: &mut [TraceHost], spec: &FleetSpec) {
    let with = |amount: &mut u32, applied: &mut u32, ratio: Option<f64>| {
        let Some(ratio) = ratio else { return };
        let before = if *applied == 0 { 1.0 } else { f64::from(*applied) / 1000.0 };
        // A product that is whole, but for its last bits, stays that number.
        *amount =
            (f64::from(*amount) * ratio / before + 1e-6).min(f64::from(HostShape::UNLIMITED_DISK)) as u32;
        *applied = scaled(1000, ratio);
    };
    for host in hosts {
        with(&mut host.capacity.vcpus, &mut host.cpu_ratio_milli, spec.cpu_ratio);
        with(&mut host.capacity.memory_mb, &mut host.memory_ratio_milli, spec.memory_ratio);
    }
}

/// What a fleet file contains.
#[derive(Debug, Clone)]
pub enum FleetFile {
    /// Hosts, one by one.
    Hosts(Vec<TraceHost>),
    /// Shapes with counts.
    Shapes(Vec<ShapeSpec>),
}

fn named(name: String, hosts: Vec<TraceHost>) -> FleetBuilt {
    let has_disk = hosts.iter().any(|host| host.capacity.disk_gb != HostShape::UNLIMITED_DISK);
    FleetBuilt { hosts, name, price: None, has_disk }
}

fn of_shapes(shapes: &[ShapeSpec], spec: &FleetSpec) -> Result<FleetBuilt, ScenarioError> {
    let total: u64 = shapes.iter().map(|shape| u64::from(shape.count)).sum();
    if total > u64::from(HostShapes::MOST_HOSTS) {
        return Err(ScenarioError::new(&format!("fleet: {total} hosts are too many")));
    }
    let mut hosts = Vec::new();
    let mut names = Vec::new();
    for (number, shape) in shapes.iter().enumerate() {
        let capacity = capacity(shape, spec)?;
        let name = if shape.name.is_empty() { format!("shape{number}") } else { shape.name.clone() };
        names.push(HostShape { capacity, count: shape.count }.words());
        for i in 0..shape.count as usize {
            let of =
                |list: &[String]| list.get(i % list.len().max(1)).map_or("", |text| text.as_str()).into();
            let rack: CompactString = match shape.racks {
                0 => CompactString::default(),
                racks => format_compact!("{name}-r{}", i % racks as usize),
            };
            hosts.push(TraceHost {
                id: format_compact!("{name}-{i}"),
                capacity,
                zone: of(&shape.zones),
                aggregates: shape.aggregates.iter().map(|(key, value)| (key.into(), value.into())).collect(),
                traits: shape.traits.iter().map(Into::into).collect(),
                rack,
                generation: shape.generation.as_str().into(),
                numa_cells: shape.numa_cells,
                gpus: shape.gpus,
                gpu_model: shape.gpu_model.as_str().into(),
                ..TraceHost::default()
            });
        }
    }
    Ok(named(names.join("; "), hosts))
}

/// What VMs can have: (physical amount - reserved) × ratio, as Placement counts it.
fn capacity(shape: &ShapeSpec, spec: &FleetSpec) -> Result<Resources, ScenarioError> {
    let name = &shape.name;
    let bad = |what: &str| ScenarioError::new(&format!("fleet: shape {name:?}: {what}"));
    if shape.vcpus == 0 {
        return Err(bad("vcpus is missing"));
    }
    let memory = mib(shape.memory_gib)
        .filter(|&memory| memory > 0)
        .ok_or_else(|| bad("memory_gib is missing or too large"))?;
    let reserved =
        mib(shape.reserved_memory_gib).ok_or_else(|| bad("reserved_memory_gib is not possible"))?;
    let ratios =
        [spec.cpu_ratio.or(shape.cpu_ratio), spec.memory_ratio.or(shape.memory_ratio), shape.disk_ratio];
    if ratios.iter().flatten().any(|ratio| !ratio.is_finite() || *ratio <= 0.0) {
        return Err(bad("a ratio is larger than 0"));
    }
    let [cpu, ram, disk] = ratios.map(|ratio| ratio.unwrap_or(1.0));
    let left = |total: u32, reserved: u32, what: &str| total.checked_sub(reserved).ok_or_else(|| bad(what));
    let vcpus = scaled(left(shape.vcpus, shape.reserved_vcpus, "more vCPUs are reserved than it has")?, cpu);
    let memory_mb = scaled(left(memory, reserved, "more memory is reserved than it has")?, ram);
    let disk_gb = match shape.disk_gb {
        Some(total) => {
            scaled(left(total, shape.reserved_disk_gb, "more disk is reserved than it has")?, disk)
        }
        None => HostShape::UNLIMITED_DISK,
    };
    Ok(Resources { vcpus, memory_mb, disk_gb })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked against the range
fn mib(gib: f64) -> Option<u32> {
    let mib = (gib * 1024.0).round();
    (0.0..=f64::from(i32::MAX)).contains(&mib).then_some(mib as u32)
}

/// The amount times the ratio, rounded down, at most what Placement can record.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the cast saturates
fn scaled(amount: u32, ratio: f64) -> u32 {
    ((f64::from(amount) * ratio) as u32).min(HostShape::UNLIMITED_DISK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::config::fleet_file;

    const FILE: &str = "\
        [[shape]]\nname = \"gold\"\ncount = 4\nvcpus = 64\nmemory_gib = 256\nreserved_memory_gib = 16\ncpu_ratio = 4.0\n\
        zones = [\"az1\", \"az2\"]\nracks = 2\ngeneration = \"v5\"\ntraits = [\"CUSTOM_GOLD\"]\naggregates = { ssd = \"true\" }\n\
        price = 10.0\n\
        [[shape]]\nname = \"plain\"\ncount = 1\nvcpus = 32\nmemory_gib = 64\ndisk_gb = 1000\nreserved_disk_gb = 100\nnuma_cells = 2\n\
        price = 2.5\n";

    #[test]
    fn shapes_become_hosts() {
        let spec = fleet_file(FILE, false).unwrap();
        let built = build(&FleetSpec::default(), Some(FleetFile::Shapes(spec.shape))).unwrap();
        assert_eq!(built.hosts.len(), 5);
        let gold = &built.hosts[1];
        assert_eq!(
            gold.capacity,
            Resources { vcpus: 256, memory_mb: 240 * 1024, disk_gb: HostShape::UNLIMITED_DISK }
        );
        assert_eq!((gold.id.as_str(), gold.zone.as_str(), gold.rack.as_str()), ("gold-1", "az2", "gold-r1"));
        assert_eq!((gold.generation.as_str(), gold.traits.len(), gold.aggregates.len()), ("v5", 1, 1));
        assert_eq!((built.hosts[4].capacity.disk_gb, built.hosts[4].numa_cells), (900, 2));
        assert_eq!((built.price, built.has_disk), (Some(42.5), true));
        assert_eq!(built.name, "4 × 256 vCPU 240 GiB; 1 × 32 vCPU 64 GiB, 900 GiB disk");
    }

    #[test]
    fn a_ratio_replaces_the_one_that_a_file_has_applied() {
        let host = |vcpus, cpu_ratio_milli| TraceHost {
            cpu_ratio_milli,
            ..TraceHost::new("a", Resources { vcpus, memory_mb: 1024, disk_gb: 0 })
        };
        let file = || Some(FleetFile::Hosts(vec![host(256, 4_000), host(64, 0)]));
        let built = build(&FleetSpec { cpu_ratio: Some(3.0), ..FleetSpec::default() }, file()).unwrap();
        assert_eq!((&built.hosts[0], &built.hosts[1]), (&host(192, 3_000), &host(192, 3_000)));
        let error = build(&FleetSpec { cpu_ratio: Some(0.0), ..FleetSpec::default() }, file()).unwrap_err();
        assert!(error.to_string().contains("larger than 0"), "{error}");
    }

    #[test]
    fn impossible_fleets_are_refused() {
        for (text, words) in [
            ("[[shape]]\nname = \"a\"\ncount = 1\nmemory_gib = 1\n", "shape \"a\": vcpus is missing"),
            ("[[shape]]\ncount = 1\nvcpus = 1\n", "memory_gib is missing"),
            (
                "[[shape]]\ncount = 1\nvcpus = 1\nmemory_gib = 1\nreserved_vcpus = 2\n",
                "more vCPUs are reserved",
            ),
            (
                "[[shape]]\ncount = 1\nvcpus = 1\nmemory_gib = 1\ncpu_ratio = 0.0\n",
                "a ratio is larger than 0",
            ),
        ] {
            let spec = fleet_file(text, false).unwrap();
            let error = build(&spec, None).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let both = FleetSpec { hosts: Some("1x1:1".into()), ..fleet_file(FILE, false).unwrap() };
        assert!(build(&both, None).unwrap_err().to_string().contains("only one of"));
    }
}
