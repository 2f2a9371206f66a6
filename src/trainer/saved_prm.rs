//! [`SavedPrm`]: a trained PRM from its checkpoint, or from a folder that transformers loads.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checkpoint::CheckpointError;
use super::run;
use crate::kernels::Device;
use crate::model::Dims;
use crate::plugin::{PrmConfig, PrmError, ProcessRewardModel};
use crate::pretrained::{LoadError, Pretrained};
use crate::prm::{Objective, TrainedPrm};

crate::card! {
    kind: ProcessRewardModel,
    name: "trained",
    summary: "The PRM that a run of PrmTraining left in its checkpoint.",
    example: "type = \"trained\"\npath = \"runs/first/checkpoints/prm\"\ndevice = \"cpu\"",
}

/// The PRM of a checkpoint that [`PrmTraining`](crate::prm::PrmTraining) left, in a run's folder or saved by
/// itself, all of it trained and not adapters alone, or of a folder that
/// [`Saving::scalar`](crate::pretrained::Saving::scalar) wrote. What shape and objective it has stands in the checkpoint
/// or in the folder's `config.json`.
///
/// ```
/// use pspo::plugin::PrmConfig;
/// use pspo::trainer::SavedPrm;
///
/// let error = SavedPrm::new("runs/nothing-here").build().err().unwrap();
/// assert!(error.to_string().contains("cannot be read from runs/nothing-here"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPrm {
    /// A folder of saves, of which the newest is read, or one save, or a folder that has a `config.json`.
    pub path: PathBuf,
    /// Where it runs: `cpu`, or `cuda:0` in a build with the feature `cuda`.
    #[serde(default = "cpu")]
    pub device: String,
}

fn cpu() -> String {
    "cpu".to_owned()
}

impl SavedPrm {
    /// The PRM in `path`, on the CPU.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), device: cpu() }
    }

    fn read(&self) -> Result<TrainedPrm<()>, PrmError> {
        let device = Device::named(&self.device).map_err(|error| PrmError::Failed(error.to_string()))?;
        let failed = |error: &dyn std::fmt::Display| {
            PrmError::Failed(format!("it cannot be read from {}: {error}", self.path.display()))
        };
        if self.path.join("config.json").is_file() {
            return from_files(&self.path, &device).map_err(|error| failed(&error));
        }
        let unreadable = |error: CheckpointError| failed(&error);
        let checkpoint = run::load(&self.path).map_err(unreadable)?;
        let parameters = checkpoint.model("prm").map_err(unreadable)?;
        let description = Description::deserialize(&checkpoint.state["prm"]);
        let Description { dims, objective } = description
            .map_err(|error| failed(&format!("its state does not say what PRM it is ({error})")))?;
        TrainedPrm::of_shape(&device, dims, parameters, objective).map_err(|error| failed(&error))
    }
}

fn from_files(path: &Path, device: &Device) -> Result<TrainedPrm<()>, LoadError> {
    let files = Pretrained::open(path)?;
    let objective = files.prm_objective()?;
    let dims = files.description().dims;
    Ok(TrainedPrm::of_shape(device, dims, &files.parameters_as_found()?, objective)?)
}

#[typetag::serde(name = "trained")]
impl PrmConfig for SavedPrm {
    fn build(&self) -> Result<Box<dyn ProcessRewardModel>, PrmError> {
        Ok(Box::new(self.read()?))
    }
}

/// What a checkpoint says of the PRM in it, as `prm` in its state.
#[derive(Serialize, Deserialize)]
pub(super) struct Description {
    pub(super) dims: Dims,
    pub(super) objective: Objective,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::{Label, Labels, Parameters, Problem, ResponseClass, Seed, Sequence, StepKind};
    use crate::model::{Arch, ScalarModel, Tokenizer, init};
    use crate::plugin::{Kind, PrmInput, build, testkit};
    use crate::pretrained::{Meaning, Saving};
    use crate::prm::{PrmExample, PrmTraining, PrmTrainingConfig};
    use crate::trainer::{Checkpoint, Run, Stage};

    crate::arch! {
        struct Toy {
            name: "toy", vocabulary: 300, width: 8, layers: 2, heads: 2, kv_heads: 1, head_size: 4, hidden: 12,
            positions: 256,
        }
    }

