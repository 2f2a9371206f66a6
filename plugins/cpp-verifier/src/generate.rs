//! The code that stands around a program, and around the tests.

use std::fmt::Write;

use pspo::plugin::VerifyError;

use crate::signature::Signature;
use crate::source::{code_only, has_class, heads, includes, is_word};

/// What is included before every program that tests call, as HumanEval-X does before its own.
pub(crate) const HEADERS: &str = "#include <stdlib.h>\n#include <algorithm>\n#include <math.h>\n#include <stdio.h>\n#include <vector>\n#include <string>\n#include <climits>\n#include <cstring>\n#include <iostream>\n";
pub(crate) const WIRE: &str = include_str!("harness/wire.hpp");
pub(crate) const CANDIDATE: &str = include_str!("harness/candidate.hpp");
pub(crate) const JUDGE: &str = include_str!("harness/judge.hpp");

/// Words of the language that [`behind`] uses: a program may have made macros of them.
const WORDS: &[&str] = &["int", "main", "return", "auto", "switch", "case"];

/// Parameters with a default that a function may have beyond the arguments of a call, at most; as in `pspo_rank`.
const MOST_DEFAULTS: usize = 3;

/// Code around a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Around {
    pub before: String,
    pub behind: String,
}

/// For a program whose functions are called by their own types, each with a number of arguments.
pub(crate) fn around_calls(program: &str, calls: &[(&str, usize)]) -> Result<Around, VerifyError> {
    let code = code_only(program);
    let mut counts: Vec<_> = calls.iter().map(|call| call.1).collect();
    counts.sort_unstable();
    counts.dedup();
    let mut before = String::new();
    for arguments in counts {
        for more in 0..=MOST_DEFAULTS {
            let types = |what: &str, count| (0..count).map(|it| format!("{what}{it}")).collect::<Vec<_>>();
            let all = types("A", arguments + more).join(", ");
            let declared: String = (0..arguments + more).map(|it| format!(", class A{it}")).collect();
            let given = types("A", arguments)
                .iter()
                .map(|it| format!("std::remove_cvref_t<{it}>"))
                .collect::<Vec<_>>()
                .join(", ");
            let rank = MOST_DEFAULTS - more;
            for (class, function) in [("", "(*)"), (", class C", "(C::*)"), (", class C", "(C::*)")]
                .iter()
                .zip(["", "", " const"])
                .map(|((class, pointer), end)| (*class, format!("R {pointer}({all}){end}")))
            {
                writeln!(before, "template <class R{class}{declared}> pspo_wire::parameters<{given}> pspo_parameters_{arguments}(pspo_wire::rank<{rank}>, {function});").expect("a string takes text");
            }
        }
    }
    let mut cases = String::new();
    for (place, (name, arguments)) in calls.iter().enumerate() {
        is_name(name)?;
        let (function, call) = if heads(&code, name).is_empty() && has_class(&code, "Solution") {
            (format!("Solution::{name}"), format!("::Solution().{name}"))
        } else {
            ((*name).to_owned(), format!("::{name}"))
        };
        writeln!(cases, "case {place}: return pspo_answer(pspo_from, pspo_to, decltype(pspo_parameters_{arguments}(pspo_rank(), &::{function}))(), [](auto&... pspo_each) {{ return {call}(pspo_each...); }});").expect("a string takes text");
    }
    Ok(Around { before: before + RENAMED, behind: behind(&cases) })
}

/// A program's own `main`, which is none of a test's business.
const RENAMED: &str = "#define main pspo_main_of_the_program\n";

/// For a program whose functions are called as `prompt` declares them.
pub(crate) fn around_signatures(prompt: &str, signatures: &[Signature]) -> Around {
    let mut before = types(prompt, signatures);
    let mut cases = String::new();
    for (place, signature) in signatures.iter().enumerate() {
        let name = &signature.name;
        let kinds = (0..signature.parameters.len())
            .map(|it| format!("pspo_types::a{place}_{it}"))
            .collect::<Vec<_>>()
            .join(", ");
        let back: String = changed(signature).map(|it| format!(", {it}")).collect();
        writeln!(before, "template <class F> pspo_wire::state pspo_answer_{place}(pspo_wire::reader& from, pspo_wire::writer& to, F function) {{ return pspo_wire::answer<pspo_types::r{place}{back}>(from, to, pspo_wire::parameters<{kinds}>(), function); }}").expect("a string takes text");
        writeln!(cases, "case {place}: return pspo_answer_{place}(pspo_from, pspo_to, [](auto&... pspo_each) {{ return ::{name}(pspo_each...); }});").expect("a string takes text");
    }
    Around { before: before + RENAMED, behind: behind(&cases) }
}

