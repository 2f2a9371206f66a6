use super::{Prior, PrmPrior};
use pspo::data::numbers::{Fraction, HeadBias};
use pspo::data::{Seed, Sequence};
use pspo::kernels::Device;
use pspo::model::{Arch, Batch, ScalarModel, init};
use pspo::plugin::{Kind, ValueInit, ValueInitConfig, ValueInitError, ValueSources, build, testkit};

pspo::arch! {
    struct Toy {
        name: "toy", vocabulary: 7, width: 8, layers: 1, heads: 2, kv_heads: 1, head_size: 4, hidden: 12,
        positions: 16,
    }
}

fn config(table: serde_json::Value) -> Result<Box<dyn ValueInitConfig>, String> {
    build(Kind::ValueInit, table).map_err(|error| error.to_string())
}

#[test]
fn every_value_is_the_return_to_expect() {
    let layout = Toy::DIMS.scalar_layout();
    let policy = init::random(Toy::DIMS.policy_layout(), 1, Seed::root(1));
    let sources = ValueSources::new(&layout, &policy, Seed::root(2));
    testkit::value_init(Prior { expected_return: HeadBias::new(0.3) }, sources);

    let config = config(serde_json::json!({"type": "prior", "expected_return": 0.3})).unwrap();
    let critic = config.build().unwrap().init(sources).unwrap();
    let critic = ScalarModel::<Toy>::new(&Device::cpu(), &critic).unwrap();
    let rows = [Sequence { prompt: vec![1], response: vec![2, 3] }];
    let batch = Batch::responses(&Toy::DIMS, &rows).unwrap();
    assert_eq!(critic.values_no_grad(&batch).unwrap(), [0.3, 0.3]);
}

#[test]
fn the_return_must_be_given() {
    let error = config(serde_json::json!({"type": "prior"})).unwrap_err();
    assert!(error.contains("missing field `expected_return`"), "{error}");
    let error = config(serde_json::json!({"type": "prior", "expected_return": 1e39})).unwrap_err();
    assert!(error.contains("head bias inf is out of bounds: it must be finite"), "{error}");
}

#[test]
fn values_are_scores_at_the_policys_level() {
    let layout = Toy::DIMS.scalar_layout();
    let policy = init::random(Toy::DIMS.policy_layout(), 1, Seed::root(1));
    let prm = init::random(layout.clone(), 1, Seed::root(3));
    let sources = ValueSources::new(&layout, &policy, Seed::root(2)).with_prm(Some(&prm));
    let start = PrmPrior { pass_rate: Fraction::new(0.02) };
    testkit::value_init(start, sources);

    let rows = [Sequence { prompt: vec![1, 4], response: vec![2, 3, 6] }];
    let batch = Batch::responses(&Toy::DIMS, &rows).unwrap();
    let values = |parameters| {
        ScalarModel::<Toy>::new(&Device::cpu(), parameters).unwrap().values_no_grad(&batch).unwrap()
    };
    let critic = config(serde_json::json!({"type": "prm_prior", "pass_rate": 0.02})).unwrap();
    let critic = critic.build().unwrap().init(sources).unwrap();
    for (score, value) in values(&prm).iter().zip(values(&critic)) {
        assert!((value - 0.02 * (1.0 + score)).abs() < 1e-6, "{score} became {value}");
    }
    // The trainer takes the head alone where PRM and critic share a trunk.
    assert_eq!(start.head_on_prm(&prm), Some(critic));
}

#[test]
fn without_a_prm_or_with_a_rate_above_1_it_is_an_error() {
    let layout = Toy::DIMS.scalar_layout();
    let policy = init::random(Toy::DIMS.policy_layout(), 1, Seed::root(1));
    let sources = ValueSources::new(&layout, &policy, Seed::root(2));
    let error = PrmPrior { pass_rate: Fraction::new(0.02) }.init(sources).unwrap_err();
    assert!(matches!(error, ValueInitError::NoPrm), "{error}");
    let error = config(serde_json::json!({"type": "prm_prior", "pass_rate": 2.0})).unwrap_err();
    assert!(error.contains("fraction 2 is out of bounds: it must be from 0 to 1"), "{error}");
}
