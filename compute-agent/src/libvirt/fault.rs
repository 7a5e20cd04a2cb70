//! Conversion of libvirt's errors to faults.

use virt::error::{Error, ErrorDomain, ErrorNumber};

use crate::Fault;

/// Converts an error of libvirt to a fault; `doing` describes the failed operation.
pub(super) fn fault(doing: &str, error: &Error) -> Fault {
    let message = format!("{doing}: {}", error.message());
    match known(error) {
        // The connection broke, so the operation may have been done or not.
        _ if error.domain().known() == Some(ErrorDomain::Rpc) => Fault::lost(message),
        Some(number) if is_lost(number) => Fault::lost(message),
        Some(number) if is_permanent(number) => Fault::permanent(message),
        _ => Fault::transient(message),
    }
}

/// The error number, if the `virt` crate knows it.
pub(super) fn known(error: &Error) -> Option<ErrorNumber> {
    error.code().known()
}

fn is_lost(number: ErrorNumber) -> bool {
    matches!(number, ErrorNumber::NoConnect | ErrorNumber::InvalidConn | ErrorNumber::Rpc)
}

/// Whether a retry of the same operation cannot succeed.
fn is_permanent(number: ErrorNumber) -> bool {
    use ErrorNumber as E;
    matches!(
        number,
        E::NoSupport
            | E::InvalidArg
            | E::OsType
            | E::NoKernel
            | E::NoOs
            | E::XmlError
            | E::XmlDetail
            | E::XmlInvalidSchema
            | E::ConfigUnsupported
            | E::ArgumentUnsupported
            | E::OperationUnsupported
            | E::CpuIncompatible
            | E::AccessDenied
            | E::OperationDenied
    )
}
