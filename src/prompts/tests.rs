use super::*;
use crate::data::ProblemSet;
use crate::model::chat::SpecialTokens;
use crate::model::tokenizer::END;

fn problem(json: &str) -> Problem {
    let tests = r#""tests": [{"kind": "assert", "code": "assert f(1)"}]}"#;
    let json = json.replace("}}", &format!("}}, {tests}"));
    (**ProblemSet::read_jsonl(json.as_bytes()).unwrap().get(0).unwrap()).clone()
}

fn prose() -> Problem {
    problem(
        r#"{"id": "p", "prompt": "Return \"\"\"x\"\"\".\nassert f(1) == 1\n", "metadata": {"starter": "def f(x):\n"}}"#,
    )
}

fn exchange(json: &str) -> Result<Exchange, String> {
    let config: ExchangeConfig = serde_json::from_str(json).map_err(|error| error.to_string())?;
    config.build().map_err(|error| error.to_string())
}

#[test]
fn a_conversation_by_the_models_template() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        r#"{{"eos_token": "{END}", "chat_template": "{{% for m in messages %}}[{{{{ m.role }}}}]{{{{ m.content }}}}{{{{ eos_token }}}}{{% endfor %}}{{% if add_generation_prompt %}}[assistant]{{% endif %}}"}}"#
    );
    std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
    let json = serde_json::json!({"prompt": {
        "type": "chat", "template": folder.path(), "system": "Be brief.",
        "instruction": "Solve:\n{prompt}", "begin": "```python\n",
    }});
    let exchange = exchange(&json.to_string()).unwrap();
    let problem = problem(r#"{"id": "p", "prompt": "say <|end|>", "metadata": {}}"#);
    let text = exchange.text(&problem).unwrap();
    assert_eq!(text, "[system]Be brief.<|end|>[user]Solve:\nsay <|end|><|end|>[assistant]```python\n");
    let other = exchange.clone().with_instruction("Do:\n{prompt}").unwrap().text(&problem).unwrap();
    assert_eq!(other, text.replace("Solve", "Do"));
    assert!(matches!(exchange.clone().with_instruction("Do."), Err(PromptError::NoPlace(_))));
    let tokenizer = Tokenizer::train(["x"], 257).unwrap();
    let tokens = exchange.tokens(&problem, &tokenizer).unwrap();
    assert_eq!(tokens.iter().filter(|&&token| token == tokenizer.end()).count(), 3);
    assert_eq!(exchange.prompts([&problem, &problem], &tokenizer).unwrap(), [tokens.clone(), tokens]);
    let program = exchange.program(&problem, "x = 1\n```\nDone.").unwrap();
    assert_eq!((program.text(), program.own()), ("x = 1\n", "x = 1\n"));
    assert!(exchange.program(&problem, "\n```\nNo.").is_none());

    let template = ChatTemplate::new("{{ messages | length }}", SpecialTokens::default()).unwrap();
    let chat = Exchange::chat(template, None);
    assert_eq!(chat.text(&problem).unwrap(), "1");
    let template = ChatTemplate::new("{{ raise_exception('no') }}", SpecialTokens::default()).unwrap();
    let error = Exchange::chat(template, None).text(&problem).unwrap_err().to_string();
    assert_eq!(error, "problem `p` has no prompt: the chat template refuses the conversation: no");
}

#[test]
fn empty_lines_around_a_prompt_are_not_said() {
    let template = ChatTemplate::new("{{ messages[0].content }}", SpecialTokens::default()).unwrap();
    let chat = Exchange::chat(template, None).with_instruction("[{prompt}]").unwrap();
    for (prompt, said) in [
        (r"\n\ndef f():\n    'x'\n\n    \n", "[def f():\n    'x']"),
        (r" \n\t\n    indented\n", "[    indented]"),
        (r"  one", "[  one]"),
    ] {
        let problem = problem(&format!(r#"{{"id": "p", "prompt": "{prompt}", "metadata": {{}}}}"#));
        assert_eq!(chat.text(&problem).unwrap(), said);
    }
}

#[test]
fn code_goes_on_and_docstrings_come_before() {
    let code = exchange(r#"{"prompt": {"type": "code"}}"#).unwrap();
    let human_eval = problem(r#"{"id": "h", "prompt": "def f(x):\n    'x'\n", "metadata": {}}"#);
    assert_eq!(code.text(&human_eval).unwrap(), human_eval.prompt);
    let program = code.program(&human_eval, "    return x\ndef g(): pass").unwrap();
    assert_eq!((program.text(), program.own()), ("def f(x):\n    'x'\n    return x\n", "    return x\n"));
    assert!(code.stops().contains(&"\ndef ".to_owned()));

    let shots = r#"{"prompt": {"type": "docstring", "shots": [{"prompt": "One.\n", "program": "x = 1\n"}]}}"#;
    let docstring = exchange(shots).unwrap();
    let text = docstring.text(&prose()).unwrap();
    let expected = "\"\"\"\nOne.\n\"\"\"\nx = 1\n\n\n\"\"\"\nReturn '''x'''.\nassert f(1) == 1\n\"\"\"\n";
    assert_eq!(text, expected);
    let response = "def g(): pass\ndef f(x): return x\n\n\n\"\"\"\nNext.\n\"\"\"\n";
    let program = docstring.program(&prose(), response).unwrap();
    assert_eq!(program.text(), "def g(): pass\ndef f(x): return x\n\n\n");

    let signature = exchange(r#"{"prompt": {"type": "docstring", "signature": "starter"}}"#).unwrap();
    assert!(signature.text(&prose()).unwrap().ends_with("== 1\n\"\"\"\ndef f(x):\n"));
    assert_eq!(signature.program(&prose(), "    return x").unwrap().text(), "def f(x):\n    return x");
    let error = signature.text(&human_eval).unwrap_err().to_string();
    assert!(error.starts_with("problem `h` has no text `starter` in its metadata"), "{error}");
}

#[test]
fn the_default_is_prompt_and_response_as_they_are() {
    let exchange = Exchange::default();
    assert_eq!(exchange.text(&prose()).unwrap(), prose().prompt);
    assert_eq!(exchange.program(&prose(), "```\nx\n```").unwrap().text(), "```\nx\n```");
    assert!(exchange.stops().is_empty());
    // Whatever the extraction, a response that is no program is whole.
    let chat = Problem { task: Task::Chat, ..prose() };
    let fenced = Exchange::default().with_extraction(Extraction::fenced());
    assert_eq!(fenced.program(&chat, "```\nx\n```").unwrap().text(), "```\nx\n```");
    assert_eq!(fenced.program(&prose(), "```\nx\n```").unwrap().text(), "x\n");
}

#[test]
fn configs_are_checked() {
    for (json, message) in [
        (r#"{"prompt": {"type": "chat", "template": "absent"}}"#, "cannot read absent"),
        (
            r#"{"prompt": {"type": "chat", "template": "absent", "instruction": "Go."}}"#,
            "the instruction \"Go.\" has no place for the problem: it must hold `{prompt}`",
        ),
        (r#"{"prompt": {"type": "chat"}}"#, "need a chat template: name a folder"),
        (r#"{"prompt": {"type": "code", "shots": []}}"#, "unknown field `shots`"),
        (r#"{"promt": {}}"#, "unknown field `promt`"),
    ] {
        let error = exchange(json).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
}
