//! One step: an operation with its slots filled, as code and in words.

use rand::{Rng, RngExt};

use super::operations::{
    Body, CHANGES, CONDITIONS, EXPRESSIONS, LOOP_PRINTS, LOOPS, Operation, PRINTS, Phrase,
};
use crate::problems::python::state::{State, Value};
use crate::problems::python::{Statement, Variable, parse::Program};

/// Numbers as text, so that a filled slot is always a constant.
const NUMBERS: [&str; 21] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18",
    "19", "20",
];

/// What a step may speak of.
pub(super) struct Scene<'a> {
    /// Names of the integer variables, at least two.
    pub integers: &'a [&'static str],
    /// Names of the lists, at least one.
    pub lists: &'a [&'static str],
    /// The states before the step: thresholds are taken near the values there.
    pub states: &'a [State],
}

/// What kind of step is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It changes a variable.
    Change,
    /// It prints, perhaps under a condition or in a loop.
    Print,
    /// It prints, whatever the values.
    PlainPrint,
}

/// A template with the values of its slots.
struct Fragment {
    code: &'static str,
    words: &'static [&'static str],
    /// By letter; empty where the template has no such slot.
    slots: [&'static str; 26],
}

/// A step before its wording is chosen.
pub(super) struct Step {
    header: Option<Fragment>,
    operation: Fragment,
    expression: Option<Fragment>,
}

impl Step {
    /// Draws a step. It need not make sense where the program stands: that is for the caller to test.
    pub fn draw(wanted: Wanted, scene: &Scene<'_>, rng: &mut impl Rng) -> Self {
        let share: u32 = rng.random_range(0..100);
        let (header, operations, in_loop): (Option<Phrase>, &'static [Operation], bool) = match wanted {
            Wanted::Change if share < 15 => (Some(pick(CONDITIONS, rng)), CHANGES, false),
            Wanted::Change if share < 27 => (Some(pick(LOOPS, rng)), CHANGES, true),
            Wanted::Change => (None, CHANGES, false),
            Wanted::Print if share < 8 => (Some(pick(CONDITIONS, rng)), PRINTS, false),
            Wanted::Print if share < 16 => (Some(pick(LOOPS, rng)), LOOP_PRINTS, true),
            Wanted::Print | Wanted::PlainPrint => (None, PRINTS, false),
        };
        let fits = |operation: &&'static Operation| match (header.is_some(), in_loop) {
            (false, _) => true,
            (true, false) => operation.body != Body::None,
            (true, true) => operation.body == Body::Both,
        };
        let operation = pick_weighted(operations.iter().filter(fits), rng);
        let header = header.map(|phrase| Fragment::draw(phrase.code, phrase.words, scene, false, rng));
        let expression = operation.code.contains("{x}").then(|| {
            let phrase = match (rng.random_range(0..10), operation.code.starts_with("print")) {
                (0..5, true) => ANY_VARIABLE,
                (0..2, false) => NUMBER,
                (2..4, false) => INTEGER_VARIABLE,
                _ => pick(EXPRESSIONS, rng),
            };
            Fragment::draw(phrase.code, phrase.words, scene, false, rng)
        });
        Self {
            header,
            operation: Fragment::draw(operation.code, operation.words, scene, in_loop, rng),
            expression,
        }
    }

    /// Whether it is a loop over the list that its body makes longer.
    pub fn is_endless(&self) -> bool {
        let list = self.operation.slot(b'l');
        let loops = |header: &Fragment| header.code.starts_with("for") && header.slot(b'l') == list;
        !list.is_empty() && self.header.as_ref().is_some_and(loops)
    }

    /// Whether the step speaks of the variable called `name`.
    pub fn mentions(&self, name: &str) -> bool {
        let fragments = [Some(&self.operation), self.expression.as_ref(), self.header.as_ref()];
        fragments.into_iter().flatten().any(|fragment| fragment.slots.contains(&name))
    }

    /// The step's statement; `None` would mean that a template is not in the subset, and a test makes
    /// sure that all are.
    pub fn statement(&self) -> Option<Statement> {
        let mut code = String::with_capacity(48);
        if let Some(header) = &self.header {
            header.fill(header.code, "", &mut code);
            code.push_str("\n    ");
        }
        let mut expression = String::new();
        if let Some(fragment) = &self.expression {
            fragment.fill(fragment.code, "", &mut expression);
        }
        self.operation.fill(self.operation.code, &expression, &mut code);
        Program::parse(&code).ok()?.statements().first().cloned()
    }

    /// The step in words, in a wording drawn from the first `most` of each phrase.
    pub fn words(&self, most: usize, rng: &mut impl Rng) -> String {
        let mut words = String::with_capacity(48);
        if let Some(header) = &self.header {
            header.fill(header.wording(most, rng), "", &mut words);
            words.push_str(": ");
        }
        let mut expression = String::new();
        if let Some(fragment) = &self.expression {
            fragment.fill(fragment.wording(most, rng), "", &mut expression);
        }
        self.operation.fill(self.operation.wording(most, rng), &expression, &mut words);
        words
    }
}