    fn trained(objective: Objective) -> PrmTraining<Toy> {
        let parameters = init::random(Toy::DIMS.scalar_layout(), Toy::DIMS.layers, Seed::root(1));
        let model = ScalarModel::new(&Device::cpu(), &parameters).unwrap();
        let response = PrmExample {
            sequence: Sequence { prompt: vec![1], response: vec![2, 3] },
            step_tokens: vec![1],
            labels: Labels { steps: vec![Label::Good], class: ResponseClass::Correct },
        };
        let config = PrmTrainingConfig { steps: 2, objective, ..PrmTrainingConfig::default() };
        let mut training = PrmTraining::new(config, model, vec![response], Seed::root(2)).unwrap();
        training.step().unwrap();
        training
    }

    #[test]
    fn a_config_names_the_prm_that_was_trained() {
        let problem: Problem = serde_json::from_str(r#"{"id": "toy", "prompt": "toy"}"#).unwrap();
        let steps = testkit::lines_of(&[StepKind::Code, StepKind::Comment, StepKind::Code]);
        let sequence = Sequence { prompt: vec![0, 4], response: vec![5, 6, 7, 8, 9] };
        let input = PrmInput::new(&problem, &steps, &sequence, &[1, 2, 4]);
        for objective in [Objective::Mse, Objective::CrossEntropy] {
            let folder = tempfile::tempdir().unwrap();
            let training = trained(objective);
            training.checkpoint().unwrap().save(folder.path()).unwrap();
            let table = json!({ "type": "trained", "path": folder.path() });
            let config: Box<dyn PrmConfig> = build(Kind::ProcessRewardModel, table).unwrap();
            let saved = config.build().unwrap();
            let prm = training.into_prm();
            assert_eq!(saved.scores(&[input]).unwrap(), prm.scores(&[input]).unwrap());
            let (saved, prm) = (saved.parameters().unwrap(), prm.parameters().unwrap());
            assert_eq!(saved.unwrap(), prm.unwrap(), "a critic may start from it");
        }
    }

    #[test]
    fn the_checkpoint_may_be_one_that_a_run_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let mut training = trained(Objective::Mse);
        let mut run = Run::start(&folder.path().join("first"), &json!({}), false).unwrap();
        run.stage(&mut training).unwrap();
        let saved = SavedPrm::new(run.folder().checkpoint("prm")).build().unwrap();
        let trained = training.into_prm();
        assert_eq!(saved.parameters().unwrap(), trained.parameters().unwrap());
    }

    #[test]
    fn a_folder_that_transformers_loads_may_be_the_prm() {
        let tokenizer = Tokenizer::train(["x = 1\n"], 257).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let prm = trained(Objective::CrossEntropy).into_prm();
        let parameters = &*prm.parameters().unwrap().unwrap();
        let write = |meaning| {
            Saving::scalar(&Toy::DIMS, parameters, meaning).write(folder.path(), &tokenizer).unwrap();
            SavedPrm::new(folder.path()).build()
        };
        let saved = write(Meaning::Prm { objective: Objective::CrossEntropy }).unwrap();
        let problem: Problem = serde_json::from_str(r#"{"id": "toy", "prompt": "toy"}"#).unwrap();
        let steps = testkit::lines_of(&[StepKind::Code]);
        let sequence = Sequence { prompt: vec![0, 4], response: vec![5, 6] };
        let input = PrmInput::new(&problem, &steps, &sequence, &[1]);
        assert_eq!(saved.scores(&[input]).unwrap(), prm.scores(&[input]).unwrap());
        assert_eq!(&*saved.parameters().unwrap().unwrap(), parameters);
        let error = write(Meaning::Critic).err().unwrap().to_string();
        assert!(error.contains("the model is a critic, and is loaded as a PRM"), "{error}");
    }

    #[test]
    fn a_checkpoint_that_is_no_prms_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = |checkpoint: &Checkpoint| {
            checkpoint.save(folder.path()).unwrap();
            SavedPrm::new(folder.path()).build().err().unwrap().to_string()
        };
        let good = trained(Objective::Mse).checkpoint().unwrap();
        let mut other = good.clone();
        other.state = json!({ "step": 1 });
        assert!(error(&other).contains("its state does not say what PRM it is"), "{}", error(&other));
        other.state = good.state.clone();
        other.state["prm"]["dims"]["layers"] = json!(3);
        assert!(error(&other).contains("trunk.layers.2"), "{}", error(&other));
        other.state["prm"]["dims"]["layers"] = json!(u64::MAX);
        assert!(error(&other).contains("layers must be at most 4096"), "{}", error(&other));
        other.state = good.state.clone();
        other.tensors[0].1 = Parameters::zeros(Toy::DIMS.policy_layout());
        assert!(error(&other).contains("head.weight"), "{}", error(&other));
        other.tensors.remove(0);
        assert!(error(&other).contains("`first`, `second`"), "{}", error(&other));
    }
}
