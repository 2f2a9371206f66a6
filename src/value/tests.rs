//! What each start says before the first update.

use super::*;
use crate::data::{Parameters, Seed, Sequence};
use crate::kernels::Device;
use crate::model::{Arch, Batch, ScalarModel, init};
use crate::plugin::testkit;
use crate::plugin::{
    CheckedValueInit, Kind, ValueInit, ValueInitConfig, ValueInitError, ValueSources, build,
};

crate::arch! {
    struct Toy {
        name: "toy", vocabulary: 7, width: 8, layers: 2, heads: 2, kv_heads: 1, head_size: 4, hidden: 12,
        positions: 16,
    }
}

crate::arch! {
    struct Wider {
        name: "wider", vocabulary: 7, width: 12, layers: 2, heads: 3, kv_heads: 1, head_size: 4, hidden: 12,
        positions: 16,
    }
}

fn policy<A: Arch>() -> Parameters {
    init::random(A::DIMS.policy_layout(), A::DIMS.layers, Seed::root(1))
}

fn prm<A: Arch>() -> Parameters {
    let mut prm = init::random(A::DIMS.scalar_layout(), A::DIMS.layers, Seed::root(2));
    prm.tensor_mut("head.bias").unwrap().fill(-0.3);
    prm
}

fn init(init: impl ValueInit + 'static, prm: Option<&Parameters>) -> Result<Parameters, ValueInitError> {
    let (layout, policy) = (Toy::DIMS.scalar_layout(), policy::<Toy>());
    CheckedValueInit::new(init).init(ValueSources::new(&layout, &policy, Seed::root(3)).with_prm(prm))
}

fn values(parameters: &Parameters) -> Vec<f32> {
    let rows = [
        Sequence { prompt: vec![1, 2], response: vec![3, 4, 5] },
        Sequence { prompt: vec![6], response: vec![0, 0] },
    ];
    let model = ScalarModel::<Toy>::new(&Device::cpu(), parameters).unwrap();
    model.values_no_grad(&Batch::responses(&Toy::DIMS, &rows).unwrap()).unwrap()
}

#[test]
fn the_contract_of_a_value_initialization_holds() {
    let (layout, policy, prm) = (Toy::DIMS.scalar_layout(), policy::<Toy>(), prm::<Toy>());
    let sources = ValueSources::new(&layout, &policy, Seed::root(3)).with_prm(Some(&prm));
    testkit::value_init(Fresh {}, sources);
    testkit::value_init(FromPolicy::default(), sources);
    testkit::value_init(FromPrm { rescale: false }, sources);
    testkit::value_init(FromPrm { rescale: true }, sources);
}

#[test]
fn rescaled_values_are_probabilities() {
    let prm = prm::<Toy>();
    let copied = values(&init(FromPrm { rescale: false }, Some(&prm)).unwrap());
    let rescaled = values(&init(FromPrm { rescale: true }, Some(&prm)).unwrap());
    assert_eq!(copied, values(&prm));
    assert_eq!(copied.len(), 5);
    for (v, rescaled) in copied.iter().zip(rescaled) {
        assert!((rescaled - (v + 1.0) / 2.0).abs() < 1e-6, "{v} became {rescaled}");
    }
}

#[test]
fn the_policys_critic_says_its_bias_of_everything() {
    use crate::data::numbers::HeadBias;
    let critic = init(FromPolicy { bias: HeadBias::new(0.25) }, None).unwrap();
    assert_eq!(values(&critic), [0.25; 5]);
    let policy = policy::<Toy>();
    for (name, _, range) in critic.layout().iter().filter(|(name, ..)| name.starts_with("trunk.")) {
        assert_eq!(critic.values()[range], *policy.tensor(name).unwrap(), "{name}");
    }
}

#[test]
fn a_fresh_critic_is_that_of_its_seed_alone() {
    let layout = Toy::DIMS.scalar_layout();
    let fresh = |seed, policy: &Parameters| {
        Fresh {}.init(ValueSources::new(&layout, policy, Seed::root(seed))).unwrap()
    };
    let (policy, other) = (policy::<Toy>(), Parameters::zeros(Toy::DIMS.policy_layout()));
    assert_eq!(fresh(1, &policy), fresh(1, &other));
    assert_ne!(fresh(1, &policy), fresh(2, &policy));
    assert_eq!(fresh(1, &policy), init::random(layout.clone(), Toy::DIMS.layers, Seed::root(1)));
}

#[test]
fn a_source_that_does_not_fit_is_named() {
    assert!(matches!(init(FromPrm::default(), None), Err(ValueInitError::NoPrm)));
    let error = init(FromPrm::default(), Some(&prm::<Wider>())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the critic cannot start from a model of another shape: tensor `trunk.embedding` has shape [7, 12], \
         this model needs [7, 8]"
    );
    let (layout, policy) = (Toy::DIMS.scalar_layout(), policy::<Wider>());
    let error = FromPolicy::default().init(ValueSources::new(&layout, &policy, Seed::root(1)));
    assert!(matches!(error, Err(ValueInitError::Layout(_))));
}

#[test]
fn configs_name_them() {
    let read = |table| build::<Box<dyn ValueInitConfig>>(Kind::ValueInit, table);
    let prm = prm::<Toy>();
    let made = |table| init(read(table).unwrap().build().unwrap(), Some(&prm)).unwrap();
    let table = serde_json::json!({"type": "from_prm", "rescale": true});
    assert_eq!(made(table), init(FromPrm { rescale: true }, Some(&prm)).unwrap());
    let table = serde_json::json!({"type": "from_policy", "bias": 0.5});
    assert_eq!(values(&made(table)), [0.5; 5]);
    assert_eq!(made(serde_json::json!({"type": "fresh"})), init(Fresh {}, None).unwrap());
    assert!(read(serde_json::json!({"type": "fresh", "bias": 1})).is_err());
    let infinite = toml::from_str::<FromPolicy>("bias = inf").unwrap_err();
    assert!(infinite.to_string().contains("head bias inf is out of bounds: it must be finite"), "{infinite}");
}

#[test]
fn the_examples_on_the_cards_are_configs() {
    for card in crate::plugin::cards().iter().filter(|card| card.kind == Kind::ValueInit) {
        let table: serde_json::Value = toml::from_str(card.example).unwrap();
        let config = build::<Box<dyn ValueInitConfig>>(Kind::ValueInit, table);
        assert!(config.is_ok_and(|config| config.build().is_ok()), "{}", card.name);
    }
}
