//! What to think of libvirt's errors.

use virt::error::{Error, ErrorDomain, ErrorNumber};

use crate::Fault;

/// Turns an error of libvirt into a fault; `doing` says what was tried.
pub(super) fn fault(doing: &str, error: &Error) -> Fault {
    let message = format!("{doing}: {}", error.message());
    match known(error) {
        // Whatever breaks the connection: what was asked for may have been done or not.
        _ if error.domain().known() == Some(ErrorDomain::Rpc) => Fault::lost(message),
        Some(number) if is_lost(number) => Fault::lost(message),
        Some(number) if is_permanent(number) => Fault::permanent(message),
        _ => Fault::transient(message),
    }
}

/// The number, if this crate's libvirt knows it.
pub(super) fn known(error: &Error) -> Option<ErrorNumber> {
    error.code().known()
}

fn is_lost(number: ErrorNumber) -> bool {
    matches!(number, ErrorNumber::NoConnect | ErrorNumber::InvalidConn | ErrorNumber::Rpc)
}

/// What asking for the same again cannot change.
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
