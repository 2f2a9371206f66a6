use super::*;

fn block(which: WhichBlock, languages: &[&str], without_block: WithoutBlock) -> Extraction {
    let languages = languages.iter().map(|&language| language.to_owned()).collect();
    Extraction::Fenced { block: which, languages, without_block }
}

#[track_caller]
fn check(extraction: &Extraction, given: &str, response: &str, expected: Option<(&str, &str)>) {
    let program = extraction.program(given, response);
    assert_eq!(program.as_ref().map(|program| (program.text(), program.own())), expected, "{response:?}");
    let Some(program) = program else { return };
    for (byte, expected) in program.own().bytes().enumerate() {
        assert_eq!(response.as_bytes()[program.response_byte(byte).unwrap()], expected);
    }
}

#[test]
fn which_block_the_program_is() {
    use WhichBlock::{First, Last, Longest};
    let response = "a\n```\nx\n```\nb\n```py\nlonger\n\n```\nc\n```\n  y\n```\n```\n\n```\nd\n```";
    for (which, program) in [(First, "x\n"), (Last, "  y\n"), (Longest, "longer\n\n")] {
        let extraction = block(which, &[], WithoutBlock::Whole);
        check(&extraction, "", response, Some((program, program)));
    }
    let extraction = block(Longest, &[], WithoutBlock::Whole);
    check(&extraction, "", "```\nab\n```\n```\nc d\n```\n", Some(("c d\n", "c d\n")));
}

#[test]
fn a_language_is_chosen_where_one_is_said() {
    let extraction = block(WhichBlock::Last, &["python", "py"], WithoutBlock::Whole);
    let one = |response: &str, program: Option<&str>| {
        check(&extraction, "", response, program.map(|program| (program, program)));
    };
    one("```Python\nx\n```\n```\nout\n```\n```sh\nls\n```", Some("x\n"));
    one("```\nx\n```\n```sh\nls\n```", Some("x\n"));
    one("```sh\nls\n```", None);
    one("```python\n\n```\n```\nx\n```", Some("x\n"));
    one("no fence", Some("no fence"));
}

#[test]
fn responses_without_a_block_with_content() {
    let whole = block(WhichBlock::Last, &[], WithoutBlock::Whole);
    let nothing = block(WhichBlock::Last, &[], WithoutBlock::NoProgram);
    check(&whole, "", "x = `1`\n", Some(("x = `1`\n", "x = `1`\n")));
    check(&whole, "", "", Some(("", "")));
    check(&nothing, "", "x = 1", None);
    for extraction in [&whole, &nothing] {
        check(extraction, "", "Here:\n```python\n", None);
        check(extraction, "", "Here:\n```python\nx = ", Some(("x = ", "x = ")));
    }
}

#[test]
fn a_prompt_may_open_the_block() {
    let extraction = Extraction::fenced();
    check(&extraction, "```python\n", "x = 1\n```\nThat is all.", Some(("x = 1\n", "x = 1\n")));
    check(&extraction, "```python\ndef f(", "x): x\n```", Some(("def f(x): x\n", "x): x\n")));
    // The last block is another one, and nothing of it is given.
    check(&extraction, "```\na\n", "b\n```\n```\nc\n```", Some(("c\n", "c\n")));
}

#[test]
fn a_completion_ends_at_the_first_stop() {
    let extraction = Extraction::completion();
    let head = "def f():\n    'doc'\n";
    for (response, kept) in [
        ("    return 1\n", "    return 1\n"),
        ("    return 1\n\n\ndef g():\n    pass\n", "    return 1\n\n\n"),
        ("    return 1\nprint(f())\nclass A: pass", "    return 1\n"),
        ("    return 1\nif __name__ == '__main__':\n", "    return 1\n"),
        ("    def g(): pass\n    print(g)\n", "    def g(): pass\n    print(g)\n"),
        ("", ""),
        ("\nprint(1)", "\n"),
    ] {
        check(&extraction, head, response, Some((&[head, kept].concat(), kept)));
    }
    let own: Extraction = serde_json::from_str(r#"{"type": "completion", "stop": ["END", ""]}"#).unwrap();
    check(&own, "", "x\nprint(1) END\n", Some(("x\nprint(1) ", "x\nprint(1) ")));
    // What is only in part the response's does not stop it.
    check(&extraction, "x\n", "print(1)", Some(("x\nprint(1)", "print(1)")));
}

#[test]
fn configs_are_checked() {
    let read = serde_json::from_str::<Extraction>;
    assert_eq!(read(r#"{"type": "completion"}"#).unwrap(), Extraction::completion());
    assert_eq!(read(r#"{"type": "whole"}"#).unwrap(), Extraction::Whole);
    assert_eq!(read(r#"{"type": "fenced"}"#).unwrap(), Extraction::fenced());
    for (text, message) in [
        (r#"{"type": "fenced", "blok": "last"}"#, "unknown field `blok`"),
        (r#"{"type": "fenced", "block": "second"}"#, "unknown variant `second`"),
        (r#"{"type": "whole", "block": "last"}"#, "unknown field `block`"),
        (r#"{"type": "fences"}"#, "unknown variant `fences`"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn the_first_of_several_stops_counts() {
    let stops = ["c", "bc", ""].map(str::to_owned);
    assert_eq!(stop_at("abc", &stops), Some(1));
    assert_eq!(stop_at("ab", &stops), None);
}
