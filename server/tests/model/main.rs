//! Comparison of the whole API with a naive model: plain maps without derived state.
//!
//! Random calls at the latest microversion are made to both, in process. Each has to have the
//! status the model says; afterwards every provider's generation, inventories, traits, aggregates,
//! usages and allocations, and every consumer's, have to be the model's. Failing sequences are
//! shrunk. `PROPTEST_CASES` runs more of them.

mod call;
mod model;
mod request;
mod service;

use proptest::prelude::*;

use call::Call;
use model::Model;
use service::InProcess;

/// Makes the calls to both, and compares after each.
fn agree(calls: &[Call]) {
    let (service, mut model) = (InProcess::new(), Model::default());
    for (step, call) in calls.iter().enumerate() {
        let request = call.request(&model);
        let expected = model.answer(&request);
        let (status, body) = service.send(&request);
        assert_eq!(status, expected, "step {step}: {request:?}: {body}");
        assert_eq!(service.state(), model.state(), "after step {step}: {request:?}");
        service.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_service_does_what_a_naive_model_does(calls in call::sequence(1..60)) {
        agree(&calls);
    }
}

/// The generated calls are worth something: most kinds succeed often enough, and fail in every way
/// there is.
#[test]
fn the_calls_that_are_made_often_succeed() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut outcomes = std::collections::BTreeMap::<(&str, u16), u32>::new();
    for _ in 0..100 {
        let calls = call::sequence(60..61).new_tree(&mut runner).unwrap().current();
        let mut model = Model::default();
        for call in calls {
            let status = model.answer(&call.request(&model));
            *outcomes.entry((call.kind(), status)).or_default() += 1;
        }
    }
    for kind in call::KINDS {
        for (way, range) in [("succeeds", 200..300), ("fails", 400..500)] {
            let times: u32 = outcomes
                .iter()
                .filter(|((of, status), _)| of == kind && range.contains(status))
                .map(|(_, n)| n)
                .sum();
            assert!(times >= 20, "{kind} {way} {times} times of 6000: {outcomes:?}");
        }
    }
}
