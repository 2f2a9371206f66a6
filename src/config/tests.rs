use super::*;
use crate::data::numbers::{KlCoefficient, KlTarget};
use crate::reward::AdaptiveKl;
use crate::trainer::KlControl;

/// A config with these lines under `[ppo]`.
fn ppo(lines: &str) -> Result<Config, ConfigError> {
    format!(
        r#"
        seed = 7
        policy = {{ arch = "toy", tokenizer = "tokenizer.json" }}
        problems = {{ path = "problems.jsonl" }}
        splitter = {{ type = "lines" }}
        verifier = {{ type = "answer_match" }}
        value_init = {{ type = "from_policy" }}
        [ppo]
        {lines}
        "#
    )
    .parse()
}

#[test]
fn a_wrong_number_is_named_with_its_key_and_bounds() {
    let bounds = |value| format!("KL coefficient {value} is out of bounds: it must be at least 0 and finite");
    for (lines, key, message) in [
        ("kl = -1", "kl", bounds("-1")),
        ("kl = -0.5", "kl", bounds("-0.5")),
        ("kl = inf", "kl", bounds("inf")),
        ("kl = \"0.1\"", "kl", "expected a KL coefficient, or a table with `coefficient`".into()),
        ("kl.coefficient = -2\nkl.target = 6\nkl.horizon = 9", "kl.coefficient", bounds("-2")),
        ("kl.coefficient = 0.1\nkl.target = 0\nkl.horizon = 9", "kl.target", "KL target 0 is out of".into()),
        ("kl.coefficient = 0.1\nkl.horizon = 9", "kl", "missing field `target`".into()),
        ("kl.horizont = 9", "kl.horizont", "unknown field `horizont`".into()),
        ("sampling.top_p = 0.9", "sampling.top_p", "sampling.top_p is 0.9".into()),
        ("sampling.top_k = 5", "sampling.top_k", "sampling.top_k is 5".into()),
        ("update.optimizer.beta1 = 1", "update.optimizer.beta1", "moment decay 1 is out of bounds".into()),
    ] {
        let error = ppo(lines).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the config is wrong at `ppo.{key}`: ")), "{lines}: {error}");
        assert!(error.contains(&message), "{lines}: {error}");
    }
}

#[test]
fn a_kl_coefficient_is_a_number_or_a_table() {
    let kl = |lines| ppo(lines).unwrap().ppo.kl;
    assert_eq!(kl("kl = 0"), KlControl::Fixed(KlCoefficient::new(0.0)));
    assert_eq!(kl("kl = 0.1"), KlControl::Fixed(KlCoefficient::new(0.1)));
    let horizon = 9.try_into().unwrap();
    let adaptive = AdaptiveKl::new(KlCoefficient::new(0.1), KlTarget::new(6.0), horizon).unwrap();
    let read = kl("kl = { coefficient = 0.1, target = 6, horizon = 9 }");
    assert_eq!(read, KlControl::Adaptive(adaptive));
    for kl in [read, kl("")] {
        let written = serde_json::to_value(kl).unwrap();
        assert_eq!(serde_json::from_value::<KlControl>(written).unwrap(), kl, "as in a checkpoint");
    }
}
