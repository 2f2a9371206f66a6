//! From the metadata of a GGUF file to the `tokenizer.json` that says the same.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::super::tensors::FileError;
use super::super::tensors::gguf::Metadata;
use super::pre::{Pre, byte_level};

pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";

/// The types of tokens that are not like any other.
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;

pub(super) fn build(metadata: &Metadata, pre: Pre) -> Result<Value, FileError> {
    let (tokens, types) = tokens(metadata)?;
    let mut ids = HashMap::with_capacity(tokens.len());
    let (mut vocabulary, mut added) = (Map::new(), Vec::new());
    for (id, (token, kind)) in tokens.iter().zip(types).enumerate() {
        if let Some(first) = ids.insert(token.as_str(), id) {
            return Err(metadata.wrong(TOKENS, format!("has token {token:?} twice, as {first} and as {id}")));
        }
        vocabulary.insert(token.clone(), json!(id));
        if matches!(kind, CONTROL | USER_DEFINED) {
            added.push(json!({
                "id": id, "content": token, "special": kind == CONTROL, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            }));
        }
    }
    let merges = merges(metadata, &ids)?;
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": pre.normalizer(), "pre_tokenizer": pre.json(), "post_processor": null,
        "decoder": byte_level(),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": pre.whole_words(), "vocab": vocabulary, "merges": merges,
        },
    }))
}

/// The tokens without the unused ones at their end, and their types.
fn tokens(metadata: &Metadata) -> Result<(&[String], Vec<i32>), FileError> {
    let tokens = metadata.strings(TOKENS)?;
    if u32::try_from(tokens.len()).is_err() {
        return Err(metadata.wrong(TOKENS, format!("has {} tokens: ids have 32 bits", tokens.len())));
    }
    // Without types, all are normal.
    let types = match metadata.get(TYPES) {
        Some(_) => metadata.i32s(TYPES)?.to_vec(),
        None => vec![1; tokens.len()],
    };
    if types.len() != tokens.len() {
        let what = format!("has {} types for {} tokens", types.len(), tokens.len());
        return Err(metadata.wrong(TYPES, what));
    }
    if let Some(id) = types.iter().position(|kind| !(1..=6).contains(kind)) {
        return Err(metadata.wrong(TYPES, format!("has type {} for token {id}: types are 1 to 6", types[id])));
    }
    let used = types.iter().rposition(|&kind| kind != UNUSED).map_or(0, |last| last + 1);
    Ok((&tokens[..used], types[..used].to_vec()))
}

/// The merges as pairs, all of whose parts and results are tokens.
fn merges<'a>(
    metadata: &'a Metadata,
    ids: &HashMap<&str, usize>,
) -> Result<Vec<(&'a str, &'a str)>, FileError> {
    let mut pairs = Vec::new();
    for (place, merge) in metadata.strings(MERGES)?.iter().enumerate() {
        let wrong = |what: &str| metadata.wrong(MERGES, format!("has {merge:?} at place {place}: {what}"));
        let (left, right) = merge.split_once(' ').ok_or_else(|| wrong("two tokens have a blank between"))?;
        if ![left, right, &[left, right].concat()].iter().all(|part| ids.contains_key(part)) {
            return Err(wrong("both parts and what they make must be tokens"));
        }
        pairs.push((left, right));
    }
    Ok(pairs)
}
