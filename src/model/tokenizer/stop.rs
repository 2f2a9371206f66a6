//! Stop sequences: texts at which a response ends, whatever tokens spell them.

use super::text::Text;
use super::{Tokenizer, TokenizerError};
use crate::answer::stop_at;

/// Watches tokens for the first of some texts. What a token costs does not depend on how many came before.
///
/// ```
/// use pspo::model::Tokenizer;
/// use pspo::model::tokenizer::Stop;
///
/// let tokenizer = Tokenizer::train(["x"], 257)?; // single bytes
/// let stops = ["\ndef".to_owned()];
/// let mut stop = Stop::new(&tokenizer, &stops).unwrap();
/// let found = tokenizer.encode("a\ndefg")?.into_iter().map(|token| stop.push(token));
/// assert_eq!(found.collect::<Result<Vec<_>, _>>()?, [false, false, false, false, true, true]);
/// # Ok::<(), pspo::model::TokenizerError>(())
/// ```
#[derive(Clone)]
pub struct Stop<'a> {
    text: Text<'a>,
    stops: &'a [String],
    /// Bytes of the longest.
    longest: usize,
    /// Bytes of the text, all settled, that were looked through.
    seen: usize,
    found: bool,
}

impl<'a> Stop<'a> {
    /// Watches for `stops`. `None` where there are none, an empty one aside: there is nothing to watch for then.
    pub fn new(tokenizer: &'a Tokenizer, stops: &'a [String]) -> Option<Self> {
        let longest = stops.iter().map(String::len).max().filter(|&longest| longest > 0)?;
        Some(Self { text: Text::new(&tokenizer.inner), stops, longest, seen: 0, found: false })
    }

    /// Adds a token. True as soon as the text of all tokens so far, as far as its characters are whole, holds a stop
    /// sequence.
    ///
    /// # Errors
    /// If the `tokenizers` crate fails.
    pub fn push(&mut self, token: u32) -> Result<bool, TokenizerError> {
        if !self.found {
            self.text.push(token)?;
            // A stop sequence may begin as many bytes before what is new as it is long, less one.
            let tail = self.text.whole_from(self.seen.saturating_sub(self.longest - 1));
            self.found = stop_at(&tail, self.stops).is_some();
            self.seen = self.text.settled();
        }
        Ok(self.found)
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::data::Seed;

    #[test]
    fn a_stop_is_found_at_the_token_that_completes_it() {
        // Merged tokens and single bytes, characters of several bytes among them.
        let corpus = ["def f(x):\n    return x\n\ndef g(y):\n    é = '🦀'\nprint(é)\n"; 9];
        let tokenizers = [Tokenizer::train(corpus, 320).unwrap(), Tokenizer::train(["x"], 257).unwrap()];
        let stops = ["\ndef ", "é\n", "", "🦀", "print("].map(str::to_owned);
        let pieces = ["\n", "def", " ", "é", "🦀", "print(", "x", "\nde", "f ", "return"];
        let mut stopped = 0;
        for row in 0..200 {
            let mut rng = Seed::root(8).index(row).rng();
            let text: String = (0..12).map(|_| pieces[rng.random_range(0..pieces.len())]).collect();
            let tokenizer = &tokenizers[row as usize % 2];
            let mut tokens = tokenizer.encode(&text).unwrap();
            tokens.insert(rng.random_range(0..=tokens.len()), 400); // a token without a name
            let mut stop = Stop::new(tokenizer, &stops).unwrap();
            let found = tokens.iter().position(|&token| stop.push(token).unwrap());
            let holds =
                |count: &usize| stop_at(&tokenizer.decode(&tokens[..*count]).unwrap(), &stops).is_some();
            let expected = (1..=tokens.len()).find(holds).map(|count| count - 1);
            assert_eq!(found, expected, "{text:?}");
            stopped += usize::from(found.is_some());
        }
        assert!((100..200).contains(&stopped), "{stopped} of 200");
        assert!(
            Stop::new(&tokenizers[0], &[]).is_none() && Stop::new(&tokenizers[0], &[String::new()]).is_none()
        );
    }
}
