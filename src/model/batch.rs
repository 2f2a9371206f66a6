//! A batch of packed rows, and the places in it that are scored.

use std::ops::Range;

use super::arch::Dims;
use super::error::ModelError;
use crate::data::{Ragged, Sequence};

/// Rows for one pass of the trunk, packed one after another, and the places whose hidden states are
/// used: N tokens in all, n scored places.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// All tokens, `[N]`.
    pub(crate) tokens: Vec<u32>,
    /// Where each row begins, and the end of the last.
    pub(crate) offsets: Vec<u32>,
    /// Position of each token in its row, `[N]`.
    pub(crate) positions: Vec<u32>,
    /// Scored places among the N tokens.
    pub(crate) scored: Ragged<u32>,
    /// For each scored place, the token that follows it; empty where no token is predicted.
    pub(crate) targets: Vec<u32>,
}

impl Batch {
    /// Rows whose responses are scored: for each response token, the place just before it, from which
    /// it was drawn and whose state the critic values.
    ///
    /// # Errors
    /// If a row has no prompt or is longer than the model's positions.
    pub fn responses<'a>(
        dims: &Dims,
        rows: impl IntoIterator<Item = &'a Sequence>,
    ) -> Result<Self, ModelError> {
        let mut batch = Self { offsets: vec![0], ..Self::default() };
        for sequence in rows {
            let first = batch.push(dims, sequence)?;
            let places = sequence.prompt.len() - 1..sequence.len() - 1;
            batch.scored.push(places.map(|place| first + place as u32));
            batch.targets.extend(&sequence.response);
        }
        Ok(batch)
    }

    /// Rows scored at chosen response tokens (from 0): the state that holds each token, as a PRM judges
    /// the line that ends there.
    ///
    /// # Errors
    /// If a row has no prompt or is longer than the model's positions, or a place is not within its
    /// response.
    pub fn at<'a>(
        dims: &Dims,
        rows: impl IntoIterator<Item = (&'a Sequence, &'a [usize])>,
    ) -> Result<Self, ModelError> {
        let mut batch = Self { offsets: vec![0], ..Self::default() };
        for (sequence, places) in rows {
            check_places(batch.offsets.len() - 1, sequence, places)?;
            let first = batch.push(dims, sequence)?;
            let prompt = sequence.prompt.len();
            batch.scored.push(places.iter().map(|&place| first + (prompt + place) as u32));
        }
        Ok(batch)
    }

    /// What [`Batch::at`] checks of row `row`, for callers that cut rows into batches.
    pub(crate) fn check(
        dims: &Dims,
        row: usize,
        sequence: &Sequence,
        places: &[usize],
    ) -> Result<(), ModelError> {
        check_row(dims, row, sequence)?;
        check_places(row, sequence, places)
    }

    fn push(&mut self, dims: &Dims, sequence: &Sequence) -> Result<u32, ModelError> {
        check_row(dims, self.offsets.len() - 1, sequence)?;
        let first = self.tokens.len() as u32;
        self.tokens.extend(sequence.tokens());
        self.positions.extend(0..sequence.len() as u32);
        self.offsets.push(self.tokens.len() as u32);
        Ok(first)
    }

    /// Tokens of all rows, N.
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// The groups that gradients are summed in, as ranges of the N tokens.
    pub(crate) fn groups(&self) -> Vec<Range<usize>> {
        let place = |row: usize| self.offsets[row] as usize;
        self.rows_of_groups().into_iter().map(|rows| place(rows.start)..place(rows.end)).collect()
    }

    /// The same groups as ranges of the n scored places.
    pub(crate) fn scored_groups(&self) -> Vec<Range<usize>> {
        let places = self.scored.offsets();
        self.rows_of_groups().into_iter().map(|rows| places[rows.start]..places[rows.end]).collect()
    }

    fn rows_of_groups(&self) -> Vec<Range<usize>> {
        let lengths: Vec<usize> = self.offsets.windows(2).map(|row| (row[1] - row[0]) as usize).collect();
        parts(&lengths, GROUP_TOKENS)
    }

    /// Scored places of each row, n in all, as places among the N tokens.
    pub fn scored(&self) -> &Ragged<u32> {
        &self.scored
    }
}

fn check_row(dims: &Dims, row: usize, sequence: &Sequence) -> Result<(), ModelError> {
    if sequence.prompt.is_empty() {
        return Err(ModelError::EmptyPrompt { row });
    }
    if sequence.len() > dims.positions {
        return Err(ModelError::TooLong { row, len: sequence.len(), positions: dims.positions });
    }
    Ok(())
}

fn check_places(row: usize, sequence: &Sequence, places: &[usize]) -> Result<(), ModelError> {
    let len = sequence.response.len();
    match places.iter().find(|&&place| place >= len) {
        Some(&place) => Err(ModelError::NoSuchToken { row, place, len }),
        None => Ok(()),
    }
}

/// Tokens of a group at most; a longer row is a group of its own.
///
/// Gradients are sums over tokens, and the order of a sum changes its bits. So they are taken group by group: in rows
/// one after another, wherever a pass begins or ends, as long as it holds whole groups. Smaller groups would let a pass
/// be smaller; each takes the gradient of every weight through memory once, which of few scored tokens is all the time
/// that the output layer takes.
pub const GROUP_TOKENS: usize = 512;

