//! The check that Nova's own services ask for, which users may not.

/// The purpose of a request that only checks, instead of an ordinary placement.
///
/// Nova's conductor sends it as hint `_nova_check_type`, in the same map as the hints of users.
/// Here it is a field of its own, so no hint can set it: only code that knows the sender to be a
/// service of the control plane does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckType {
    /// Whether an instance may be rebuilt where it is: it holds its resources there already.
    Rebuild,
    /// Anything else: forced hosts have to pass the filters.
    Other,
}

impl CheckType {
    /// The hint's name on the wire between Nova's services.
    pub const HINT: &str = "_nova_check_type";

    /// The check that the values of the conductor's hint stand for. Nova takes exactly
    /// `["rebuild"]` for a rebuild.
    #[must_use]
    pub fn from_conductor(values: &[String]) -> Option<Self> {
        match values {
            [] => None,
            [only] if only == "rebuild" => Some(Self::Rebuild),
            _ => Some(Self::Other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exactly_rebuild_is_a_rebuild() {
        let read = |values: &[&str]| {
            CheckType::from_conductor(&values.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["rebuild"]), Some(CheckType::Rebuild));
        assert_eq!(read(&["rebuild", "x"]), Some(CheckType::Other));
        assert_eq!(read(&["other"]), Some(CheckType::Other));
    }
}
