//! Which token ends each step.

use thiserror::Error;

use crate::answer::Program;
use crate::data::Steps;

/// Where the tokens end does not fit the response's text.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepTokenError {
    /// A token ends before the one before it.
    #[error("token {token} ends at byte {end}, before byte {before} where the token before it ends")]
    Unordered {
        /// The token's number in the response, from 0.
        token: usize,
        /// Where it ends.
        end: usize,
        /// Where the token before it ends.
        before: usize,
    },
    /// The tokens do not spell the text that was split.
    #[error(
        "the tokens end at byte {end} of a response of {len} bytes: the steps must be those of the text \
         that the tokens spell, whole"
    )]
    Length {
        /// Where the last token ends, 0 without a token.
        end: usize,
        /// The response's length in bytes.
        len: usize,
    },
    /// The steps are those of another program.
    #[error("the steps are those of {steps} bytes, but the response wrote {own} bytes of the program")]
    Program {
        /// Bytes that the steps tile.
        steps: usize,
        /// Bytes of the program's own text.
        own: usize,
    },
}

/// For each step the response token (from 0) that contains the end of its line: the token with the
/// byte before [`Steps::line_end`], so the line feed or, on a last line without one, the last byte.
///
/// `token_ends` holds for each response token the byte of the response's text where it ends. A token
/// without text of its own ends where the one before it does: end-of-sequence, or all but the last of
/// the tokens that spell one character. No step ends at such a token.
///
/// One token may hold the line feed and more: the blank lines after it (`"\n\n"`), the last of the
/// code (`":\n"`), or the next line's indentation (`"\n    "`). What the model computes there has seen
/// the whole token.
///
/// One token may also hold the ends of several lines, as `";\n}\n"` does. Then all these steps map to
/// it: their dense rewards are given together there, and a PRM that reads one number per token gives
/// them one score.
///
/// ```
/// use pspo::plugin::CheckedSplitter;
/// use pspo::steps::{Lines, step_tokens};
///
/// let steps = CheckedSplitter::new(Lines::python()).split("for i in x:\n    f(i)")?;
/// // "for", " i", " in", " x", ":\n", "   ", " f", "(i", ")", end of sequence
/// let token_ends = [3, 5, 8, 10, 12, 15, 17, 19, 20, 20];
/// assert_eq!(step_tokens(&steps, &token_ends)?, [4, 8]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If `token_ends` ever falls, or the last token does not end where the program does.
pub fn step_tokens(steps: &Steps, token_ends: &[usize]) -> Result<Vec<usize>, StepTokenError> {
    tokens_of(steps, token_ends, steps.program().len(), Some)
}

/// As [`step_tokens`], for a program that is a part of the response: `steps` are those of
/// [`program.own()`](Program::own), `token_ends` those of the whole response. The token that ends a step may hold
/// what stands behind it in the response, such as the marks that close the program's block.
///
/// ```
/// use pspo::answer::Extraction;
/// use pspo::plugin::CheckedSplitter;
/// use pspo::steps::{Lines, own_steps, program_step_tokens};
///
/// let response = "So:\n```py\nx = 1\ny = 2\n```";
/// let token_ends = [3, 7, 9, 10, 15, 16, 21, 24, 25];
/// //  "So:", "\n```", "py", "\n", "x = 1", "\n", "y = 2", "\n``", "`"
/// let program = Extraction::fenced().program("", response).unwrap();
/// let steps = own_steps(&CheckedSplitter::new(Lines::python()), &program)?;
/// assert_eq!(program_step_tokens(&steps, &program, &token_ends)?, [5, 7]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`step_tokens`], and if the steps do not tile the program's own text.
pub fn program_step_tokens(
    steps: &Steps,
    program: &Program,
    token_ends: &[usize],
) -> Result<Vec<usize>, StepTokenError> {
    let (tiled, own) = (steps.program().len(), program.own().len());
    if tiled != own {
        return Err(StepTokenError::Program { steps: tiled, own });
    }
    tokens_of(steps, token_ends, program.response_len(), |byte| program.response_byte(byte))
}

