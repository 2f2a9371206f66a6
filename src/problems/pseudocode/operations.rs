//! What a step can say: operations, their code, and the wordings that mean them.
//!
//! The most natural wordings come first. Code and wordings are templates over the same slots. No two templates that mean different code ever
//! give the same words, so that a step has one translation; a test holds it.
//!
//! | slot | stands for |
//! |---|---|
//! | `{v}` | the integer variable that the step changes |
//! | `{w}` | another integer variable |
//! | `{e}` | a number, another integer variable, or in a loop its variable |
//! | `{n}` | a number from 0 to 20 |
//! | `{k}` | a small factor, from 2 to 4 |
//! | `{m}` | a divisor, from 2 to 9 |
//! | `{i}` | an index, from 0 to 2 |
//! | `{l}`, `{o}` | a list, and the other list |
//! | `{x}` | an expression: a number, a variable or one of [`EXPRESSIONS`] |
//! | `{p}`, `{q}` | an integer variable, and a number or another one |
//! | `{r}`, `{s}` | a variable of any type, and another one |

/// An operation: one simple statement.
pub(super) struct Operation {
    /// The template of its Python code.
    pub code: &'static str,
    /// The templates of its wordings.
    pub words: &'static [&'static str],
    /// How often it is drawn, against the others.
    pub weight: u32,
    /// Whether it can also be the body of an `if` or of a `for`.
    pub body: Body,
}

/// Where an operation can stand besides a line of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// Nowhere.
    None,
    /// Below an `if`.
    If,
    /// Below an `if`, and below a `for` with the loop's variable in its slot `{e}`.
    Both,
}

/// A piece of code and the words for it, for what is not a whole statement.
#[derive(Clone, Copy)]
pub(super) struct Phrase {
    /// The template of its Python code.
    pub code: &'static str,
    /// The templates of its wordings.
    pub words: &'static [&'static str],
}

