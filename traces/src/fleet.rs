//! Fleets in a short notation: `64x256x3840:1000`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use compact_str::ToCompactString;

use crate::error::shown;
use crate::{Resources, TraceHost};

/// A number of hosts of one shape.
///
/// Written `<vCPU>x<memory in GiB>x<disk in GB>:<count>`, or without the disk, which then never
/// binds: `64x256x3840:1000`, `64x256:1000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostShape {
    /// The capacity of each host.
    pub capacity: Resources,
    /// The number of hosts.
    pub count: u32,
}

impl HostShape {
    /// The disk, in GB, of a shape written without one: the most that Placement can record.
    pub const UNLIMITED_DISK: u32 = i32::MAX as u32;

    /// The shape in words: `1000 × 64 vCPU 256 GiB, 3840 GiB disk`; without the disk if it never
    /// binds.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { count, capacity: Resources { vcpus, memory_mb, disk_gb } } = self;
        let disk = match *disk_gb {
            Self::UNLIMITED_DISK => String::new(),
            disk => format!(", {disk} GiB disk"),
        };
        format!("{count} × {vcpus} vCPU {} GiB{disk}", memory_mb / 1024)
    }
}

/// A fleet of one or more shapes, written `64x256x3840:1000,96x768:200`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostShapes {
    /// The shapes, in the order of their hosts.
    pub shapes: Vec<HostShape>,
}

impl HostShapes {
    /// The largest number of hosts that the notation accepts: enough for any cloud, and few enough
    /// that a typing error does not exhaust memory.
    pub const MOST_HOSTS: u32 = 10_000_000;

    /// The shapes in words.
    #[must_use]
    pub fn words(&self) -> String {
        self.shapes.iter().map(HostShape::words).collect::<Vec<_>>().join("; ")
    }

    /// All hosts, in the order of the shapes; identifiers count from 0.
    #[must_use]
    pub fn hosts(&self) -> Vec<TraceHost> {
        let capacities = self.shapes.iter().flat_map(|s| (0..s.count).map(|_| s.capacity));
        capacities
            .zip(0_u64..)
            .map(|(capacity, id)| TraceHost::new(id.to_compact_string(), capacity))
            .collect()
    }
}

/// Why a fleet cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostShapesError {
    /// The text does not have the required form.
    #[error("host shape {0:?} is not of the form <vCPU>x<GiB>[x<disk GB>]:<count>, like 64x256x3840:1000")]
    Form(String),
    /// A shape without a count does not have the required form.
    #[error("host shape {0:?} is not of the form <vCPU>x<GiB>[x<disk GB>], like 64x256 or 64x256x3840")]
    Capacity(String),
    /// A number is invalid or too large.
    #[error("host shape {shape:?}: {what} {value:?} is not a whole number from {least} to {most}")]
    Number {
        /// The shape as written, shortened.
        shape: String,
        /// The name of the number.
        what: &'static str,
        /// The number as written, shortened.
        value: String,
        /// The smallest allowed value.
        least: u32,
        /// The largest allowed value.
        most: u32,
    },
    /// The shapes together have too many hosts.
    #[error("a fleet of {0} hosts is too large, the most is {most}", most = HostShapes::MOST_HOSTS)]
    TooLarge(u64),
}

impl HostShape {
    /// The amounts of a shape without a count, `64x256` or `64x256x3840`.
    ///
    /// # Errors
    /// The text has another form, or a number is invalid.
    pub fn capacity_of(text: &str) -> Result<Resources, HostShapesError> {
        let number = |what, value: &str, least, most| number(text, what, value, least..=most);
        let (vcpus, memory, disk) = match *text.split('x').collect::<Vec<_>>() {
            [vcpus, memory] => (vcpus, memory, None),
            [vcpus, memory, disk] => (vcpus, memory, Some(disk)),
            _ => return Err(HostShapesError::Capacity(shown(text.as_bytes()))),
        };
        Ok(Resources {
            vcpus: number("vCPU", vcpus, 1, u32::MAX)?,
            memory_mb: number("memory in GiB", memory, 1, u32::MAX / 1024)? * 1024,
            disk_gb: match disk {
                Some(disk) => number("disk in GB", disk, 0, u32::MAX)?,
                None => Self::UNLIMITED_DISK,
            },
        })
    }
}

