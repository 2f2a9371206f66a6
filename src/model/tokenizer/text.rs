//! Text from tokens, one token after another, so that it is known where each of them ends.

use tokenizers::Tokenizer;

use super::TokenizerError;

/// Tokens that may go on without a whole character. One needs four at most; more are no character's, and a
/// response of such tokens alone must not cost the square of its length.
const LONGEST: usize = 16;

/// A text in the making: pieces are settled from left to right, each as soon as its last character is whole.
/// Ends are places in the text that comes out of it, so the two fit, whatever bytes the tokens spell.
#[derive(Clone)]
pub(super) struct Text<'a> {
    inner: &'a Tokenizer,
    text: String,
    ends: Vec<usize>,
    /// The settled tokens before the pending ones, and what they decode to by themselves. The pending are
    /// decoded behind them, since some decoders take a blank off the first token that they see.
    context: (Vec<u32>, String),
    /// Tokens whose last bytes may be the beginning of a character.
    pending: Vec<u32>,
    /// What the pending tokens decode to so far.
    piece: String,
}

impl<'a> Text<'a> {
    pub(super) fn new(inner: &'a Tokenizer) -> Self {
        Self {
            inner,
            text: String::new(),
            ends: Vec::new(),
            context: Default::default(),
            pending: Vec::new(),
            piece: String::new(),
        }
    }

    /// Adds a token.
    pub(super) fn push(&mut self, token: u32) -> Result<(), TokenizerError> {
        match self.inner.id_to_token(token) {
            Some(name) if self.inner.get_added_vocabulary().is_special_token(&name) => self.push_special(),
            Some(_) => self.push_spelled(token),
            None => self.push_unknown(),
        }
    }

    /// The text so far from byte `from` on, as far as its characters are whole; `from` is one's boundary or within
    /// one, which then is there as well.
    pub(super) fn whole_from(&self, from: usize) -> String {
        let piece = self.piece.trim_end_matches(char::REPLACEMENT_CHARACTER);
        let begin = self.text.floor_char_boundary(from);
        [&self.text[begin..], piece].concat()
    }

    /// Bytes of the text that are settled: they stay as they are.
    pub(super) fn settled(&self) -> usize {
        self.text.len()
    }

    /// Adds a token that has text.
    fn push_spelled(&mut self, token: u32) -> Result<(), TokenizerError> {
        self.pending.push(token);
        self.piece = self.decode_pending()?;
        let whole = self.piece.trim_end_matches(char::REPLACEMENT_CHARACTER).len();
        // What is whole stays so; only an odd decoder takes it back.
        let before = self.ends.last().copied().unwrap_or(0);
        self.ends.push(before.max(self.text.len() + whole));
        if whole == self.piece.len() || self.pending.len() >= LONGEST {
            self.settle()?;
        }
        Ok(())
    }

    /// Adds a token without text: a special one.
    fn push_special(&mut self) -> Result<(), TokenizerError> {
        self.settle()?;
        self.ends.push(self.text.len());
        Ok(())
    }

    /// Adds a token that the tokenizer does not know.
    fn push_unknown(&mut self) -> Result<(), TokenizerError> {
        self.settle()?;
        self.text.push(char::REPLACEMENT_CHARACTER);
        self.ends.push(self.text.len());
        Ok(())
    }

    /// The text, and for each token the byte of it just past the token.
    pub(super) fn finish(mut self) -> Result<(String, Vec<usize>), TokenizerError> {
        self.settle()?;
        Ok((self.text, self.ends))
    }

    fn decode_pending(&self) -> Result<String, TokenizerError> {
        let (context, before) = &self.context;
        let whole = self.inner.decode(&[context.as_slice(), &self.pending].concat(), true)?;
        Ok(match whole.strip_prefix(before.as_str()) {
            Some(piece) => piece.to_owned(),
            // A decoder may read whole tokens as invalid for the sake of those behind them.
            None => self.inner.decode(&self.pending, true)?,
        })
    }

    fn settle(&mut self) -> Result<(), TokenizerError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.text += &self.piece;
        let (len, first) = (self.text.len(), self.ends.len() - self.pending.len());
        for end in &mut self.ends[first..] {
            *end = len.min(*end);
        }
        if let Some(last) = self.ends.last_mut() {
            *last = len;
        }
        let settled = std::mem::take(&mut self.pending);
        // Bytes behind half a character could still be read as the rest of it.
        if !self.piece.ends_with(char::REPLACEMENT_CHARACTER) {
            self.context = (settled, String::new());
            self.context.1 = self.inner.decode(&self.context.0, true)?;
        }
        self.piece.clear();
        Ok(())
    }
}
