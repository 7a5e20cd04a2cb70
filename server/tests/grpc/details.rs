//! Refusals with their details, as clients decode them.

use std::fmt::Debug;

use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

/// The status of a call that has to fail.
pub(crate) fn refusal<T: Debug>(outcome: Result<Response<T>, Status>, code: Code) -> Status {
    let status = outcome.expect_err("it is to be refused");
    assert_eq!(status.code(), code, "{status}");
    status
}

/// A field was refused.
#[track_caller]
pub(crate) fn bad_field<T: Debug>(outcome: Result<Response<T>, Status>, field: &str, words: &str) {
    let status = refusal(outcome, Code::InvalidArgument);
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("a BadRequest").field_violations;
    let [violation] = &violations[..] else { panic!("{violations:?}") };
    assert_eq!(violation.field, field);
    assert!(violation.description.contains(words), "{}", violation.description);
    assert!(status.message().starts_with(field) && status.message().contains(words), "{status}");
}

/// A resource is missing, or exists already.
#[track_caller]
pub(crate) fn resource<T: Debug>(outcome: Result<Response<T>, Status>, code: Code, kind: &str, name: &str) {
    let status = refusal(outcome, code);
    let details = status.get_error_details();
    let resource = details.resource_info().expect("a ResourceInfo");
    assert_eq!((&*resource.resource_type, &*resource.resource_name), (kind, name));
}

/// The state of things was against it; returns what programs may want to know.
#[track_caller]
pub(crate) fn reason<T: Debug>(
    outcome: Result<Response<T>, Status>,
    code: Code,
    reason: &str,
) -> Vec<(String, String)> {
    let status = refusal(outcome, code);
    let details = status.get_error_details();
    let info = details.error_info().expect("an ErrorInfo").clone();
    assert_eq!((&*info.domain, &*info.reason), ("berth", reason));
    let mut facts: Vec<_> = info.metadata.into_iter().collect();
    facts.sort_unstable();
    facts
}
