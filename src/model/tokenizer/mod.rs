//! Text to tokens and back, by the `tokenizers` crate.

mod stop;
mod text;

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use stop::Stop;
use text::Text;
use thiserror::Error;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    AddedToken, DecoderWrapper, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    SplitDelimiterBehavior, TokenizerBuilder, TokenizerImpl,
};

use crate::data::Sequence;

/// The token that ends a response, in tokenizers trained here.
pub const END: &str = "<|end|>";

/// Text could not be tokenized, or a tokenizer not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The `tokenizers` crate failed.
    #[error("the tokenizer failed: {0}")]
    Tokenizers(#[from] tokenizers::Error),
    /// No token ends a sequence.
    #[error("the tokenizer has no token `{0}` to end a sequence")]
    NoEnd(String),
    /// No token begins a sequence.
    #[error("the tokenizer has no token `{0}` to begin a sequence")]
    NoBegin(String),
    /// A file cannot be read, or not used.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: Box<TokenizerError>,
    },
    /// The vocabulary asked for cannot be had.
    #[error("a byte-level vocabulary needs at least 257 tokens, {0} were asked for")]
    Vocabulary(usize),
}

/// A tokenizer, and the tokens that begin and end a sequence.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    begin: Option<u32>,
    end: u32,
    vocabulary: usize,
    /// The same, for which special tokens in a text are tokens; made when one is asked for them.
    special: OnceLock<Box<tokenizers::Tokenizer>>,
}

impl Tokenizer {
    /// A byte-level BPE trained on `corpus`: the same texts in the same order give the same tokenizer.
    ///
    /// Merges stay within a word with the space before it, a number's digit, a run of signs, or a line
    /// end with the indentation after it.
    ///
    /// ```
    /// use pspo::model::Tokenizer;
    ///
    /// let tokenizer = Tokenizer::train(["x = 1\nprint(x)\n"; 3], 300)?;
    /// let tokens = tokenizer.encode("print(x)\n")?;
    /// assert_eq!(tokenizer.decode(&tokens)?, "print(x)\n");
    /// # Ok::<(), pspo::model::TokenizerError>(())
    /// ```
    ///
    /// # Errors
    /// If `vocabulary` is below 257 (all bytes and the end).
    pub fn train<S: AsRef<str>>(
        corpus: impl IntoIterator<Item = S>,
        vocabulary: usize,
    ) -> Result<Self, TokenizerError> {
        const PIECES: &str = r"\r?\n[ \t]*| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|[ \t]+|\s";
        if vocabulary < 257 {
            return Err(TokenizerError::Vocabulary(vocabulary));
        }
        let split = Split::new(SplitPattern::Regex(PIECES.into()), SplitDelimiterBehavior::Isolated, false)?;
        let bytes = ByteLevel::new(false, true, false);
        let mut trained: TokenizerImpl<
            BPE,
            NormalizerWrapper,
            PreTokenizerWrapper,
            PostProcessorWrapper,
            DecoderWrapper,
        > = TokenizerBuilder::new()
            .with_model(BPE::default())
            .with_normalizer(None)
            .with_pre_tokenizer(Some(PreTokenizers::new(vec![split.into(), bytes.into()]).into()))
            .with_post_processor(None)
            .with_decoder(Some(bytes.into()))
            .build()?;
        let mut trainer = BpeTrainer::builder()
            .vocab_size(vocabulary)
            .show_progress(false)
            .special_tokens(vec![AddedToken::from(END, true)])
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let corpus: Vec<String> = corpus.into_iter().map(|text| text.as_ref().to_owned()).collect();
        trained.train(&mut trainer, corpus.iter().map(String::as_str))?;
        let json =
            serde_json::to_string(&trained).map_err(|error| TokenizerError::Tokenizers(error.into()))?;
        Self::from_json(&json, END)
    }

    /// The tokenizer in a `tokenizer.json`, whose token `end` ends a sequence. Truncation, padding and dropout that stand there
    /// as well are left out: they are not the text's.
    ///
    /// # Errors
    /// If the text is not a tokenizer or has no such token.
    pub fn from_json(json: &str, end: &str) -> Result<Self, TokenizerError> {
        // The crate takes numbers and names from the file without a look at whether they fit.
        let made = catch_unwind(|| Self::made(json, end));
        made.unwrap_or_else(|_| Err(tokenizers::Error::from("its parts do not fit together").into()))
    }

    fn made(json: &str, end: &str) -> Result<Self, TokenizerError> {
        let mut inner: tokenizers::Tokenizer = json.parse()?;
        inner.with_truncation(None)?;
        inner.with_padding(None);
        if let ModelWrapper::BPE(bpe) = inner.get_model()
            && bpe.dropout.is_some()
        {
            let mut certain = bpe.clone();
            certain.dropout = None;
            inner.with_model(certain);
        }
        let id = inner.token_to_id(end).ok_or_else(|| TokenizerError::NoEnd(end.to_owned()))?;
        // Whatever the file says of it, the end has no text, and no text is the end.
        inner.add_special_tokens(&[AddedToken::from(end, true)]);
        inner.set_encode_special_tokens(true);
        let vocabulary = inner.get_vocab(true).into_values().max().map_or(0, |last| last as usize + 1);
        Ok(Self { inner, begin: None, end: id, vocabulary, special: OnceLock::new() })
    }

