//! A stage: work in steps that can be saved after each and gone on with.

use serde_json::json;

use super::Checkpoint;
use super::error::TrainerError;
use super::events::{Events, metrics};
use super::saved_prm::Description;
use crate::data::Parameters;
use crate::model::Arch;
use crate::prm::PrmTraining;
use crate::sft::Sft;

/// Work in steps. Everything that a step draws at random depends on the seed and the step's number
/// alone, so a stage restored from its checkpoint goes on to the same bytes.
pub trait Stage {
    /// What events and checkpoints call it.
    fn name(&self) -> &str;

    /// Steps in all.
    fn total(&self) -> u64;

    /// Steps done.
    fn done(&self) -> u64;

    /// What it tells of where it runs, in a line, such as [`Verifier::about`](crate::plugin::Verifier::about);
    /// empty where there is nothing to tell.
    fn about(&self) -> String {
        String::new()
    }

    /// Makes one step and tells of it.
    ///
    /// # Errors
    /// Ends the run; what was saved before is kept.
    fn advance(&mut self, events: &mut Events) -> Result<(), TrainerError>;

    /// All that is needed to go on from here.
    ///
    /// # Errors
    /// If the device fails.
    fn checkpoint(&self) -> Result<Checkpoint, TrainerError>;

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// If it is not one of this stage.
    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainerError>;
}

/// Supervised fine-tuning, as the stage `sft`.
impl<A: Arch> Stage for Sft<A> {
    fn name(&self) -> &str {
        "sft"
    }

    fn total(&self) -> u64 {
        self.steps() as u64
    }

    fn done(&self) -> u64 {
        self.steps_done() as u64
    }

    fn advance(&mut self, events: &mut Events) -> Result<(), TrainerError> {
        let figures = self.step()?;
        let metrics = [
            (metrics::LOSS, f64::from(figures.loss)),
            (metrics::GRADIENT_NORM, figures.gradient_norm),
            (metrics::TOKENS, figures.tokens as f64),
        ];
        Ok(events.scalars("sft", self.done(), &metrics)?)
    }

    fn checkpoint(&self) -> Result<Checkpoint, TrainerError> {
        single("policy", self.done(), self.state()?)
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainerError> {
        let Single { step, model, moments, optimizer_steps } = Single::read("policy", checkpoint)?;
        Ok(self.restore(step, model, moments, optimizer_steps)?)
    }
}

/// PRM training, as the stage `prm`.
impl<A: Arch> Stage for PrmTraining<A> {
    fn name(&self) -> &str {
        "prm"
    }

    fn total(&self) -> u64 {
        self.steps() as u64
    }

    fn done(&self) -> u64 {
        self.steps_done() as u64
    }

    fn advance(&mut self, events: &mut Events) -> Result<(), TrainerError> {
        let figures = self.step()?;
        let metrics =
            [(metrics::LOSS, f64::from(figures.loss)), (metrics::GRADIENT_NORM, figures.gradient_norm)];
        Ok(events.scalars("prm", self.done(), &metrics)?)
    }

    /// [`SavedPrm`](super::SavedPrm) reads the PRM from it.
    fn checkpoint(&self) -> Result<Checkpoint, TrainerError> {
        let mut checkpoint = single("prm", self.done(), self.state()?)?;
        checkpoint.state["prm"] = json!(Description { dims: A::DIMS, objective: self.objective() });
        Ok(checkpoint)
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainerError> {
        let Single { step, model, moments, optimizer_steps } = Single::read("prm", checkpoint)?;
        Ok(self.restore(step, model, moments, optimizer_steps)?)
    }
}

/// The checkpoint of a stage that trains one model: parameters, both moments, steps.
fn single(
    group: &str,
    step: u64,
    (model, first, second, optimizer_steps): (Parameters, Parameters, Parameters, u32),
) -> Result<Checkpoint, TrainerError> {
    let tensors = [(group.to_owned(), model), ("first".into(), first), ("second".into(), second)];
    Ok(Checkpoint {
        tensors: tensors.into(),
        state: json!({ "step": step, "optimizer_steps": optimizer_steps }),
    })
}

/// What [`single`] wrote.
struct Single<'a> {
    step: usize,
    model: &'a Parameters,
    moments: (&'a Parameters, &'a Parameters),
    optimizer_steps: u32,
}

impl<'a> Single<'a> {
    fn read(group: &str, checkpoint: &'a Checkpoint) -> Result<Self, TrainerError> {
        #[derive(serde::Deserialize)]
        struct State {
            step: usize,
            optimizer_steps: u32,
        }
        let State { step, optimizer_steps } = serde_json::from_value(checkpoint.state.clone())?;
        let moments = (checkpoint.group("first")?, checkpoint.group("second")?);
        Ok(Self { step, model: checkpoint.group(group)?, moments, optimizer_steps })
    }
}
