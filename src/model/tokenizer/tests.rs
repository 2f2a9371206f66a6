use rand::RngExt;
use serde_json::{Value, json};

use super::*;
use crate::data::Seed;

/// A tokenizer whose tokens are single bytes, and the end.
fn bytes() -> Tokenizer {
    Tokenizer::train(["x"], 257).unwrap()
}

#[test]
fn special_tokens_in_a_text_are_text() {
    let trained = bytes();
    let prompt = "say <|end|> and stop<|end|>";
    let check = |tokenizer: &Tokenizer| {
        let tokens = tokenizer.encode(prompt).unwrap();
        assert!(!tokens.contains(&tokenizer.end()), "{tokens:?}");
        assert_eq!(tokenizer.decode(&tokens).unwrap(), prompt);
        let example = tokenizer.example("a", prompt).unwrap();
        assert_eq!(example.response.iter().position(|&token| token == tokenizer.end()), Some(prompt.len()));
        assert_eq!(tokenizer.decode(&example.response).unwrap(), prompt);
    };
    check(&trained);
    check(&Tokenizer::from_json(&trained.to_json().unwrap(), END).unwrap());
    // An end that its file does not call special.
    let json = trained.to_json().unwrap();
    let plain = json.replace("\"special\":true", "\"special\":false");
    assert_ne!(json, plain);
    check(&Tokenizer::from_json(&plain, END).unwrap());
}

/// What a change of the file of [`bytes`] makes of it.
fn changed(change: impl FnOnce(&mut Value)) -> Result<Tokenizer, TokenizerError> {
    let mut json: Value = serde_json::from_str(&bytes().to_json().unwrap()).unwrap();
    change(&mut json);
    Tokenizer::from_json(&json.to_string(), END)
}

