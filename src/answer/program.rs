//! [`Program`]: what is judged, and which of its bytes are the response's.

use std::ops::Range;

/// A program taken from an answer: text that is judged and split into steps, with the way back from each of its
/// bytes to the response's.
///
/// A program may begin in the prompt: that of HumanEval is the prompt and the response behind it. What the prompt
/// gave is judged and is no step, since no token of the response wrote it: steps are those of [`Program::own`].
///
/// ```
/// use pspo::answer::Extraction;
///
/// let response = "So:\n```python\nx = 1\n```\n";
/// let program = Extraction::fenced().program("", response).unwrap();
/// assert_eq!((program.text(), program.own()), ("x = 1\n", "x = 1\n"));
/// assert_eq!(program.response_byte(5), Some(19)); // the line feed
/// assert_eq!(&response[14..20], "x = 1\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    text: String,
    /// Bytes that the prompt gave.
    given: usize,
    /// Bytes of the whole response.
    response: usize,
    /// Runs of the response, in order, that make up the rest.
    runs: Vec<Run>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    /// Where it begins in the program's own text.
    own: usize,
    /// Its bytes of the response.
    response: Range<usize>,
}

impl Program {
    /// The program of these runs of `given` and `response` behind it, taken as one text; in order, on boundaries of
    /// characters.
    pub(super) fn of_runs(given: &str, response: &str, runs: impl IntoIterator<Item = Range<usize>>) -> Self {
        let mut program = Self { text: String::new(), given: 0, response: response.len(), runs: Vec::new() };
        for run in runs {
            let within_given = run.start.min(given.len())..run.end.min(given.len());
            program.text += &given[within_given.clone()];
            program.given += within_given.len();
            let response_run = run.start.saturating_sub(given.len())..run.end.saturating_sub(given.len());
            if !response_run.is_empty() {
                program.runs.push(Run { own: program.own().len(), response: response_run.clone() });
                program.text += &response[response_run];
            }
        }
        program
    }

    /// The program that a response is, whole.
    pub fn whole(response: &str) -> Self {
        Self::of_runs("", response, std::iter::once(0..response.len()))
    }

    /// What is judged.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the response wrote of it: the text behind what the prompt gave.
    pub fn own(&self) -> &str {
        &self.text[self.given..]
    }

    /// Bytes that the prompt gave.
    pub fn given(&self) -> usize {
        self.given
    }

    /// Bytes of the response that it was taken from, whole.
    pub fn response_len(&self) -> usize {
        self.response
    }

    /// The byte of the response that is byte `own` of [`Program::own`]; `None` behind its end.
    pub fn response_byte(&self, own: usize) -> Option<usize> {
        let run = self.runs.partition_point(|run| run.own <= own).checked_sub(1)?;
        let Run { own: begins, response } = &self.runs[run];
        Some(response.start + (own - begins)).filter(|byte| response.contains(byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_place_in_the_response() {
        let (given, response) = ("ab\n", "..cé\n..d..");
        let runs = [1..3, 5..9, 11..12];
        let program = Program::of_runs(given, response, runs);
        assert_eq!((program.text(), program.own(), program.given()), ("b\ncé\nd", "cé\nd", 2));
        let places: Vec<_> = (0..=program.own().len()).map(|byte| program.response_byte(byte)).collect();
        assert_eq!(places, [Some(2), Some(3), Some(4), Some(5), Some(8), None]);
        for (byte, place) in places.iter().enumerate().take(program.own().len()) {
            assert_eq!(program.own().as_bytes()[byte], response.as_bytes()[place.unwrap()]);
        }
    }

    #[test]
    fn a_run_may_begin_in_the_prompt_and_end_in_the_response() {
        let program = Program::of_runs("def f():\n", "    return 1", std::iter::once(0..21));
        assert_eq!((program.own(), program.given()), ("    return 1", 9));
        assert_eq!(program.response_byte(11), Some(11));
        let empty = Program::of_runs("a", "", std::iter::once(0..1));
        assert_eq!((empty.own(), empty.response_byte(0)), ("", None));
    }
}