const fn operation(weight: u32, body: Body, code: &'static str, words: &'static [&'static str]) -> Operation {
    Operation { code, words, weight, body }
}

const fn phrase(code: &'static str, words: &'static [&'static str]) -> Phrase {
    Phrase { code, words }
}

/// The operations that change a variable.
#[rustfmt::skip]
pub(super) const CHANGES: &[Operation] = &[
    operation(8, Body::Both, "{v} += {e}", &["add {e} to {v}", "increase {v} by {e}", "{v} plus {e}", "raise {v} by {e}", "give {v} {e} more", "count {e} onto {v}"]),
    operation(8, Body::Both, "{v} -= {e}", &["take {e} off {v}", "decrease {v} by {e}", "{v} minus {e}", "lower {v} by {e}", "subtract {e} from {v}", "give {v} {e} less"]),
    operation(3, Body::If, "{v} *= {k}", &["multiply {v} by {k}", "{v} times {k}", "scale {v} by {k}", "make {v} {k} times as big", "grow {v} by factor {k}"]),
    operation(1, Body::If, "{v} *= 2", &["double {v}", "twice {v}", "make {v} twice as big"]),
    operation(3, Body::If, "{v} %= {m}", &["{v} mod {m}", "reduce {v} modulo {m}", "wrap {v} at {m}", "keep the rest of {v} by {m}", "{v} becomes its rest by {m}"]),
    operation(3, Body::If, "{v} //= {m}", &["divide {v} by {m}", "split {v} by {m}", "{v} over {m}", "cut {v} into {m}", "shrink {v} by factor {m}"]),
    operation(1, Body::If, "{v} //= 2", &["halve {v}", "make {v} half as big", "take half of {v}"]),
    operation(3, Body::Both, "{v} = min({v}, {e})", &["cap {v} at {e}", "limit {v} to {e}", "{v} at most {e}", "hold {v} down to {e}", "keep {v} up to {e}"]),
    operation(3, Body::Both, "{v} = max({v}, {e})", &["{v} at least {e}", "floor {v} at {e}", "lift {v} to {e} or more", "keep {v} from {e} up", "bring {v} up to {e}"]),
    operation(3, Body::None, "{v}, {w} = {w}, {v}", &["swap {v} and {w}", "swap {v} with {w}", "exchange {v} and {w}", "trade {v} for {w}", "switch {v} with {w}"]),
    operation(2, Body::If, "{v} = -{v}", &["negate {v}", "flip the sign of {v}", "{v} changes sign", "reverse the sign of {v}"]),
    operation(9, Body::If, "{v} = {x}", &["set {v} to {x}", "let {v} be {x}", "{v} is now {x}", "{v} becomes {x}", "put {x} in {v}", "store {x} in {v}"]),
    operation(6, Body::Both, "{l}.append({e})", &["append {e} to {l}", "push {e} onto {l}", "put {e} last in {l}", "{l} gains {e}", "add {e} at the end of {l}", "extend {l} by {e}"]),
    operation(3, Body::Both, "{l}.insert(0, {e})", &["put {e} first in {l}", "prepend {e} to {l}", "insert {e} in front of {l}", "{l} starts with {e}", "add {e} at the front of {l}"]),
    operation(2, Body::If, "{l}.insert({i}, {e})", &["insert {e} at {i} in {l}", "put {e} at place {i} of {l}", "squeeze {e} into {l} at {i}", "add {e} at place {i} of {l}"]),
    operation(3, Body::If, "{l}.pop()", &["pop {l}", "drop the last of {l}", "remove the end of {l}", "{l} loses its last", "cut the tail of {l}"]),
    operation(3, Body::If, "{l}.pop(0)", &["drop the first of {l}", "remove the head of {l}", "{l} loses its first", "shift {l}", "cut the front of {l}"]),
    operation(3, Body::None, "{v} = {l}.pop()", &["pop {l} into {v}", "move the last of {l} to {v}", "{v} takes the last of {l}", "fill {v} from the end of {l}"]),
    operation(2, Body::None, "{v} = {l}.pop(0)", &["shift {l} into {v}", "move the first of {l} to {v}", "{v} takes the first of {l}", "fill {v} from the front of {l}"]),
    operation(2, Body::If, "{l}.pop({i})", &["delete item {i} of {l}", "remove item {i} from {l}", "drop item {i} of {l}", "erase {l} at {i}"]),
    operation(3, Body::If, "{l}[{i}] = {e}", &["item {i} of {l} becomes {e}", "replace item {i} of {l} by {e}", "write {e} over item {i} of {l}", "change {l} at {i} to {e}"]),
    operation(2, Body::If, "{l}[{i}] += {e}", &["add {e} to item {i} of {l}", "increase item {i} of {l} by {e}", "item {i} of {l} plus {e}", "raise {l} at {i} by {e}"]),
    operation(3, Body::If, "{l}.sort()", &["sort {l}", "order {l}", "put {l} in order", "arrange {l}", "{l} in rising order"]),
    operation(2, Body::If, "{l}.sort(reverse=True)", &["sort {l} down", "order {l} downwards", "put {l} in falling order", "{l} from big to small"]),
    operation(3, Body::If, "{l}.reverse()", &["reverse {l}", "flip {l}", "turn {l} around", "{l} backwards", "mirror {l}"]),
    operation(1, Body::If, "{l}.extend({o})", &["join {o} onto {l}", "append all of {o} to {l}", "{l} gains all of {o}", "extend {l} with {o}"]),
];

/// The operations that print.
#[rustfmt::skip]
pub(super) const PRINTS: &[Operation] = &[
    operation(7, Body::If, "print({x})", &["print {x}", "show {x}", "output {x}", "display {x}", "write {x}", "tell {x}"]),
    operation(3, Body::If, "print({r}, {s})", &["print {r} and {s}", "show {r} with {s}", "output {r} then {s}", "display both {r} and {s}", "write {r} beside {s}"]),
];

/// What a loop prints.
pub(super) const LOOP_PRINTS: &[Operation] = &[
    operation(2, Body::Both, "print({e})", &["print {e}", "show {e}", "output {e}", "display {e}"]),
    operation(1, Body::Both, "print({e} + {n})", &["print {e} plus {n}", "show {e} plus {n}"]),
];

/// What an assignment takes and a print shows.
#[rustfmt::skip]
pub(super) const EXPRESSIONS: &[Phrase] = &[
    phrase("{p} + {q}", &["{p} plus {q}", "{p} and {q} together", "the sum of {p} and {q}", "{p} raised by {q}"]),
    phrase("{p} - {q}", &["{p} minus {q}", "{p} less {q}", "{p} without {q}", "{p} lowered by {q}"]),
    phrase("{p} * {k}", &["{p} times {k}", "{k} times {p}", "the product of {p} and {k}"]),
    phrase("{p} % {m}", &["{p} mod {m}", "the rest of {p} by {m}", "{p} modulo {m}"]),
    phrase("sum({l})", &["the sum of {l}", "the total of {l}", "all of {l} added up", "{l} summed"]),
    phrase("len({l})", &["the length of {l}", "the size of {l}", "how long {l} is", "the count of {l}"]),
    phrase("max({l})", &["the biggest of {l}", "the top of {l}", "the largest in {l}", "the max of {l}"]),
    phrase("min({l})", &["the smallest of {l}", "the bottom of {l}", "the least in {l}", "the min of {l}"]),
    phrase("{l}[0]", &["the first of {l}", "the head of {l}", "{l} at the front"]),
    phrase("{l}[-1]", &["the last of {l}", "the tail of {l}", "{l} at the end"]),
    phrase("{l}[{i}]", &["item {i} of {l}", "{l} at {i}"]),
];

/// Conditions, as they begin a step.
#[rustfmt::skip]
pub(super) const CONDITIONS: &[Phrase] = &[
    phrase("if {p} > {q}:", &["if {p} is over {q}", "if {p} is above {q}", "when {p} exceeds {q}", "if {p} > {q}", "when {p} is more than {q}"]),
    phrase("if {p} < {q}:", &["if {p} is under {q}", "if {p} is below {q}", "when {p} is less than {q}", "if {p} < {q}", "when {p} stays under {q}"]),
    phrase("if {p} % 2 == 0:", &["if {p} is even", "when {p} is even", "for even {p}", "if 2 divides {p}"]),
    phrase("if {p} % 2 == 1:", &["if {p} is odd", "when {p} is odd", "for odd {p}", "unless 2 divides {p}"]),
    phrase("if len({l}) > {i}:", &["if {l} is longer than {i}", "when {l} has more than {i}", "if {l} holds over {i}"]),
];

/// Loops, as they begin a step.
pub(super) const LOOPS: &[Phrase] = &[phrase(
    "for x in {l}:",
    &["for each x in {l}", "for every x of {l}", "go over {l} by x", "with each x of {l}", "loop x over {l}"],
)];

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::data::Seed;
    use crate::problems::pseudocode::step::{Scene, Step, Wanted};
    use crate::problems::python::state::State;

    type Slots = BTreeMap<char, String>;

    /// All ways to read `text` by `template`, as the values of its slots.
    fn readings(template: &str, text: &str) -> Vec<Slots> {
        let Some((literal, rest)) = template.split_once('{') else {
            return if template == text { vec![Slots::new()] } else { vec![] };
        };
        let Some(text) = text.strip_prefix(literal) else { return vec![] };
        let slot = rest.chars().next().unwrap();
        let ends = (1..=text.len()).filter(|&end| slot == 'x' || !text[..end].contains([' ', ':']));
        ends.filter(|&end| may_fill(slot, &text[..end]))
            .flat_map(|end| readings(&rest[2..], &text[end..]).into_iter().map(move |slots| (end, slots)))
            .filter(|(end, slots)| slots.get(&slot).is_none_or(|value| *value == text[..*end]))
            .map(|(end, mut slots)| {
                slots.insert(slot, text[..end].to_owned());
                slots
            })
            .collect()
    }

    fn may_fill(slot: char, value: &str) -> bool {
        let number = value.parse::<u8>();
        let integer = ["a", "b", "c", "d"].contains(&value);
        let list = ["xs", "ys"].contains(&value);
        match slot {
            'v' | 'w' | 'p' => integer,
            'e' | 'q' => integer || number.is_ok() || value == "x",
            'n' => number.is_ok(),
            'k' => number.is_ok_and(|number| (2..=4).contains(&number)),
            'm' => number.is_ok_and(|number| (2..=9).contains(&number)),
            'i' => number.is_ok_and(|number| number <= 2),
            'l' | 'o' => list,
            'r' | 's' => integer || list,
            _ => !expressions(value).is_empty(),
        }
    }

    fn fill(template: &str, slots: &Slots) -> Vec<String> {
        let mut texts = vec![template.to_owned()];
        for (slot, value) in slots {
            let values =
                if *slot == 'x' { expressions(value).into_iter().collect() } else { vec![value.clone()] };
            let with = |text: &String, value: &str| text.replace(&format!("{{{slot}}}"), value);
            texts = texts.iter().flat_map(|text| values.iter().map(move |value| with(text, value))).collect();
        }
        texts
    }

    /// The code of every phrase that `text` can mean, with the wording it was read by.
    fn codes(phrases: &[(&str, &[&'static str])], text: &str) -> BTreeSet<(String, &'static str)> {
        let all = phrases.iter().flat_map(|(code, words)| words.iter().map(move |words| (code, words)));
        all.flat_map(|(code, words)| {
            let slots = readings(words, text).into_iter();
            slots.flat_map(move |slots| fill(code, &slots).into_iter().map(move |code| (code, *words)))
        })
        .collect()
    }

    fn expressions(text: &str) -> BTreeSet<String> {
        let mut phrases: Vec<_> = EXPRESSIONS.iter().map(|phrase| (phrase.code, phrase.words)).collect();
        phrases.push(("{r}", &["{r}"]));
        phrases.push(("{n}", &["{n}"]));
        codes(&phrases, text).into_iter().map(|(code, _)| code).collect()
    }

    /// Every statement that a step can mean, and the wordings it was read by.
    fn read(text: &str) -> (BTreeSet<String>, Vec<&'static str>) {
        let operations = operations();
        let mut wordings = Vec::new();
        let mut statements = BTreeSet::new();
        for (code, words) in codes(&operations, text) {
            statements.insert(format!("{code}\n"));
            wordings.push(words);
        }
        if let Some((header, body)) = text.split_once(": ") {
            for (header, header_words) in codes(&headers(), header) {
                for (body, words) in codes(&operations, body) {
                    statements.insert(format!("{header}\n    {body}\n"));
                    wordings.extend([header_words, words]);
                }
            }
        }
        (statements, wordings)
    }

    fn operations() -> Vec<(&'static str, &'static [&'static str])> {
        let all = CHANGES.iter().chain(PRINTS).chain(LOOP_PRINTS);
        all.map(|operation| (operation.code, operation.words)).collect()
    }

    fn headers() -> Vec<(&'static str, &'static [&'static str])> {
        CONDITIONS.iter().chain(LOOPS).map(|phrase| (phrase.code, phrase.words)).collect()
    }

    #[test]
    fn every_wording_reads_back_as_one_statement() {
        let state = State::default();
        let scene = Scene {
            integers: &["a", "b", "c", "d"],
            lists: &["xs", "ys"],
            states: std::slice::from_ref(&state),
        };
        let mut rng = Seed::root(5).rng();
        let mut seen = BTreeSet::new();
        for draw in 0..20_000 {
            let wanted = if draw % 4 == 0 { Wanted::Print } else { Wanted::Change };
            let step = Step::draw(wanted, &scene, &mut rng);
            let code = step.statement().expect("every template is in the subset").to_string();
            let words = step.words(usize::MAX, &mut rng);
            let (statements, wordings) = read(&words);
            assert_eq!(statements, BTreeSet::from([code]), "{words:?} can be read otherwise");
            seen.extend(wordings);
        }
        for (code, words) in operations().into_iter().chain(headers()) {
            for wording in words {
                assert!(seen.contains(wording), "{wording:?} for {code:?} was never drawn");
            }
        }
    }
}