/// `place` is where in the response of `len` bytes a byte of the steps' text is.
fn tokens_of(
    steps: &Steps,
    token_ends: &[usize],
    len: usize,
    place: impl Fn(usize) -> Option<usize>,
) -> Result<Vec<usize>, StepTokenError> {
    if let Some(at) = token_ends.windows(2).position(|pair| pair[1] < pair[0]) {
        let (before, end) = (token_ends[at], token_ends[at + 1]);
        return Err(StepTokenError::Unordered { token: at + 1, end, before });
    }
    let end = token_ends.last().copied().unwrap_or(0);
    if end != len {
        return Err(StepTokenError::Length { end, len });
    }
    // The first token that ends behind the line's last byte: those before it end earlier, so it holds the byte.
    let token = |step| {
        let byte = place(steps.line_end(step) - 1).expect("the steps tile what the response wrote");
        token_ends.partition_point(|&end| end <= byte)
    };
    Ok((0..steps.len()).map(token).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Tokenizer;
    use crate::plugin::CheckedSplitter;
    use crate::steps::Lines;

    /// The step tokens of the program that `tokens` spell.
    #[track_caller]
    fn check(tokens: &[&str], expected: &[usize]) {
        let program = tokens.concat();
        let steps = CheckedSplitter::new(Lines::python()).split(&program).unwrap();
        let mut end = 0;
        let ends: Vec<_> = tokens
            .iter()
            .map(|token| {
                end += token.len();
                end
            })
            .collect();
        assert_eq!(step_tokens(&steps, &ends).unwrap(), expected, "{tokens:?}");
    }

    #[test]
    fn a_line_ends_at_its_line_feed() {
        check(&["a", "\n", "b", "\n"], &[1, 3]);
        check(&["a\n", "b\n"], &[0, 1]);
        check(&["a", " ", " ", "\n", "b", "\n"], &[3, 5]);
    }

    #[test]
    fn a_last_line_without_line_feed_ends_at_its_last_byte() {
        check(&["a", "\n", "b", "c"], &[1, 3]);
        check(&["a", "  "], &[1]);
    }

    #[test]
    fn end_of_sequence_ends_no_step() {
        check(&["a", "\n", "b", ""], &[1, 2]);
        check(&["a", "\n", "b", "\n", ""], &[1, 3]);
    }

    #[test]
    fn merged_tokens() {
        check(&["a", "\n\n", "b", "\n\n\n"], &[1, 3]);
        check(&["if a", ":\n", "    ", "b", "\n"], &[1, 4]);
        check(&["if a:", "\n    ", "b", "\n    ", "c"], &[1, 3, 4]);
        // The line ends at its own line feed, not at the blank lines after it.
        check(&["a", "\n", "\n", " \n", "b"], &[1, 4]);
        check(&["a", "\n", "\n\n", "b"], &[1, 3]);
        // Blank lines before the first step.
        check(&["\n", "\n", "a", "\n"], &[3]);
    }

    #[test]
    fn steps_may_share_a_token() {
        check(&["a", "\nb\n", "c"], &[1, 1, 2]);
        check(&["a\nb\nc"], &[0, 0, 0]);
        check(&["x = 1\n#", " c\n# d\n", ""], &[0, 1, 1]);
    }

    #[test]
    fn carriage_returns() {
        check(&["a", "\r\n", "b", "\r\n"], &[1, 3]);
        check(&["a", "\r", "\n", "b", "\r", "\n"], &[2, 5]);
        check(&["a\r", "\n\r\n", "b"], &[1, 2]);
    }

    #[test]
    fn unicode() {
        check(&["é = '🦀'", "\n", "# é", "🦀"], &[1, 3]);
        // Tokens of single bytes: "é\n" in three, "🦀" in four, the last character's bytes counted
        // where they stand or all at the last of them.
        let steps = CheckedSplitter::new(Lines::python()).split("é\n🦀").unwrap();
        assert_eq!(step_tokens(&steps, &[1, 2, 3, 4, 5, 6, 7]).unwrap(), [2, 6]);
        assert_eq!(step_tokens(&steps, &[0, 2, 3, 3, 3, 3, 7, 7]).unwrap(), [2, 6]);
    }

    #[test]
    fn blank_responses_have_no_steps() {
        check(&[], &[]);
        check(&["\n", " ", ""], &[]);
    }

    #[test]
    fn tokens_that_do_not_spell_the_program_are_an_error() {
        let steps = CheckedSplitter::new(Lines::python()).split("a\nb").unwrap();
        let length = |end| Err(StepTokenError::Length { end, len: 3 });
        assert_eq!(step_tokens(&steps, &[1, 2]), length(2));
        assert_eq!(step_tokens(&steps, &[1, 2, 4]), length(4));
        assert_eq!(step_tokens(&steps, &[]), length(0));
        assert_eq!(
            step_tokens(&steps, &[2, 1, 3]),
            Err(StepTokenError::Unordered { token: 1, end: 1, before: 2 })
        );
    }

    #[test]
    fn a_program_within_a_response_ends_its_steps_at_the_responses_tokens() {
        use crate::answer::Extraction;
        use crate::steps::own_steps;

        let check = |given: &str, tokens: &[&str], extraction: &Extraction, expected: &[usize]| {
            let response = tokens.concat();
            let program = extraction.program(given, &response).unwrap();
            let steps = own_steps(&CheckedSplitter::new(Lines::python()), &program).unwrap();
            let ends: Vec<_> = (1..=tokens.len()).map(|count| tokens[..count].concat().len()).collect();
            assert_eq!(program_step_tokens(&steps, &program, &ends).unwrap(), expected, "{tokens:?}");
        };
        let fenced = Extraction::fenced();
        check("", &["So:", "\n", "```\na", "\nb", "\n```", "\nIt", " is."], &fenced, &[3, 4]);
        // The text before the block shares a token with its first line, and there is none behind it.
        check("", &["So:\n```\na\nb", "\n"], &fenced, &[0, 1]);
        check("", &[" ```\n", " a", "\n", " ", " b", "\n ```", ""], &fenced, &[2, 5]);
        check("```\n", &["a", "\n", "```\n", "b"], &fenced, &[1]);
        let completion = Extraction::completion();
        check("x\n", &["  a", "\n\n", "def", " g"], &completion, &[1]);
        check("x", &["\n", "a", "\nprint", "(a)"], &completion, &[2]);
        let program = fenced.program("", "```\na\n```").unwrap();
        let steps = own_steps(&CheckedSplitter::new(Lines::python()), &program).unwrap();
        let error = program_step_tokens(&steps, &program, &[4, 6]);
        assert_eq!(error, Err(StepTokenError::Length { end: 6, len: 9 }));
        let other = CheckedSplitter::new(Lines::python()).split("a").unwrap();
        let error = program_step_tokens(&other, &program, &[9]);
        assert_eq!(error, Err(StepTokenError::Program { steps: 1, own: 2 }));
    }

    /// A byte-level tokenizer whose vocabulary has merged tokens across line ends, as real ones do.
    fn merging() -> Tokenizer {
        let bytes = Tokenizer::train(["x"], 257).unwrap().to_json().unwrap();
        let mut json: Value = serde_json::from_str(&bytes).unwrap();
        let [line, blank] = ["\u{10A}", "\u{120}"]; // how byte-level tokenizers write "\n" and " "
        let pairs = [(":", line), (line, line), (line, blank)];
        let indentation = (1..4).map(|n| (format!("{line}{}", blank.repeat(n)), blank.to_owned()));
        let pairs = pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).into_iter().chain(indentation);
        for (number, (first, second)) in pairs.enumerate() {
            json["model"]["vocab"][format!("{first}{second}")] = json!(257 + number);
            json["model"]["merges"].as_array_mut().unwrap().push(json!([first, second]));
        }
        json["pre_tokenizer"] = json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false,
        });
        Tokenizer::from_json(&json.to_string(), crate::model::tokenizer::END).unwrap()
    }

    #[test]
    fn merged_tokens_of_a_real_tokenizer() {
        let tokenizer = merging();
        let check = |program: &str, pieces: &[&str], expected: &[usize]| {
            let mut tokens = tokenizer.encode(program).unwrap();
            let spelled: Vec<_> = tokens.iter().map(|&token| tokenizer.decode(&[token]).unwrap()).collect();
            assert_eq!(spelled, pieces);
            tokens.push(tokenizer.end());
            let (text, ends) = tokenizer.decode_with_ends(&tokens).unwrap();
            assert_eq!(text, program);
            let steps = CheckedSplitter::new(Lines::python()).split(&text).unwrap();
            assert_eq!(step_tokens(&steps, &ends).unwrap(), expected, "{pieces:?}");
        };
        check("a\n\nb\n\n", &["a", "\n\n", "b", "\n\n"], &[1, 3]);
        check("if a:\nb\n", &["i", "f", " ", "a", ":\n", "b", "\n"], &[4, 6]);
        check("a;\n    b", &["a", ";", "\n    ", "b"], &[2, 3]);
        check("a:\n    b\n\n\n  c", &["a", ":\n", " ", " ", " ", " ", "b", "\n\n", "\n  ", "c"], &[1, 7, 9]);
        check("a\r\nb:\r\n", &["a", "\r", "\n", "b", ":", "\r", "\n"], &[2, 6]);
        let half = "\u{FFFD}";
        check("é:\n    🦀", &[half, half, ":\n", " ", " ", " ", " ", half, half, half, half], &[2, 10]);
        check("# é\n\né", &["#", " ", half, half, "\n\n", half, half], &[4, 6]);
    }
}
