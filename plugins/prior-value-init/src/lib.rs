#![doc = include_str!("../README.md")]

use pspo::data::Parameters;
use pspo::data::numbers::HeadBias;
use pspo::plugin::{ValueInit, ValueInitConfig, ValueInitError, ValueSources};
use pspo::value::FromPolicy;
use serde::{Deserialize, Serialize};

pspo::card! {
    kind: ValueInit,
    name: "prior",
    summary: "The policy's trunk and a head that says the return to expect, such as the policy's pass rate.",
    example: "type = \"prior\"\nexpected_return = 0.3",
}

/// A critic that says `expected_return` of everything before the first update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prior {
    /// The mean return of the policy that training starts from: its pass rate where the reward is
    /// that of unit tests.
    pub expected_return: HeadBias,
}

impl ValueInit for Prior {
    fn init(&self, sources: ValueSources<'_>) -> Result<Parameters, ValueInitError> {
        FromPolicy { bias: self.expected_return }.init(sources)
    }
}

#[typetag::serde(name = "prior")]
impl ValueInitConfig for Prior {
    fn build(&self) -> Result<Box<dyn ValueInit>, ValueInitError> {
        Ok(Box::new(*self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pspo::data::{Seed, Sequence};
    use pspo::kernels::Device;
    use pspo::model::{Arch, Batch, ScalarModel, init};
    use pspo::plugin::{Kind, build, testkit};

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
}
