//! What only Nova's conductor says in a request: users' requests cannot, so no reader of requests
//! takes it.

use berth_scheduler::request_spec::CheckType;
use serde::Deserialize;

#[derive(Deserialize)]
struct Record {
    input: Input,
}

#[derive(Deserialize)]
struct Input {
    request: Request,
}

#[derive(Default, Deserialize)]
struct Request {
    #[serde(default)]
    scheduler_hints: Option<Hints>,
}

#[derive(Deserialize)]
struct Hints {
    #[serde(default, rename = "_nova_check_type")]
    check_type: Vec<String>,
}

/// The check that the conductor of a recorded case asks for.
pub fn check_type(line: &str) -> Result<Option<CheckType>, String> {
    let record: Record = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let hints = record.input.request.scheduler_hints;
    Ok(hints.and_then(|hints| CheckType::from_conductor(&hints.check_type)))
}
