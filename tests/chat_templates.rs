//! Chat templates are rendered as transformers renders them: `tests/peers/chat_templates.py` recorded what it says.

use std::collections::BTreeMap;
use std::path::Path;

use pspo::model::chat::{ChatError, ChatTemplate, Message, SpecialTokens};
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    name: String,
    template: String,
    tokens: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    messages: Vec<Message>,
    add_generation_prompt: bool,
    text: Option<String>,
    refused: Option<String>,
}

fn check(path: &Path) -> (usize, usize) {
    let recorded: Vec<Recorded> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut rendered, mut refused) = (0, 0);
    for Recorded { name, template, tokens, cases } in recorded {
        let template = ChatTemplate::new(template, SpecialTokens::new(tokens)).unwrap();
        for case in cases {
            let text = template.render(&case.messages, case.add_generation_prompt);
            match text {
                Ok(text) => {
                    assert_eq!(Some(text), case.text, "{name}: {:?}", case.messages);
                    rendered += 1;
                }
                Err(ChatError::Refused(why)) => {
                    assert_eq!(Some(why), case.refused, "{name}: {:?}", case.messages);
                    refused += 1;
                }
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }
    (rendered, refused)
}

#[test]
fn conversations_are_rendered_as_transformers_renders_them() {
    let (rendered, refused) =
        check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/chat_templates.json"));
    assert_eq!((rendered, refused), (64, 6));
    // Of models whose templates are not ours to keep here.
    if let Some(others) = std::env::var_os("PSPO_CHAT_TEMPLATES") {
        let (rendered, refused) = check(Path::new(&others));
        println!("{rendered} rendered, {refused} refused");
        assert!(rendered > 0);
    }
}