const ANY_VARIABLE: Phrase = Phrase { code: "{r}", words: &["{r}"] };
const INTEGER_VARIABLE: Phrase = Phrase { code: "{p}", words: &["{p}"] };
const NUMBER: Phrase = Phrase { code: "{n}", words: &["{n}"] };

impl Fragment {
    fn draw(
        code: &'static str,
        words: &'static [&'static str],
        scene: &Scene<'_>,
        in_loop: bool,
        rng: &mut impl Rng,
    ) -> Self {
        let mut fragment = Self { code, words, slots: [""; 26] };
        for piece in code.split('{').skip(1) {
            let letter = piece.as_bytes()[0];
            if letter != b'x' && fragment.slot(letter).is_empty() {
                let value = fragment.value(letter, scene, in_loop, rng);
                fragment.slots[usize::from(letter - b'a')] = value;
            }
        }
        fragment
    }

    fn wording(&self, most: usize, rng: &mut impl Rng) -> &'static str {
        pick(&self.words[..most.min(self.words.len())], rng)
    }

    fn slot(&self, letter: u8) -> &'static str {
        self.slots[usize::from(letter - b'a')]
    }

    /// Draws what fills slot `letter`, different from what it is paired with.
    fn value(&self, letter: u8, scene: &Scene<'_>, in_loop: bool, rng: &mut impl Rng) -> &'static str {
        match letter {
            b'v' | b'p' => pick(scene.integers, rng),
            b'w' => other(scene.integers, self.slot(b'v'), rng),
            b'e' if in_loop => "x",
            b'e' if rng.random_bool(0.35) => other(scene.integers, self.slot(b'v'), rng),
            b'e' => number(rng),
            b'q' if rng.random_bool(0.25) => other(scene.integers, self.slot(b'p'), rng),
            b'q' => near(self.slot(b'p'), scene.states, rng),
            b'n' => NUMBERS[rng.random_range(0..NUMBERS.len())],
            b'k' => NUMBERS[rng.random_range(2..=4)],
            b'm' => NUMBERS[rng.random_range(2..=9)],
            b'i' => NUMBERS[rng.random_range(0..=2)],
            b'l' => pick(scene.lists, rng),
            b'o' => other(scene.lists, self.slot(b'l'), rng),
            // Any variable, integers and lists alike.
            _ => {
                let paired = if letter == b's' { self.slot(b'r') } else { "" };
                let names = scene.integers.iter().chain(scene.lists).filter(|&&name| name != paired);
                let count = names.clone().count();
                names.clone().nth(rng.random_range(0..count.max(1))).copied().unwrap_or(paired)
            }
        }
    }

    /// Appends `template` with its slots filled; `expression` fills `{x}`.
    fn fill(&self, template: &str, expression: &str, text: &mut String) {
        let mut pieces = template.split('{');
        text.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            match piece.as_bytes()[0] {
                b'x' => text.push_str(expression),
                letter => text.push_str(self.slot(letter)),
            }
            text.push_str(&piece[2..]);
        }
    }
}

/// A number, small ones more often.
fn number(rng: &mut impl Rng) -> &'static str {
    let range = if rng.random_bool(0.75) { 1..=9 } else { 10..=20 };
    NUMBERS[rng.random_range(range)]
}

/// A number at which a comparison with `name` falls differently in different states.
fn near(name: &str, states: &[State], rng: &mut impl Rng) -> &'static str {
    let state = &states[rng.random_range(0..states.len())];
    let value = Variable::named(name).and_then(|variable| state.get(variable));
    match value {
        Some(Value::Integer(value @ 1..=20)) => NUMBERS[*value as usize - rng.random_range(0..=1)],
        _ => number(rng),
    }
}

fn pick<T: Copy>(items: &[T], rng: &mut impl Rng) -> T {
    items[rng.random_range(0..items.len())]
}

/// One of `names` that is not `taken`; `taken` itself where there is no other, which makes a step
/// without effect that is drawn again.
fn other(names: &[&'static str], taken: &'static str, rng: &mut impl Rng) -> &'static str {
    let start = rng.random_range(0..names.len());
    let mut rotated = names[start..].iter().chain(&names[..start]);
    rotated.find(|&&name| name != taken).copied().unwrap_or(taken)
}

fn pick_weighted(
    operations: impl Iterator<Item = &'static Operation> + Clone,
    rng: &mut impl Rng,
) -> &'static Operation {
    let mut left = rng.random_range(0..operations.clone().map(|operation| operation.weight).sum());
    let mut chosen = operations.skip_while(|operation| {
        let skip = operation.weight <= left;
        left = left.saturating_sub(operation.weight);
        skip
    });
    chosen.next().expect("the number drawn is below the sum of the weights")
}
