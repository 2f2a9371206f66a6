//! Critics, PRMs and reward models saved and loaded, rounded numbers, and folders that hold something else.

#[path = "peers/pretrained/families.rs"]
mod families;

use std::fs;
use std::path::Path;

use families::{Llama, LlamaTied, Qwen2};
use half::bf16;
use pspo::data::{Parameters, Seed};
use pspo::kernels::Device;
use pspo::model::{Arch, Dims, ScalarModel, Tokenizer, init};
use pspo::plugin::ProcessRewardModel;
use pspo::pretrained::tensors::{self, Dtype};
use pspo::pretrained::{Head, LoadError, Meaning, Precision, Pretrained, SaveError, Saving, save};
use pspo::prm::{Objective, TrainedPrm};
use serde_json::{Value, json};

const MEANINGS: [(Meaning, &str); 4] = [
    (Meaning::Critic, "value"),
    (Meaning::Prm { objective: Objective::Mse }, "score"),
    (Meaning::Prm { objective: Objective::CrossEntropy }, "good"),
    (Meaning::Reward, "reward"),
];

fn tokenizer() -> Tokenizer {
    Tokenizer::train(["x = 1\n"], 257).unwrap()
}

fn scalar(dims: &Dims) -> Parameters {
    let mut parameters = init::random(dims.scalar_layout(), dims.layers, Seed::root(1));
    parameters.tensor_mut("head.bias").unwrap().fill(0.25);
    parameters
}

fn saved<A: Arch>(meaning: Meaning) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Saving::scalar(&A::DIMS, &scalar(&A::DIMS), meaning).write(folder.path(), &tokenizer()).unwrap();
    folder
}

fn config(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("config.json")).unwrap()).unwrap()
}

fn comes_back<A: Arch>(class: &str) {
    for (meaning, label) in MEANINGS {
        let folder = saved::<A>(meaning);
        let files = Pretrained::open(folder.path()).unwrap();
        assert_eq!(files.description().head, Head::Scalar(Some(meaning)));
        assert_eq!(files.scalar_parameters::<A>().unwrap(), scalar(&A::DIMS));
        assert_eq!(files.parameters_as_found().unwrap(), scalar(&A::DIMS));
        let config = config(folder.path());
        assert_eq!(config["architectures"], json!([class]));
        assert_eq!(config["id2label"], json!({ "0": label }));
    }
}

#[test]
fn scalar_models_come_back_with_what_their_number_means() {
    comes_back::<Llama>("LlamaForTokenClassification");
    comes_back::<LlamaTied>("LlamaForTokenClassification");
    comes_back::<Qwen2>("Qwen2ForTokenClassification");
    let folder = saved::<Llama>(Meaning::Prm { objective: Objective::CrossEntropy });
    assert_eq!(config(folder.path())["pspo"], json!({ "model": "prm", "objective": "cross_entropy" }));
}

#[test]
fn a_prm_is_made_of_its_folder() {
    let folder = saved::<Qwen2>(Meaning::Prm { objective: Objective::CrossEntropy });
    let files = Pretrained::open(folder.path()).unwrap();
    assert_eq!(files.prm_objective().unwrap(), Objective::CrossEntropy);
    let model: ScalarModel<Qwen2> = files.scalar_model(&Device::cpu()).unwrap();
    let prm = TrainedPrm::new(model, files.prm_objective().unwrap());
    assert_eq!(*prm.parameters().unwrap().unwrap(), scalar(&Qwen2::DIMS));
}

#[test]
fn a_folder_of_another_kind_is_told() {
    let prm = saved::<Llama>(Meaning::Prm { objective: Objective::Mse });
    let files = Pretrained::open(prm.path()).unwrap();
    let error = files.parameters::<Llama>().unwrap_err();
    assert!(matches!(error, LoadError::Head { found: Head::Scalar(Some(_)), needed: "a policy", .. }));
    assert!(
        error.to_string().ends_with("config.json: the model is a PRM, and is loaded as a policy"),
        "{error}"
    );

    let policy = tempfile::tempdir().unwrap();
    let parameters = init::random(Llama::DIMS.policy_layout(), Llama::DIMS.layers, Seed::root(1));
    save(policy.path(), &Llama::DIMS, &parameters, &tokenizer()).unwrap();
    let files = Pretrained::open(policy.path()).unwrap();
    for error in [files.scalar_parameters::<Llama>().map(drop), files.prm_objective().map(drop)]
        .map(Result::unwrap_err)
    {
        assert!(matches!(error, LoadError::Head { found: Head::Policy, .. }), "{error}");
        assert!(error.to_string().contains("the model is a policy, and is loaded as a"), "{error}");
    }

    let critic = saved::<Llama>(Meaning::Critic);
    let error = Pretrained::open(critic.path()).unwrap().prm_objective().unwrap_err();
    assert!(error.to_string().ends_with("the model is a critic, and is loaded as a PRM"), "{error}");
}