/// The tests of `code` for a problem, with stubs for the functions that they call.
pub(crate) fn judge(prompt: &str, signatures: &[Signature], code: &str) -> String {
    let mut rest = prompt.to_owned();
    let mut ranges: Vec<_> = signatures.iter().map(|signature| signature.begin..signature.end).collect();
    ranges.sort_unstable_by_key(|range| range.start);
    for range in ranges.into_iter().rev() {
        rest.replace_range(range, "");
    }
    let types = types(prompt, signatures);
    let stubs: String =
        signatures.iter().enumerate().map(|(place, signature)| stub(place, signature)).collect();
    let nan = code.to_ascii_lowercase().contains("nan");
    let nan = if nan { "static const bool pspo_nan = pspo_wire::nan_is_meant = true;\n" } else { "" };
    format!("{types}{nan}#line 1 \"prompt\"\n{rest}\n#line 1 \"stubs\"\n{stubs}#line 1 \"tests\"\n{code}\n")
}

/// The parameters that come back.
fn changed(signature: &Signature) -> impl Iterator<Item = usize> {
    signature.parameters.iter().enumerate().filter(|(_, parameter)| parameter.changes).map(|(place, _)| place)
}

/// Names for the types of heads, as the prompt's own headers make them.
fn types(prompt: &str, signatures: &[Signature]) -> String {
    let mut text: String = includes(prompt).map(|line| format!("{line}\n")).collect();
    text += "namespace pspo_types {\nusing namespace std;\n";
    let mut checks = String::new();
    for (place, signature) in signatures.iter().enumerate() {
        let mut name = |name: String, kind: &str| {
            writeln!(text, "using {name} = std::remove_cvref_t<{kind}>;").expect("a string takes text");
            if kind != "void" {
                writeln!(
                    checks,
                    "static_assert(pspo_wire::crosses<pspo_types::{name}>(), \"`{kind}` is no plain data\");"
                )
                .expect("a string takes text");
            }
        };
        name(format!("r{place}"), &signature.result);
        for (number, parameter) in signature.parameters.iter().enumerate() {
            name(format!("a{place}_{number}"), &parameter.kind);
        }
    }
    format!("#line 1 \"head\"\n{text}}}\n{checks}")
}

/// A function that asks the program's process for its result.
fn stub(place: usize, signature: &Signature) -> String {
    let Signature { name, result, parameters, .. } = signature;
    let declared = parameters.iter().enumerate().map(|(number, parameter)| {
        let reference = if parameter.changes { "&" } else { "" };
        let default = parameter.default.as_ref().map_or(String::new(), |default| format!(" = {default}"));
        format!("{}{reference} pspo_{number}{default}", parameter.kind)
    });
    let declared = declared.collect::<Vec<_>>().join(", ");
    let mut text = format!("{result} {name}({declared}) {{\npspo_wire::question pspo_asks({place});\n");
    for number in 0..parameters.len() {
        writeln!(text, "pspo_wire::write<pspo_types::a{place}_{number}>(pspo_asks.asks, pspo_{number});")
            .expect("a string takes text");
    }
    let get = |kind: String| format!("pspo_asks.get<pspo_types::{kind}>();");
    let got = if result == "void" { "" } else { "auto pspo_result = " };
    writeln!(text, "pspo_asks.ask();\n{got}{}", get(format!("r{place}"))).expect("a string takes text");
    for number in changed(signature) {
        writeln!(text, "pspo_{number} = {}", get(format!("a{place}_{number}"))).expect("a string takes text");
    }
    text += "pspo_asks.end();\n";
    text + if result == "void" { "}\n" } else { "return pspo_result;\n}\n" }
}

/// A `main` that answers, behind a program that may end anywhere: in a comment, on a line that goes on.
fn behind(cases: &str) -> String {
    let undone: String = WORDS.iter().map(|word| format!("#undef {word}\n")).collect();
    format!(
        "\n\n{undone}#line 1 \"harness\"\nint main() {{ return pspo_serve([](auto pspo_function, auto& pspo_from, auto& pspo_to) {{ switch (pspo_function) {{\n{cases}}} return pspo_no_function; }}); }}\n"
    )
}

/// That a test's name of a function is one, before it becomes code.
pub(crate) fn is_name(name: &str) -> Result<(), VerifyError> {
    if !name.is_empty() && name.bytes().all(is_word) && !name.as_bytes()[0].is_ascii_digit() {
        return Ok(());
    }
    Err(VerifyError::Unsupported(format!("a call of {name:?}: it must be the name of a function")))
}