/// A number of a shape.
fn number(
    shape: &str,
    what: &'static str,
    value: &str,
    allowed: RangeInclusive<u32>,
) -> Result<u32, HostShapesError> {
    value.parse().ok().filter(|number| allowed.contains(number)).ok_or_else(|| HostShapesError::Number {
        shape: shown(shape.as_bytes()),
        what,
        value: shown(value.as_bytes()),
        least: *allowed.start(),
        most: *allowed.end(),
    })
}

impl FromStr for HostShape {
    type Err = HostShapesError;

    fn from_str(text: &str) -> Result<Self, HostShapesError> {
        let form = || HostShapesError::Form(shown(text.as_bytes()));
        let (shape, count) = text.split_once(':').ok_or_else(form)?;
        let capacity = Self::capacity_of(shape).map_err(|error| match error {
            HostShapesError::Capacity(_) => form(),
            HostShapesError::Number { what, value, least, most, .. } => {
                HostShapesError::Number { shape: shown(text.as_bytes()), what, value, least, most }
            }
            error => error,
        })?;
        Ok(Self { capacity, count: number(text, "count", count, 1..=HostShapes::MOST_HOSTS)? })
    }
}

impl FromStr for HostShapes {
    type Err = HostShapesError;

    fn from_str(text: &str) -> Result<Self, HostShapesError> {
        let shapes =
            text.split(',').map(|shape| shape.trim().parse()).collect::<Result<Vec<HostShape>, _>>()?;
        match shapes.iter().map(|shape| u64::from(shape.count)).sum() {
            hosts if hosts > u64::from(Self::MOST_HOSTS) => Err(HostShapesError::TooLarge(hosts)),
            _ => Ok(Self { shapes }),
        }
    }
}

impl fmt::Display for HostShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Resources { vcpus, memory_mb, disk_gb } = self.capacity;
        write!(f, "{vcpus}x{}", memory_mb / 1024)?;
        if disk_gb != Self::UNLIMITED_DISK {
            write!(f, "x{disk_gb}")?;
        }
        write!(f, ":{}", self.count)
    }
}

impl fmt::Display for HostShapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, shape) in self.shapes.iter().enumerate() {
            write!(f, "{}{shape}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_and_written() {
        let capacity = Resources { vcpus: 64, memory_mb: 262_144, disk_gb: 3840 };
        let fleet: HostShapes = "64x256x3840:2,96x768:1".parse().unwrap();
        let larger = Resources { vcpus: 96, memory_mb: 786_432, disk_gb: HostShape::UNLIMITED_DISK };
        assert_eq!(
            fleet.shapes,
            [HostShape { capacity, count: 2 }, HostShape { capacity: larger, count: 1 }]
        );
        assert_eq!(fleet.to_string(), "64x256x3840:2,96x768:1");
        assert_eq!(fleet.words(), "2 × 64 vCPU 256 GiB, 3840 GiB disk; 1 × 96 vCPU 768 GiB");
        let hosts = fleet.hosts();
        assert_eq!(hosts[..2], [TraceHost::new("0", capacity), TraceHost::new("1", capacity)]);
        assert_eq!(hosts[2], TraceHost::new("2", larger));
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let form = |shape| {
            format!(
                "host shape {shape:?} is not of the form <vCPU>x<GiB>[x<disk GB>]:<count>, \
                 like 64x256x3840:1000"
            )
        };
        for (text, message) in [
            ("", form("")),
            ("64x256", form("64x256")),
            ("64:1", form("64:1")),
            ("1x2x3x4:1", form("1x2x3x4:1")),
            ("64x256:1,", form("")),
            (
                "0x256:1",
                "host shape \"0x256:1\": vCPU \"0\" is not a whole number from 1 to 4294967295".into(),
            ),
            (
                "64xmuch:1",
                "host shape \"64xmuch:1\": memory in GiB \"much\" is not a whole number from 1 to 4194303"
                    .into(),
            ),
            (
                "64x4194304:1",
                "host shape \"64x4194304:1\": memory in GiB \"4194304\" is not a whole number from 1 to 4194303"
                    .into(),
            ),
            (
                "64x256x-1:1",
                "host shape \"64x256x-1:1\": disk in GB \"-1\" is not a whole number from 0 to 4294967295"
                    .into(),
            ),
            (
                "64x256:0",
                "host shape \"64x256:0\": count \"0\" is not a whole number from 1 to 10000000".into(),
            ),
            (
                "64x256:9000000,64x256:9000000",
                "a fleet of 18000000 hosts is too large, the most is 10000000".into(),
            ),
        ] {
            assert_eq!(text.parse::<HostShapes>().unwrap_err().to_string(), message);
        }
    }
}