#[test]
fn truncation_padding_and_chance_are_left_out() {
    let text = "a b and much more";
    let needed = bytes().encode(text).unwrap();
    let check = |change: fn(&mut Value)| {
        let tokenizer = changed(change).unwrap();
        for _ in 0..4 {
            assert_eq!(tokenizer.encode(text).unwrap(), needed);
        }
    };
    check(|json| {
        json["truncation"] =
            json!({ "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0 });
    });
    check(|json| {
        json["padding"] = json!({
            "strategy": { "Fixed": 80 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 1,
            "pad_type_id": 0, "pad_token": "x",
        });
    });
    // With this much of it no two tokens merge.
    let merged = Tokenizer::train([text; 9], 280).unwrap();
    let mut json: Value = serde_json::from_str(&merged.to_json().unwrap()).unwrap();
    json["model"]["dropout"] = json!(1.0);
    let certain = Tokenizer::from_json(&json.to_string(), END).unwrap();
    assert!(merged.encode(text).unwrap().len() < text.len());
    assert_eq!(certain.encode(text).unwrap(), merged.encode(text).unwrap());
}

#[test]
fn the_vocabulary_ends_with_its_last_token() {
    let last = changed(|json| json["model"]["vocab"]["def"] = json!(60_000)).unwrap();
    assert_eq!((bytes().vocabulary(), last.vocabulary()), (257, 60_001));
}

#[test]
fn a_file_that_is_no_tokenizer_is_an_error_that_names_it() {
    let error = changed(|json| {
        json["model"]["merges"] = json!(["a b"]);
        json["model"]["vocab"]["ab"] = json!(300);
        json["model"]["continuing_subword_prefix"] = json!("(a+)+$");
    });
    assert!(error.unwrap_err().to_string().contains("its parts do not fit together"));
    assert!(bytes().with_begin("<s>").unwrap_err().to_string().contains("no token `<s>` to begin"));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokenizer.json");
    let error = || {
        let error = Tokenizer::from_file(&file, "<|nope|>").unwrap_err().to_string();
        assert!(error.starts_with(&file.display().to_string()), "{error}");
        error
    };
    error();
    std::fs::write(&file, "{").unwrap();
    error();
    std::fs::write(&file, bytes().to_json().unwrap()).unwrap();
    assert!(error().ends_with("the tokenizer has no token `<|nope|>` to end a sequence"));
}

/// The tokens of these bytes.
fn spell(tokenizer: &Tokenizer, bytes: &[u8]) -> Vec<u32> {
    // The first 256 tokens of a byte-level alphabet stand for bytes; which for which, texts tell.
    let of = |text: &'static str| tokenizer.encode(text).unwrap().into_iter().zip(text.bytes());
    let known: std::collections::BTreeMap<u8, u32> =
        ["\n\ta b=", "é€🦀ÿ"].into_iter().flat_map(of).map(|(token, byte)| (byte, token)).collect();
    bytes.iter().map(|byte| known[byte]).collect()
}

#[test]
fn ends_stay_right_behind_bytes_that_are_no_character() {
    let tokenizer = bytes();
    let check = |spelled: &[u8], text: &str, ends: &[usize]| {
        let mut tokens = spell(&tokenizer, spelled);
        assert_eq!(tokenizer.decode_with_ends(&tokens).unwrap(), (text.to_owned(), ends.to_vec()));
        tokens.push(tokenizer.end());
        let (_, ended) = tokenizer.decode_with_ends(&tokens).unwrap();
        assert_eq!(ended, [ends, &[text.len()]].concat(), "the end has no text of its own");
    };
    // Two of the three bytes of €, then lines of ASCII.
    check(b"\xE2\x82a\nb\n", "\u{FFFD}a\nb\n", &[0, 0, 4, 5, 6, 7]);
    check(b"a\n\xE2\nb", "a\n\u{FFFD}\nb", &[1, 2, 2, 6, 7]);
    check(b"\xE2\x82\xE2\x82\xACa\n", "\u{FFFD}€a\n", &[0, 0, 0, 0, 6, 7, 8]);
    check(b"\x82\x82\n", "\u{FFFD}\u{FFFD}\n", &[0, 0, 7]);
    check(b"a\xE2", "a\u{FFFD}", &[1, 4]);
    check("é🦀\n".as_bytes(), "é🦀\n", &[0, 2, 2, 2, 2, 6, 7]);
}

#[test]
fn the_text_is_that_of_all_tokens_at_once() {
    let tokenizer = bytes();
    for row in 0..50 {
        let mut rng = Seed::root(4).index(row).rng();
        let alphabet = "a\n\té€🦀".as_bytes();
        let bytes: Vec<u8> = (0..60).map(|_| alphabet[rng.random_range(0..alphabet.len())]).collect();
        let (text, ends) = tokenizer.decode_with_ends(&spell(&tokenizer, &bytes)).unwrap();
        assert_eq!(text, String::from_utf8_lossy(&bytes));
        assert!(ends.is_sorted() && ends.last() == Some(&text.len()));
        for (byte, end) in bytes.iter().zip(&ends).filter(|(byte, _)| byte.is_ascii()) {
            assert_eq!(text.as_bytes()[end - 1], *byte, "{bytes:?}");
        }
    }
}

#[test]
fn garbage_without_end_is_settled_now_and_then() {
    let tokenizer = bytes();
    let tokens = spell(&tokenizer, &[b"\xE2".repeat(100), b"\na".to_vec()].concat());
    let (text, ends) = tokenizer.decode_with_ends(&tokens).unwrap();
    assert_eq!(text, "\u{FFFD}".repeat(100) + "\na");
    assert_eq!(ends[100..], [301, 302]);
}

/// Pieces of words with `▁` for a blank, and bytes, as SentencePiece has them.
fn pieces(decoder: Value) -> (Tokenizer, impl Fn(&[&str]) -> Vec<u32>) {
    let names = ["</s>", "<unk>", "▁", "▁x", "x", "▁=", "▁▁", "<0x0A>", "<0xE2>", "<0x82>", "<0xAC>"];
    let vocabulary: Value =
        names.iter().enumerate().map(|(id, name)| ((*name).to_owned(), json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": decoder,
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>" },
    });
    let tokenizer = Tokenizer::from_json(&tokenizer.to_string(), "</s>").unwrap();
    let id = move |name: &&str| names.iter().position(|known| known == name).unwrap() as u32;
    (tokenizer, move |tokens: &[&str]| tokens.iter().map(id).collect())
}

#[test]
fn decoders_that_take_off_the_first_blank() {
    let sequence = json!({ "type": "Sequence", "decoders": [
        { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
        { "type": "ByteFallback" },
        { "type": "Fuse" },
        { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
    ]});
    let (tokenizer, tokens) = pieces(sequence);
    let check = |names: &[&str], text: &str, ends: &[usize]| {
        let decoded = tokenizer.decode_with_ends(&tokens(names)).unwrap();
        assert_eq!(decoded, (text.to_owned(), ends.to_vec()), "{names:?}");
    };
    let line = ["▁x", "▁=", "▁x", "<0x0A>"];
    check(&line, "x = x\n", &[1, 3, 5, 6]);
    check(&[&line[..], &["▁▁", "x", "</s>"]].concat(), "x = x\n  x", &[1, 3, 5, 6, 8, 9, 9]);
    check(&["▁", "▁x", "<0x0A>"], " x\n", &[0, 2, 3]);
    check(&["x", "<0xE2>", "<0x82>", "<0xAC>", "▁x"], "x€ x", &[1, 1, 1, 4, 6]);
    // This decoder takes a run of bytes as a whole: one that is wrong spoils those before it.
    check(
        &["<0xE2>", "<0x82>", "<0xAC>", "<0xE2>", "<0x0A>", "x"],
        "€\u{FFFD}\u{FFFD}x",
        &[0, 0, 3, 3, 3, 10],
    );
    let (metaspace, tokens) =
        pieces(json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true }));
    let decoded = metaspace.decode_with_ends(&tokens(&["▁x", "▁=", "▁", "▁x"])).unwrap();
    assert_eq!(decoded, ("x =  x".to_owned(), vec![1, 3, 4, 6]));
}

#[test]
fn a_token_beyond_the_vocabulary_is_a_character_of_its_own() {
    let tokenizer = bytes();
    let [a, half, line] = spell(&tokenizer, b"a\xE2\n")[..] else { unreachable!("three bytes") };
    let (text, ends) = tokenizer.decode_with_ends(&[a, 257, line, half, u32::MAX, line]).unwrap();
    assert_eq!(text, "a\u{FFFD}\n\u{FFFD}\u{FFFD}\n");
    assert_eq!(ends, [1, 4, 5, 8, 11, 12]);
}
