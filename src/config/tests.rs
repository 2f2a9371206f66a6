use std::fs::File;
use std::io::BufReader;

use super::*;
use crate::data::numbers::{KlCoefficient, KlTarget, RewardCeiling, RewardWeight};
use crate::data::{Label, Labels, ResponseClass, Sequence};
use crate::model::{Lora, ScalarModel, Tuning, init};
use crate::prm::{PrmExample, PrmTraining, PrmTrainingConfig};
use crate::reward::{AdaptiveKl, Neutral, Normalization};
use crate::steps::Lines;
use crate::trainer::events::{Event, Events, Recorder, metrics};
use crate::trainer::{KlControl, SavedPrm, Stage};
use crate::value::FromPrm;
use crate::verify::{AnswerMatch, AnswerMatchConfig};

crate::arch! {
    struct Toy {
        name: "toy", vocabulary: 260, width: 16, layers: 1, heads: 2, kv_heads: 1, head_size: 8, hidden: 24,
        positions: 64,
    }
}

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
fn an_exchange_is_named_by_its_prompts_and_extraction() {
    let of = |lines: &str| format!("kl = 0.1\n[exchange]\n{lines}");
    let default = ppo("kl = 0.1").unwrap().exchange;
    assert_eq!(default, ExchangeConfig::default());
    let lines = "prompt = { type = \"code\" }\nextraction = { type = \"completion\", stop = [\"END\"] }";
    let exchange = ppo(&of(lines)).unwrap().exchange.build().unwrap();
    assert_eq!(exchange.stops(), ["END"]);
    for (lines, key, message) in [
        ("prompt = { type = \"chat\", template = 3 }", "exchange.prompt", "invalid type"),
        ("prompt = { type = \"talk\" }", "exchange.prompt", "unknown variant `talk`"),
        ("extraction = { type = \"fenced\", blok = 1 }", "exchange.extraction", "unknown field `blok`"),
    ] {
        let error = ppo(&of(lines)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the config is wrong at `{key}")), "{lines}: {error}");
        assert!(error.contains(message), "{lines}: {error}");
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

/// A folder with a tokenizer, problems and the checkpoint of a PRM.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = Tokenizer::train(["x"], 257).unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_json().unwrap()).unwrap();
    let problem = |id| {
        let test = r#"{"kind": "stdio", "stdin": "", "stdout": "x"}"#;
        format!(r#"{{"id": "p{id}", "prompt": "say {id}:", "tests": [{test}]}}"#)
    };
    let problems: Vec<String> = (0..5).map(problem).collect();
    std::fs::write(folder.path().join("problems.jsonl"), problems.join("\n")).unwrap();
    let parameters = init::random(Toy::DIMS.scalar_layout(), Toy::DIMS.layers, Seed::root(1));
    let example = PrmExample {
        sequence: Sequence { prompt: vec![1], response: vec![2, 3] },
        step_tokens: vec![1],
        labels: Labels { steps: vec![Label::Good], class: ResponseClass::Correct },
    };
    let model = ScalarModel::<Toy>::new(&Device::cpu(), &parameters).unwrap();
    let training =
        PrmTraining::new(PrmTrainingConfig::default(), model, vec![example], Seed::root(2)).unwrap();
    training.checkpoint().unwrap().save(&folder.path().join("prm")).unwrap();
    folder
}

/// Runs a training to its end: its events, and the bits of policy and critic.
fn train(mut trainer: Trainer<Toy>) -> (Vec<Event>, Vec<u32>) {
    let recorder = Recorder::default();
    let mut events = Events::default().with(recorder.clone());
    while trainer.done() < trainer.total() {
        trainer.advance(&mut events).unwrap();
    }
    let parameters = [trainer.policy().parameters().unwrap(), trainer.critic().parameters().unwrap()];
    let bits = parameters.iter().flat_map(|of| of.values()).map(|value| value.to_bits()).collect();
    (recorder.events(), bits)
}

#[test]
fn dense_rewards_and_adaptive_kl_are_the_builders_to_the_byte() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let config: Config = format!(
        r#"
        seed = 7
        name = "dense"
        verifier_jobs = 3
        policy = {{ arch = "toy", tokenizer = '{}' }}
        problems = {{ path = '{}' }}
        splitter = {{ type = "lines" }}
        verifier = {{ type = "answer_match" }}
        prm = {{ type = "trained", path = '{}' }}
        dense = {{ weight_fail = 0.5, normalization = "code_lines" }}
        value_init = {{ type = "from_prm", rescale = true }}
        [ppo]
        iterations = 3
        prompts = 4
        responses = 2
        kl = {{ coefficient = 0.1, target = 6.0, horizon = 16 }}
        sampling = {{ max_new_tokens = 24 }}
        "#,
        path("tokenizer.json").display(),
        path("problems.jsonl").display(),
        path("prm").display(),
    )
    .parse()
    .unwrap();

    let seed = Seed::root(7);
    let policy = Policy::<Toy>::random(&Device::cpu(), seed.child("policy")).unwrap();
    let tokenizer = Tokenizer::from_file(path("tokenizer.json"), crate::model::tokenizer::END).unwrap();
    let problems = BufReader::new(File::open(path("problems.jsonl")).unwrap());
    const LAMBDAS: [RewardWeight; 2] = [RewardWeight::new(0.025), RewardWeight::new(0.5)];
    let dense = DenseReward::new(LAMBDAS[0], LAMBDAS[1], Normalization::CodeLines, Neutral::Zero).unwrap();
    let horizon = 16.try_into().unwrap();
    let kl = AdaptiveKl::new(KlCoefficient::new(0.1), KlTarget::new(6.0), horizon).unwrap();
    let mut numbers = PpoConfig {
        iterations: 3,
        prompts: 4.try_into().unwrap(),
        responses: 2.try_into().unwrap(),
        kl: KlControl::Adaptive(kl),
        ..PpoConfig::default()
    };
    numbers.sampling.max_new_tokens = 24.try_into().unwrap();
    let built = crate::trainer::builder(&policy, &tokenizer)
        .problems(ProblemSet::read_jsonl(problems).unwrap())
        .splitter(Lines::python())
        .verifier(AnswerMatch::new(AnswerMatchConfig::default()))
        .dense_rewards(dense)
        .prm(SavedPrm::new(path("prm")).build().unwrap())
        .value_init(FromPrm { rescale: true })
        .config(numbers)
        .seed(seed.child("dense"))
        .name("dense")
        .build()
        .unwrap();

    let (events, bits) = train(config.build().unwrap());
    let series = |name| -> Vec<f64> { events.iter().filter_map(|event| event.metric(name)).collect() };
    assert!(series(metrics::DENSE_REWARD).iter().all(|&reward| reward != 0.0), "the PRM was asked");
    let coefficients = series(metrics::KL_COEFFICIENT);
    assert!(coefficients.len() == 3 && coefficients[2] < coefficients[0], "{coefficients:?}");
    assert_eq!((events, bits), train(built));
}

#[test]
fn a_training_in_bfloat16_is_the_builders_and_goes_on_to_the_same_bits() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    for (tuning, tuned) in [("full", Tuning::Full), ("lora", Tuning::Lora(Lora::default()))] {
        let config: Config = format!(
            r#"
            seed = 7
            policy = {{ arch = "toy", tokenizer = '{}', precision = "bf16" }}
            problems = {{ path = '{}' }}
            splitter = {{ type = "lines" }}
            verifier = {{ type = "answer_match" }}
            value_init = {{ type = "from_policy" }}
            [ppo]
            iterations = 3
            prompts = 4
            responses = 2
            tuning = {{ type = "{tuning}" }}
            sampling = {{ max_new_tokens = 24 }}
            "#,
            path("tokenizer.json").display(),
            path("problems.jsonl").display(),
        )
        .parse()
        .unwrap();
        let straight: Trainer<Toy> = config.build().unwrap();
        let precisions = (straight.policy().precision(), straight.critic().precision());
        assert_eq!(precisions, (Precision::Bfloat16, Precision::Bfloat16));
        let (events, bits) = train(straight);
        for gap in events.iter().filter_map(|event| event.metric(metrics::SAMPLER_GAP)) {
            assert!(gap < 1e-4, "sampler and trainer differ by {gap}");
        }

        let policy = Policy::<Toy>::random(&Device::cpu(), Seed::root(7).child("policy")).unwrap();
        let parts =
            Parts { policy: policy.in_precision(Precision::Bfloat16).unwrap(), ..config.parts().unwrap() };
        assert_eq!(parts.config.tuning, tuned);
        assert_eq!(train(Trainer::from_parts(parts).unwrap()), (events, bits.clone()), "made in code");

        let mut first: Trainer<Toy> = config.build().unwrap();
        first.advance(&mut Events::default()).unwrap();
        first.checkpoint().unwrap().save(&path("saved")).unwrap();
        let mut resumed: Trainer<Toy> = config.build().unwrap();
        resumed.restore(&Checkpoint::load(&path("saved")).unwrap()).unwrap();
        assert_eq!(train(resumed).1, bits, "resumed, {tuning}");
        std::fs::remove_dir_all(path("saved")).unwrap();
    }
}

#[test]
fn an_outcome_reward_is_read_and_checked_against_the_dense_one() {
    let with = |lines: &str| {
        format!(
            r#"
            seed = 7
            {lines}
            policy = {{ arch = "toy", tokenizer = "tokenizer.json" }}
            problems = {{ path = "problems.jsonl" }}
            splitter = {{ type = "lines" }}
            verifier = {{ type = "answer_match" }}
            value_init = {{ type = "from_policy" }}
            "#
        )
        .parse::<Config>()
    };
    let fraction = |ceiling| OutcomeReward::Fraction { ceiling: RewardCeiling::try_new(ceiling).unwrap() };
    for (lines, outcome) in [
        ("", OutcomeReward::Binary),
        ("outcome = \"levels\"", OutcomeReward::Levels),
        ("outcome = \"fraction\"", fraction(1.0)),
        ("outcome = { rule = \"fraction\", ceiling = 0.5 }\ndense = {}", fraction(0.5)),
    ] {
        let config = with(lines).unwrap();
        assert_eq!(config.outcome, outcome, "{lines}");
        let written = toml::to_string(&config).unwrap();
        assert_eq!(written.parse::<Config>().unwrap().outcome, outcome, "{written}");
    }
    for (lines, message) in [
        ("outcome = \"level\"", "`outcome`: unknown variant `level`, expected one of `binary`, `fraction`"),
        ("outcome.rule = \"fraction\"\noutcome.ceiling = 2", "reward ceiling 2 is out of bounds"),
        (
            "outcome = \"fraction\"\ndense = {}",
            "`outcome`: reward weights 0.025 for passing and 0.25 for failing responses",
        ),
    ] {
        let error = with(lines).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_policy_may_start_from_a_pretrained_model_with_its_tokenizer() {
    let folder = folder();
    let model = folder.path().join("model");
    let start = Policy::<Toy>::random(&Device::cpu(), Seed::root(5)).unwrap();
    let tokenizer = Tokenizer::train(["x"], 257).unwrap();
    crate::pretrained::save(&model, &Toy::DIMS, &start.parameters().unwrap(), &tokenizer).unwrap();
    let mut config = ppo("tuning = { type = \"lora\", rank = 2 }").unwrap();
    config.problems.path = folder.path().join("problems.jsonl");
    config.policy = PolicyConfig { pretrained: Some(model), tokenizer: None, ..config.policy };
    let config = toml::to_string(&config).unwrap().parse::<Config>().unwrap();
    let trainer = config.build::<Toy>().unwrap();
    assert_eq!(trainer.policy().parameters().unwrap(), start.parameters().unwrap());
    assert!(trainer.policy().trained().unwrap().layout().iter().all(|(name, ..)| name.contains("lora")));

    // Prompts are asked in the model's own template, where the config names none.
    let mut chat = config.clone();
    chat.exchange.prompt = toml::from_str("type = \"chat\"").unwrap();
    let error = chat.build::<Toy>().err().unwrap().to_string();
    assert!(error.contains("need a chat template"), "{error}");
    let template = "{{ eos_token }}{{ messages[0].content }}";
    std::fs::write(chat.policy.pretrained.as_ref().unwrap().join("chat_template.jinja"), template).unwrap();
    let Parts { exchange, problems, .. } = chat.parts::<Toy>().unwrap();
    let problem = problems.get(0).unwrap();
    assert!(exchange.text(problem).unwrap().ends_with(&problem.prompt));
    assert_ne!(exchange.text(problem).unwrap(), problem.prompt);

    let neither = PolicyConfig { pretrained: None, ..config.policy.clone() };
    let neither = toml::to_string(&Config { policy: neither, ..config }).unwrap();
    let error = neither.parse::<Config>().unwrap_err().to_string();
    assert!(error.ends_with("it needs a `tokenizer`, or a model that is `pretrained`"), "{error}");
}

#[test]
fn dense_rewards_without_a_prm_are_an_error_of_build() {
    let folder = folder();
    let mut config = ppo("iterations = 1").unwrap();
    config.policy.tokenizer = Some(folder.path().join("tokenizer.json"));
    config.problems.path = folder.path().join("problems.jsonl");
    config.build::<Toy>().map(drop).unwrap();
    config.dense = Some(DenseReward::default());
    let error = config.build::<Toy>().err().unwrap().to_string();
    assert!(error.starts_with("dense rewards need a process reward model"), "{error}");
}
