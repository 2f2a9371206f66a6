//! Tokenizers from the metadata of GGUF files.

use std::fs;

use pspo::model::Tokenizer;
use pspo::pretrained::gguf_tokenizer::{self, GgufTokenizerError};
use pspo::pretrained::tensors::Gguf;

use crate::gguf::{self, File};

fn open(file: &File) -> Gguf {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    fs::write(&path, file.write().bytes).unwrap();
    Gguf::open(path).unwrap()
}

fn tokenizer(pre: &str) -> Tokenizer {
    gguf_tokenizer::tokenizer(&open(&gguf::tokenizer(pre))).unwrap()
}

/// The text of each token by itself.
fn pieces(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
    tokenizer.encode(text).unwrap().iter().map(|&token| tokenizer.decode(&[token]).unwrap()).collect()
}

#[test]
fn tokens_are_those_of_the_file() {
    let tokenizer = tokenizer("smollm");
    // 256 bytes, 6 merges, a user-defined token and the end; the unused ones are left out.
    assert_eq!((tokenizer.vocabulary(), tokenizer.end()), (264, 263));
    assert_eq!(pieces(&tokenizer, "def x"), ["def", " x"]);
    assert_eq!(tokenizer.encode("def").unwrap(), [257]);
    let text = "a<fim>b é🦀\r\n\t\u{7f}";
    let tokens = tokenizer.encode(text).unwrap();
    assert_eq!(tokens[1], 262);
    assert_eq!(tokenizer.decode(&tokens).unwrap(), text);
    // A control token's text is text; the token has none.
    let tokens = tokenizer.encode("<|end|>").unwrap();
    assert!(!tokens.contains(&263) && tokenizer.decode(&tokens).unwrap() == "<|end|>");
    assert_eq!(tokenizer.decode(&[263]).unwrap(), "");
    assert_eq!(tokenizer.decode(&[264]).unwrap(), "\u{FFFD}");
}

#[test]
fn words_are_cut_as_the_file_says() {
    // Numbers: whole words of three digits only where they may be.
    for (pre, number) in [
        ("smollm", &["1", "2", "3", "4"][..]),
        ("starcoder", &["1", "2", "3", "4"]),
        ("qwen2", &["1", "2", "3", "4"]),
        ("deepseek-coder", &["1", "2", "3", "4"]),
        ("gpt-2", &["123", "4"]),
        ("llama-bpe", &["123", "4"]),
        ("default", &["123", "4"]),
    ] {
        assert_eq!(pieces(&tokenizer(pre), "1234"), number, "{pre}");
    }
    // Two line ends are one word, but for DeepSeek-Coder.
    for (pre, ends) in [("smollm", 1), ("qwen2", 1), ("llama-bpe", 1), ("deepseek-coder", 2), ("default", 1)]
    {
        assert_eq!(pieces(&tokenizer(pre), "\n\n").len(), ends, "{pre}");
    }
    // é as two characters becomes one for Qwen alone.
    let composed = |pre| tokenizer(pre).encode("e\u{301}").unwrap() == tokenizer(pre).encode("é").unwrap();
    assert!(composed("qwen2") && !composed("llama-bpe") && !composed("smollm"));
}

#[test]
fn words_that_are_tokens_are_taken_whole_by_llama() {
    let with = |pre| {
        let mut file = gguf::tokenizer(pre);
        let end = file.keys.len();
        let mut tokens: Vec<String> = gguf::byte_characters().into_iter().map(String::from).collect();
        // No merge leads to it.
        tokens.extend(["Ġxyz".to_owned(), "<|end|>".to_owned()]);
        file.keys.truncate(2);
        assert!(end > 2);
        let file = file.texts("tokenizer.ggml.tokens", &tokens).texts("tokenizer.ggml.merges", &[]);
        gguf_tokenizer::tokenizer_with_end(&open(&file), "<|end|>").unwrap()
    };
    assert_eq!(pieces(&with("llama-bpe"), " xyz"), [" xyz"]);
    assert_eq!(pieces(&with("qwen2"), " xyz"), [" ", "x", "y", "z"]);
}

#[test]
fn a_byte_that_no_token_has_is_dropped() {
    let tokens: Vec<String> =
        gguf::byte_characters().into_iter().filter(|&c| c != 'q').map(String::from).collect();
    let mut file = gguf::tokenizer("smollm");
    file.keys.truncate(2);
    let file = file.texts("tokenizer.ggml.tokens", &tokens).texts("tokenizer.ggml.merges", &[]);
    let tokenizer = gguf_tokenizer::tokenizer_with_end(&open(&file), "~").unwrap();
    assert_eq!(pieces(&tokenizer, "aqb"), ["a", "b"]);
}

#[test]
fn the_end_can_be_chosen() {
    let file = open(&gguf::tokenizer("qwen2"));
    assert_eq!(gguf_tokenizer::tokenizer_with_end(&file, "<fim>").unwrap().end(), 262);
    let error = gguf_tokenizer::tokenizer_with_end(&file, "<absent>").unwrap_err();
    assert!(error.to_string().contains("<absent>"), "{error}");
}

#[test]
fn what_cannot_be_a_tokenizer() {
    let refused = |key: &str, change: &dyn Fn(File) -> File, words: &[&str]| {
        let mut file = gguf::tokenizer("qwen2");
        file.keys.retain(|(name, _)| name != key);
        let error = gguf_tokenizer::tokenizer(&open(&change(file))).unwrap_err();
        let text = error.to_string();
        for word in ["model.gguf"].iter().chain(words) {
            assert!(text.contains(word), "{text:?} does not have {word:?}");
        }
        error
    };
    let key = "tokenizer.ggml.model";
    refused(key, &|file| file, &[key]);
    let error = refused(key, &|file| file.text(key, "llama"), &["`llama`", "`gpt2`"]);
    assert!(matches!(error, GgufTokenizerError::Model { .. }));
    let key = "tokenizer.ggml.pre";
    refused(key, &|file| file, &[key]);
    let error = refused(key, &|file| file.text(key, "falcon"), &["`falcon`", "`qwen2`"]);
    assert!(matches!(error, GgufTokenizerError::Pre { .. }));
    let key = "tokenizer.ggml.eos_token_id";
    refused(key, &|file| file, &[key]);
    refused(key, &|file| file.u32(key, 266), &[key, "266"]);
    let key = "tokenizer.ggml.token_type";
    refused(key, &|file| file.i32s(key, &[1]), &[key, "1 types for 266 tokens"]);
    refused(key, &|file| file.i32s(key, &[7; 266]), &[key, "type 7 for token 0"]);
    let key = "tokenizer.ggml.merges";
    refused(key, &|file| file, &[key]);
    refused(key, &|file| file.texts(key, &["ab".to_owned()]), &[key, "\"ab\"", "place 0"]);
    refused(key, &|file| file.texts(key, &["q z".to_owned()]), &[key, "\"q z\"", "must be tokens"]);
    let key = "tokenizer.ggml.tokens";
    refused(key, &|file| file, &[key]);
    refused(key, &|file| file.texts(key, &vec!["a".to_owned(); 266]), &[key, "\"a\" twice", "0", "1"]);
}
