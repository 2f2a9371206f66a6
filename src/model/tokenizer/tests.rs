use super::*;

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
