//! A control: the scores of a PRM, that say nothing of the lines that get them.

use pspo::data::Seed;
use pspo::plugin::{PrmError, PrmInput, ProcessRewardModel};
use rand::seq::SliceRandom;

/// Deals the scores of a batch's lines of code out among them anew: as many high ones and low ones, elsewhere.
pub struct Shuffled<P> {
    pub prm: P,
    pub seed: Seed,
}

impl<P: ProcessRewardModel> ProcessRewardModel for Shuffled<P> {
    fn scores(&self, responses: &[PrmInput<'_>]) -> Result<Vec<Vec<f32>>, PrmError> {
        let mut scores = self.prm.scores(responses)?;
        // Another deal for every batch: what it begins with names it.
        let name = responses.first().map_or("", |input| input.steps.prefix(input.steps.len()));
        let is_code = |row: usize, step: usize| !responses[row].steps.is_comment(step);
        let places: Vec<(usize, usize)> = (scores.iter().enumerate())
            .flat_map(|(row, scores)| (0..scores.len()).map(move |step| (row, step)))
            .filter(|&(row, step)| is_code(row, step))
            .collect();
        let mut dealt: Vec<f32> = places.iter().map(|&(row, step)| scores[row][step]).collect();
        dealt.shuffle(&mut self.seed.child(name).rng());
        for (&(row, step), score) in places.iter().zip(dealt) {
            scores[row][step] = score;
        }
        Ok(scores)
    }
}