    /// The tokenizer in a file, whose token `end` ends a sequence.
    ///
    /// # Errors
    /// If the file cannot be read, is not a tokenizer or has no such token.
    pub fn from_file(path: impl AsRef<Path>, end: &str) -> Result<Self, TokenizerError> {
        let file = path.as_ref();
        let json = std::fs::read_to_string(file).map_err(|error| TokenizerError::Tokenizers(error.into()));
        let read = json.and_then(|json| Self::from_json(&json, end));
        read.map_err(|source| TokenizerError::File { file: file.to_owned(), source: Box::new(source) })
    }

    /// The same with a token that begins a [prompt](Self::prompt), as some base models want it.
    ///
    /// ```
    /// use pspo::model::Tokenizer;
    ///
    /// let tokenizer = Tokenizer::train(["x"], 257)?.with_begin("<|end|>")?;
    /// assert_eq!(tokenizer.prompt("x")?, [tokenizer.end(), tokenizer.encode("x")?[0]]);
    /// # Ok::<(), pspo::model::TokenizerError>(())
    /// ```
    ///
    /// # Errors
    /// If there is no such token.
    pub fn with_begin(self, begin: &str) -> Result<Self, TokenizerError> {
        let id = self.inner.token_to_id(begin).ok_or_else(|| TokenizerError::NoBegin(begin.to_owned()))?;
        Ok(Self { begin: Some(id), ..self })
    }

    /// The tokenizer as the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, TokenizerError> {
        Ok(self.inner.to_string(false)?)
    }

    /// The token that ends a sequence.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// That token's name, as `tokenizer.json` has it.
    pub fn end_name(&self) -> String {
        self.inner.id_to_token(self.end).expect("the end was a token when the tokenizer was made")
    }

    /// The name of the token that begins a prompt, where one does.
    pub fn begin_name(&self) -> Option<String> {
        self.inner.id_to_token(self.begin?)
    }

    /// The number past the last token's: there may be fewer tokens.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The tokens of a prompt that is no conversation: those of its text, behind the token that begins a sequence where
    /// there is one.
    ///
    /// # Errors
    /// If the `tokenizers` crate fails.
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        Ok(self.begin.into_iter().chain(self.encode(text)?).collect())
    }

    /// The tokens of a text; special tokens in it are text like any other.
    ///
    /// # Errors
    /// If the `tokenizers` crate fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        Ok(self.inner.encode_fast(text, false)?.get_ids().to_vec())
    }

    /// The tokens of a text in which special tokens are spelled, as a [chat template](super::chat) spells them. No
    /// others are added: a template that wants a token at the beginning says so.
    ///
    /// ```
    /// use pspo::model::Tokenizer;
    ///
    /// let tokenizer = Tokenizer::train(["x"], 257)?;
    /// assert_eq!(tokenizer.encode_special("a<|end|>")?.last(), Some(&tokenizer.end()));
    /// assert_eq!(tokenizer.encode("<|end|>")?.len(), 7); // plain text
    /// # Ok::<(), pspo::model::TokenizerError>(())
    /// ```
    ///
    /// # Errors
    /// If the `tokenizers` crate fails.
    pub fn encode_special(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let special = self.special.get_or_init(|| {
            let mut special = self.inner.clone();
            special.set_encode_special_tokens(false);
            Box::new(special)
        });
        Ok(special.encode_fast(text, false)?.get_ids().to_vec())
    }

    /// A prompt with a response that ends, for training.
    ///
    /// # Errors
    /// If the `tokenizers` crate fails.
    pub fn example(&self, prompt: &str, response: &str) -> Result<Sequence, TokenizerError> {
        let mut sequence = Sequence { prompt: self.prompt(prompt)?, response: self.encode(response)? };
        sequence.response.push(self.end);
        Ok(sequence)
    }

    /// The text of tokens. Special tokens have none; bytes that are not UTF-8 become U+FFFD, and so does each
    /// token that is not in the vocabulary: models have more than their tokenizer where their size was
    /// rounded up, and may draw one.
    ///
    /// # Errors
    /// If the `tokenizers` crate fails.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        Ok(self.decode_with_ends(tokens)?.0)
    }

    /// The text of tokens, as [`Tokenizer::decode`] gives it, and for each token the byte of the text just
    /// past it. A token that ends within a character ends, here, where the character begins: the token that
    /// completes it holds it. Of bytes that are no character's, the token holds them that shows it.
    ///
    /// ```
    /// use pspo::model::Tokenizer;
    ///
    /// let tokenizer = Tokenizer::train(["a é\n"], 257)?; // single bytes: é is two tokens
    /// let (text, ends) = tokenizer.decode_with_ends(&tokenizer.encode("a é\n")?)?;
    /// assert_eq!((text.as_str(), ends), ("a é\n", vec![1, 2, 2, 4, 5]));
    /// # Ok::<(), pspo::model::TokenizerError>(())
    /// ```
    ///
    /// # Errors
    /// If the `tokenizers` crate fails.
    pub fn decode_with_ends(&self, tokens: &[u32]) -> Result<(String, Vec<usize>), TokenizerError> {
        let mut text = Text::new(&self.inner);
        for &token in tokens {
            text.push(token)?;
        }
        text.finish()
    }
}

#[cfg(test)]
mod tests;