/// The message when a saved PRM's `config.json` has been changed.
fn with_config(change: impl FnOnce(&mut Value)) -> Result<Head, LoadError> {
    let folder = saved::<LlamaTied>(Meaning::Prm { objective: Objective::Mse });
    let mut config = config(folder.path());
    change(&mut config);
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let files = Pretrained::open(folder.path())?;
    files.scalar_parameters::<LlamaTied>()?;
    Ok(files.description().head)
}

#[test]
fn what_others_say_of_a_token_classification() {
    let forget =
        |key: &'static str| move |config: &mut Value| drop(config.as_object_mut().unwrap().remove(key));
    assert_eq!(with_config(forget("pspo")).unwrap(), Head::Scalar(None));
    // There is no output layer that could be the embedding table.
    assert!(with_config(|config| config["tie_word_embeddings"] = json!(false)).is_ok());
    let error = |change: &dyn Fn(&mut Value)| with_config(change).unwrap_err().to_string();
    // as PRMs of TRL have it, and what transformers takes where nothing is said
    let two = error(&|config| config["id2label"] = json!({ "0": "bad", "1": "good" }));
    assert!(two.contains("`num_labels` is 2: one number for each token"), "{two}");
    let silent = error(&forget("id2label"));
    assert!(silent.contains("`num_labels` is 2"), "{silent}");
    let other = error(&|config| config["architectures"] = json!(["LlamaForSequenceClassification"]));
    assert!(other.contains("`architectures` is LlamaForSequenceClassification"), "{other}");
    let unknown = error(&|config| config["pspo"] = json!({ "model": "prm", "objective": "hinge" }));
    assert!(unknown.contains("unknown variant `hinge`, expected `mse` or `cross_entropy`"), "{unknown}");
}

#[test]
fn parameters_of_another_kind_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let parameters = scalar(&Llama::DIMS);
    let error = save(folder.path(), &Llama::DIMS, &parameters, &tokenizer()).unwrap_err();
    assert!(matches!(error, SaveError::Layout(_)), "{error}");
    assert!(error.to_string().contains("output.weight"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn numbers_may_be_rounded_to_bfloat16() {
    let folder = tempfile::tempdir().unwrap();
    let exact = scalar(&Qwen2::DIMS);
    Saving::scalar(&Qwen2::DIMS, &exact, Meaning::Critic)
        .with_precision(Precision::Bfloat16)
        .write(folder.path(), &tokenizer())
        .unwrap();
    assert_eq!(config(folder.path())["torch_dtype"], "bfloat16");
    let file = tensors::open(folder.path()).unwrap();
    assert!(file.names().iter().all(|name| file.dtype(name) == Some(Dtype::BF16)));
    let loaded = Pretrained::open(folder.path()).unwrap().scalar_parameters::<Qwen2>().unwrap();
    assert_ne!(loaded, exact);
    for (got, value) in loaded.values().iter().zip(exact.values()) {
        assert_eq!(*got, bf16::from_f32(*value).to_f32());
        assert!((got - value).abs() <= value.abs() / 256.0, "{value} became {got}");
    }
    // Held so as well, nothing but the head and vectors is other than in the file, and these are as they are there.
    let files = Pretrained::open(folder.path()).unwrap();
    let model = files.scalar_model_in::<Qwen2>(&Device::cpu(), Precision::Bfloat16).unwrap();
    assert_eq!(model.precision(), Precision::Bfloat16);
    assert_eq!(model.parameters().unwrap(), loaded);
    let again = tempfile::tempdir().unwrap();
    Saving::scalar(&Qwen2::DIMS, &model.parameters().unwrap(), Meaning::Critic)
        .with_precision(Precision::Bfloat16)
        .write(again.path(), &tokenizer())
        .unwrap();
    let bytes = |folder: &Path| fs::read(folder.join("model.safetensors")).unwrap();
    assert_eq!(bytes(again.path()), bytes(folder.path()));
    // A policy is none.
    let error = files.policy_in::<Qwen2>(&Device::cpu(), Precision::Bfloat16).unwrap_err();
    assert!(matches!(error, LoadError::Head { .. }), "{error}");
}
