use super::*;

fn ask() -> [Message; 2] {
    [Message::new(Role::System, "Be brief."), Message::new(Role::User, "f(x)? <b> & \"é\"\n")]
}

fn rendered(source: &str) -> Result<String, ChatError> {
    ChatTemplate::new(source, SpecialTokens::new([("bos_token", "<s>")]))?.render(&ask(), true)
}

#[track_caller]
fn check(source: &str, expected: &str) {
    assert_eq!(rendered(source).unwrap(), expected, "{source}");
}

#[test]
fn templates_are_rendered_as_python_does() {
    // Blocks take their line with them, and nothing is escaped for HTML.
    check("  {% for m in messages %}\n    {{ m['role'] }}\n  {% endfor %}\nx\n", "    system\n    user\nx");
    check("{{ messages[1].content }}", "f(x)? <b> & \"é\"\n");
    check("{{ messages[1] | tojson }}", r#"{"role": "user", "content": "f(x)? <b> & \"é\"\n"}"#);
    check("{{ {'a': [1, 2.0, none, true], 'é': {}} | tojson }}", r#"{"a": [1, 2.0, null, true], "é": {}}"#);
    check("{{ [1] | tojson(indent=2) }}", "[\n  1\n]");
    // Python's methods and words.
    check("{{ ' a b '.strip().split(' ')[-1].upper() ~ 'ab'.startswith('a') }}", "BTrue");
    check("{{ messages[0].get('name', none) }}{{ none }}{{ nothing }}", "NoneNone");
    check(
        "{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}",
        "role=system;content=Be brief.;",
    );
    check("{{ messages[1:] | length }}{{ messages[::-1][0].role }}", "1user");
    check(
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
        "2",
    );
    check(
        "{% for m in messages %}{% if loop.last %}{% break %}{% endif %}{{ loop.index0 }}{% endfor %}",
        "0",
    );
    check("{% if tools is not none and tools %}t{% elif tools is defined %}d{% endif %}", "d");
    check("{{ bos_token }}{{ eos_token }}{{ eos_token is defined }}", "<s>False");
    check("{%- macro say(m) -%} <{{ m.role }}> {%- endmacro -%}{{ say(messages[0]) }}", "<system>");
    check(
        "{% for m in messages %}{%- generation -%} {{ m.role }} {%- endgeneration %}{% endfor %}",
        "systemuser",
    );
    check("{{ messages[0]['content'] is string and messages is not mapping }}", "True");
}

#[test]
fn a_template_that_refuses_says_why() {
    let error = rendered("{{ raise_exception('no system role') }}").unwrap_err();
    assert!(matches!(&error, ChatError::Refused(message) if message == "no system role"), "{error}");
    let within = "{% macro f() %}{{ raise_exception('deep') }}{% endmacro %}{% if 1 %}{{ f() }}{% endif %}";
    assert!(matches!(rendered(within).unwrap_err(), ChatError::Refused(message) if message == "deep"));
    assert!(matches!(rendered("{{ 1 + 'a' }}").unwrap_err(), ChatError::Render { .. }));
    assert!(matches!(rendered("{% if %}").unwrap_err(), ChatError::Syntax { .. }));
    assert!(matches!(rendered("{% include 'x' %}").unwrap_err(), ChatError::Syntax { .. }));
}

#[test]
fn a_hostile_template_is_stopped() {
    let doubling = "{% set x = x ~ x %}".repeat(64);
    let captured = "{% set x %}{{ x }}{{ x }}{% endset %}".repeat(64);
    let nested = "{% for i in range(10000) %}".repeat(8) + &"{% endfor %}".repeat(8);
    for source in [
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        &format!("{{% set x = 'aaaaaaaa' %}}{doubling}"),
        &format!("{{% set x = 'aaaaaaaa' %}}{captured}"),
        "{{ ('a' * 90000000) * 1000 }}",
        "{{ ('a' * 9000000).replace('a', 'b' * 9000000) }}",
        "{{ (['a'] * 900000) | join('b' * 900000) }}",
        "{{ ('a' * 50000000) | tojson }}",
        &nested,
    ] {
        let begun = std::time::Instant::now();
        let error = rendered(source).unwrap_err();
        assert!(matches!(error, ChatError::Fuel(_) | ChatError::Render { .. }), "{source:.80}: {error}");
        assert!(begun.elapsed().as_secs() < 20, "{source:.80}");
    }
    let calls = "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}";
    assert!(matches!(rendered(calls).unwrap_err(), ChatError::Render { .. }));
    assert!(rendered(&"{{ (".repeat(100_000)).is_err());
    // And one that does much is not.
    check("{% for i in range(100000) %}{% endfor %}", "");
}

#[test]
fn the_day_is_told_and_not_asked_of_the_clock() {
    let source = "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y, %A %-d.%-m.%y %F %H:%M%%') }}\
                  {% else %}no day{% endif %}";
    check(source, "no day");
    for (date, expected) in [
        ((2024, 2, 29), "29 Feb 2024, Thursday 29.2.24 2024-02-29 00:00%"),
        ((2000, 1, 1), "01 Jan 2000, Saturday 1.1.00 2000-01-01 00:00%"),
        ((2026, 11, 8), "08 Nov 2026, Sunday 8.11.26 2026-11-08 00:00%"),
    ] {
        let template = ChatTemplate::new(source, SpecialTokens::default()).unwrap();
        let date = Date::new(date.0, date.1, date.2).unwrap();
        assert_eq!(template.with_date(date).render(&ask(), true).unwrap(), expected);
    }
    for (year, month, day) in
        [(2023, 2, 29), (1900, 2, 29), (2024, 13, 1), (2024, 0, 1), (2024, 4, 31), (24, 1, 1)]
    {
        assert!(Date::new(year, month, day).is_err(), "{year}-{month}-{day}");
    }
    let read = serde_json::from_str::<Date>(r#"{"year": 2024, "month": 6, "day": 31}"#);
    assert!(read.unwrap_err().to_string().starts_with("2024-06-31 is no day"));
}

#[test]
fn configs_have_one_template_or_several() {
    let user = [Message::new(Role::User, "x")];
    let render = |json: &str, name| ChatTemplate::from_config(json, name)?.render(&user, false);
    let one = r#"{"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>", "unk_token": null,
        "add_bos_token": true, "chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"}"#;
    assert_eq!(render(one, None).unwrap(), "<s>x</s>");
    let several =
        r#"{"chat_template": [{"name": "default", "template": "d"}, {"name": "rag", "template": "r"}]}"#;
    assert_eq!(render(several, None).unwrap(), "d");
    assert_eq!(render(several, Some("rag")).unwrap(), "r");
    for (json, name, message) in [
        (several, Some("tool"), "there is no chat template `tool`, only: default, rag"),
        ("{}", None, "tokenizer_config.json: there is no chat template `default`, only: none"),
        ("[]", None, "is not a JSON object"),
        (r#"{"chat_template": 3}"#, None, "the field `chat_template` must be a string, or a list"),
        (r#"{"chat_template": [{"name": "a"}]}"#, None, "the field `chat_template` must be"),
        (r#"{"chat_template": "", "bos_token": 3}"#, None, "the field `bos_token` must be a string, or"),
    ] {
        let error = render(json, name).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn files_beside_the_config_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let render = |name| ChatTemplate::from_folder(folder.path(), name)?.render(&[], false);
    assert!(render(None).unwrap_err().to_string().contains("tokenizer_config.json"));
    write("tokenizer_config.json", r#"{"bos_token": "<s>", "chat_template": "config"}"#);
    assert_eq!(render(None).unwrap(), "config");
    write("chat_template.jinja", "{{ bos_token }}file\n");
    assert_eq!(render(None).unwrap(), "<s>file");
    std::fs::create_dir(folder.path().join("additional_chat_templates")).unwrap();
    write("additional_chat_templates/rag.jinja", "rag");
    assert_eq!(render(Some("rag")).unwrap(), "rag");
    assert!(render(Some("x")).unwrap_err().to_string().ends_with("only: default, rag"));
}