/// Cuts rows of these lengths into parts of at most `bound` tokens; a longer row is a part of its own.
pub(crate) fn parts(lengths: &[usize], bound: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut held) = (0, 0);
    for (row, &len) in lengths.iter().enumerate() {
        if row > start && held + len > bound {
            parts.push(start..row);
            (start, held) = (row, 0);
        }
        held += len;
    }
    if start < lengths.len() {
        parts.push(start..lengths.len());
    }
    parts
}

/// Cuts rows of these lengths into passes of whole groups (of [`GROUP_TOKENS`]): as many as `bound` tokens hold, and
/// at least one. Gradients that the passes add up have the same bits whatever the bound.
pub fn micro_batches(lengths: &[usize], bound: usize) -> Vec<Range<usize>> {
    let groups = parts(lengths, GROUP_TOKENS);
    let sizes: Vec<usize> = groups.iter().map(|rows| lengths[rows.clone()].iter().sum()).collect();
    let rows = |part: Range<usize>| groups[part.start].start..groups[part.end - 1].end;
    parts(&sizes, bound).into_iter().map(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Arch;

    crate::arch! {
        struct Tiny {
            name: "tiny", vocabulary: 9, width: 4, layers: 1, heads: 2, kv_heads: 1, head_size: 2, hidden: 3,
            positions: 6,
        }
    }

    #[test]
    fn responses_are_scored_at_the_place_before_each_token() {
        let rows = [
            Sequence { prompt: vec![1, 2], response: vec![3, 4] },
            Sequence { prompt: vec![5], response: vec![] },
            Sequence { prompt: vec![5], response: vec![6] },
        ];
        let batch = Batch::responses(&Tiny::DIMS, &rows).unwrap();
        assert_eq!(batch.tokens, [1, 2, 3, 4, 5, 5, 6]);
        assert_eq!(batch.offsets, [0, 4, 5, 7]);
        assert_eq!(batch.positions, [0, 1, 2, 3, 0, 0, 1]);
        assert_eq!(batch.scored.iter().collect::<Vec<_>>(), [&[1, 2][..], &[], &[5]]);
        assert_eq!(batch.targets, [3, 4, 6]);

        let batch = Batch::at(&Tiny::DIMS, [(&rows[0], &[1][..]), (&rows[2], &[0][..])]).unwrap();
        assert_eq!(batch.scored.values(), [3, 5]);
    }

    #[test]
    fn a_row_that_does_not_fit_is_named() {
        let rows = [Sequence { prompt: vec![1; 3], response: vec![2; 4] }];
        let error = Batch::responses(&Tiny::DIMS, &rows).unwrap_err();
        assert_eq!(error.to_string(), "row 0 has 7 tokens, the model has 6 positions");
        assert!(Batch::responses(&Tiny::DIMS, &[Sequence::default()]).is_err());
        let row = Sequence { prompt: vec![1], response: vec![2, 3] };
        let error = Batch::at(&Tiny::DIMS, [(&row, &[1][..]), (&row, &[0, 2][..])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "row 1 is to be scored at response token 2 (from 0), its response has 2 tokens"
        );
    }

    #[test]
    fn parts_hold_all_rows_within_the_bound() {
        assert_eq!(parts(&[3, 3, 3, 9, 1], 6), [0..2, 2..3, 3..4, 4..5]);
        assert_eq!(parts(&[], 6), [] as [Range<usize>; 0]);
    }

    #[test]
    fn passes_hold_whole_groups_that_are_the_same_whatever_the_bound() {
        const HALF: usize = GROUP_TOKENS / 2;
        let lengths = [HALF, HALF, 1, HALF, 3 * HALF, HALF, 2, HALF - 2, HALF];
        let groups = parts(&lengths, GROUP_TOKENS);
        assert_eq!(groups, [0..2, 2..4, 4..5, 5..8, 8..9]);
        for bound in [1, HALF, GROUP_TOKENS, 2 * GROUP_TOKENS, 2 * GROUP_TOKENS + 1, usize::MAX] {
            let passes = micro_batches(&lengths, bound);
            let again = passes.iter().flat_map(|pass| {
                parts(&lengths[pass.clone()], GROUP_TOKENS)
                    .into_iter()
                    .map(|group| pass.start + group.start..pass.start + group.end)
            });
            assert_eq!(again.collect::<Vec<_>>(), groups, "cut from a pass of at most {bound} tokens");
            for pass in passes {
                let tokens: usize = lengths[pass.clone()].iter().sum();
                assert!(tokens <= bound || groups.contains(&pass), "{tokens} tokens, {bound} asked");
            }
        }
        assert_eq!(micro_batches(&lengths, GROUP_TOKENS), groups);
        assert_eq!(micro_batches(&lengths, 2 * GROUP_TOKENS + 1), [0..4, 4..5, 5..9]);
        assert_eq!(micro_batches(&lengths, usize::MAX), vec![0..9]);
        assert_eq!(micro_batches(&[], 6), [] as [Range<usize>; 0]);
    }

    #[test]
    fn groups_are_ranges_of_tokens_and_of_scored_places() {
        let row = Sequence { prompt: vec![1, 2], response: vec![3, 4, 5] };
        let count = GROUP_TOKENS / 5 + 1;
        let batch = Batch::responses(&Tiny::DIMS, vec![&row; count]).unwrap();
        assert_eq!(batch.groups(), [0..5 * (count - 1), 5 * (count - 1)..5 * count]);
        assert_eq!(batch.scored_groups(), [0..3 * (count - 1), 3 * (count - 1)..3 * count]);
    }
}
