//! [`FromCheckpoint`]: a critic that goes on from one that was saved.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::checkpoint::Checkpoint;
use crate::data::Parameters;
use crate::plugin::{ValueInit, ValueInitConfig, ValueInitError, ValueSources};

crate::card! {
    kind: ValueInit,
    name: "from_checkpoint",
    summary: "A critic, or any model of its shape, from a checkpoint such as the baseline's.",
    example: "type = \"from_checkpoint\"\npath = \"runs/baseline/checkpoints/rl\"\ngroup = \"critic\"",
}

/// The parameters that a checkpoint holds, as they are: the baseline's critic, or one fitted to Monte
/// Carlo returns. They must be a whole model's: a training with adapters saves those alone.
///
/// It lives beside the checkpoints and not with the other value initializations, which know of no files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FromCheckpoint {
    /// A folder of saves, of which the newest is read, or one save.
    pub path: PathBuf,
    /// The group of tensors to read.
    #[serde(default = "critic")]
    pub group: String,
}

fn critic() -> String {
    "critic".to_owned()
}

impl FromCheckpoint {
    /// The critic of the checkpoint in `path`.
    pub fn critic(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), group: critic() }
    }
}

impl ValueInit for FromCheckpoint {
    fn init(&self, sources: ValueSources<'_>) -> Result<Parameters, ValueInitError> {
        let source = |error: super::CheckpointError| ValueInitError::Source(error.to_string());
        let checkpoint = Checkpoint::load(&self.path).map_err(source)?;
        let parameters = checkpoint.model(&self.group).map_err(source)?;
        parameters.layout().must_equal(sources.layout)?;
        Ok(parameters.clone())
    }
}

#[typetag::serde(name = "from_checkpoint")]
impl ValueInitConfig for FromCheckpoint {
    fn build(&self) -> Result<Box<dyn ValueInit>, ValueInitError> {
        Ok(Box::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Layout, Seed};
    use crate::plugin::testkit;

    fn critic_of(width: usize) -> Parameters {
        let mut layout = Layout::default();
        layout.push("trunk.embedding", &[width]);
        layout.push("head.weight", &[width, 1]);
        layout.push("head.bias", &[1]);
        let values = (0..layout.len()).map(|value| value as f32).collect();
        Parameters::new(layout, values).unwrap()
    }

    #[test]
    fn the_saved_critic_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let (critic, policy) = (critic_of(3), Parameters::zeros(Layout::default()));
        let sources = ValueSources::new(critic.layout(), &policy, Seed::root(1));
        let start = FromCheckpoint::critic(folder.path());
        let error = start.init(sources).unwrap_err();
        assert!(error.to_string().contains("there is no checkpoint in"), "{error}");

        let tensors = vec![("critic".to_owned(), critic.clone()), ("policy".to_owned(), policy.clone())];
        Checkpoint { tensors, state: serde_json::json!({}) }.save(folder.path()).unwrap();
        testkit::value_init(start.clone(), sources);
        assert_eq!(start.init(sources).unwrap(), critic);

        let error = FromCheckpoint { group: "prm".to_owned(), ..start.clone() }.init(sources).unwrap_err();
        assert!(error.to_string().ends_with("it has `critic`, `policy`"), "{error}");
        let wider = critic_of(4);
        let error = start.init(ValueSources::new(wider.layout(), &policy, Seed::root(1))).unwrap_err();
        assert!(matches!(error, ValueInitError::Layout(_)), "{error}");
    }
}
