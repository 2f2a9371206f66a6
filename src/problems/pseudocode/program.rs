//! Draws a program together with its tests, so that every line shows in what is printed.
//!
//! Beside the program run its shadows: for each statement the program without it, and for each `if` the
//! program with its body alone. A shadow is dropped once it has printed something else than the program;
//! until then the effect is pending. A step is taken only if no pending effect vanishes, and a program
//! only if none is pending at its end. So on the tests that the reward sees, and again on those held
//! out, each line changes the output.

use std::sync::Arc;

use rand::{Rng, RngExt};

use super::Pseudocode;
use super::step::{Scene, Step, Wanted};
use crate::problems::python::state::{State, Stop, Value};
use crate::problems::python::{Header, LOOP_VARIABLE, NAMES, Statement, Variable};

/// Values beyond it would make outputs long.
const LARGEST: i64 = 99;
/// Lists of more items would, too.
const LONGEST: usize = 7;
/// Draws for one step before the program is given up.
const TRIES: usize = 60;
/// Shadows that have not printed anything else yet: one print must be able to part them all.
const MOST_PENDING: usize = 4;
/// Variables that hold what is still to be printed, for the same reason.
const MOST_UNSEEN: usize = 2;

/// A program in words and code, with what it prints from each input.
pub(super) struct Drawn {
    /// One line of words per step.
    pub words: Vec<String>,
    /// One statement per step.
    pub statements: Vec<Statement>,
    /// The variables' values before the program, one state per test.
    pub inputs: Vec<State>,
    /// What the program prints in each test.
    pub outputs: Vec<String>,
}

/// One run of the program with a line changed.
#[derive(Clone)]
enum Shadow {
    /// It has printed what the program has.
    Alike(State),
    /// It has printed something else, whatever comes.
    Revealed,
    /// Its output fell behind the program's or went ahead, and might still come out alike.
    Unclear,
}

/// A program in the making.
struct Draft {
    states: Vec<State>,
    outputs: Vec<String>,
    /// The shadows of each pending effect, one per test.
    pending: Vec<Vec<Shadow>>,
    /// How many of the tests, the first ones, the reward sees.
    visible: usize,
}

/// Draws a program of `steps` steps; `None` if the draw ran into a dead end.
pub(super) fn draw(config: &Pseudocode, steps: usize, rng: &mut impl Rng) -> Option<Drawn> {
    let (tests, visible) = (config.tests + config.held_out_tests, config.tests);
    let integers = rotation(&NAMES[..4], rng.random_range(2..=if steps < 5 { 3 } else { 4 }), rng);
    let lists = rotation(&NAMES[5..], rng.random_range(1..=2), rng);
    let inputs: Vec<_> = (0..tests).map(|_| input(&integers, &lists, rng)).collect();
    let mut draft =
        Draft { states: inputs.clone(), outputs: vec![String::new(); tests], pending: Vec::new(), visible };
    let (mut words, mut statements) = (Vec::new(), Vec::new());
    let mut changes_left = rng.random_range(1..=3);
    for step in 0..steps {
        let wanted = match changes_left {
            _ if step + 1 == steps => Wanted::PlainPrint,
            _ if draft.pending.len() >= MOST_PENDING => Wanted::Print,
            0 => Wanted::Print,
            _ => Wanted::Change,
        };
        // Most steps that cannot print what must be printed are known by their variables, without a run.
        let unseen = draft.unseen();
        let (step, statement, next) = (0..TRIES).find_map(|_| {
            let scene = Scene { integers: &integers, lists: &lists, states: &draft.states };
            let step = Step::draw(wanted, &scene, rng);
            let shows = |variable: &Variable| step.mentions(variable.name());
            match wanted {
                Wanted::Change => !step.is_endless(),
                Wanted::Print => unseen.iter().any(shows),
                Wanted::PlainPrint => unseen.iter().all(shows),
            }
            .then_some(())?;
            let statement = step.statement().filter(|statement| statements.last() != Some(statement))?;
            let next = draft.after(&statement, wanted)?;
            Some((step, statement, next))
        })?;
        draft = next;
        changes_left = if wanted == Wanted::Change { changes_left - 1 } else { rng.random_range(1..=3) };
        words.push(step.words(config.wordings, rng));
        statements.push(statement);
    }
    Some(Drawn { words, statements, inputs, outputs: draft.outputs })
}

impl Draft {
    /// The draft with `statement` added, if the program may go on so.
    fn after(&self, statement: &Statement, wanted: Wanted) -> Option<Self> {
        let mut states = self.states.clone();
        let mut printed = vec![String::new(); states.len()];
        for (state, printed) in states.iter_mut().zip(&mut printed) {
            run_step(state, Some(statement), printed).ok()?;
            if !state.iter().all(|(_, value)| is_small(value)) {
                return None;
            }
        }
        let old = self.pending.iter().map(|shadows| {
            let step = |(shadow, expected): (&Shadow, &String)| shadow.after(statement, expected);
            shadows.iter().zip(&printed).map(step).collect::<Vec<_>>()
        });
        let new = changed(statement).into_iter().map(|changed| {
            let part = |(state, expected): (&State, &String)| Shadow::part(state, changed.as_ref(), expected);
            self.states.iter().zip(&printed).map(part).collect()
        });
        let mut pending = Vec::with_capacity(self.pending.len() + 2);
        for shadows in old.chain(new) {
            let vanished = |test: usize| match &shadows[test] {
                Shadow::Alike(state) => *state == states[test],
                Shadow::Revealed => false,
                Shadow::Unclear => true,
            };
            if self.groups().any(|mut tests| tests.all(vanished)) {
                return None;
            }
            let revealed = |test: usize| matches!(shadows[test], Shadow::Revealed);
            if !self.groups().all(|mut tests| tests.any(revealed)) {
                pending.push(shadows);
            }
        }
        let next = Self { states, outputs: vec![], pending, visible: self.visible };
        let goes_on = match wanted {
            Wanted::Change => next.pending.len() <= MOST_PENDING && next.unseen().len() <= MOST_UNSEEN,
            Wanted::Print => next.pending.len() < self.pending.len().max(1),
            Wanted::PlainPrint => next.pending.is_empty(),
        };
        let outputs = || self.outputs.iter().zip(&printed).map(|(old, new)| format!("{old}{new}")).collect();
        goes_on.then(|| Self { outputs: outputs(), ..next })
    }

    /// The tests that the reward sees, and those held out.
    fn groups(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        [0..self.visible, self.visible..self.states.len()].into_iter().filter(|tests| !tests.is_empty())
    }

    /// The variables that hold an effect which is still to be printed.
    fn unseen(&self) -> Vec<Variable> {
        let shadows = || self.pending.iter().flat_map(|shadows| shadows.iter().zip(&self.states));
        let differs = |variable: &Variable| {
            shadows().any(|(shadow, state)| match shadow {
                Shadow::Alike(shadow) => shadow.get(*variable) != state.get(*variable),
                _ => false,
            })
        };
        NAMES.iter().filter_map(|name| Variable::named(name)).filter(differs).collect()
    }
}

impl Shadow {
    /// The shadow that runs `changed` (nothing, where the line is left out) from `state` where the
    /// program printed `expected`.
    fn part(state: &State, changed: Option<&Statement>, expected: &str) -> Self {
        let (mut state, mut printed) = (state.clone(), String::new());
        match run_step(&mut state, changed, &mut printed) {
            // What only prints leaves the state alike, so a print too few or too many is so for good.
            Ok(()) if printed == expected => Self::Alike(state),
            _ => Self::Revealed,
        }
    }

    /// The shadow after `statement`, where the program printed `expected`.
    fn after(&self, statement: &Statement, expected: &str) -> Self {
        let Self::Alike(state) = self else { return self.clone() };
        let (mut state, mut printed) = (state.clone(), String::new());
        match run_step(&mut state, Some(statement), &mut printed) {
            Ok(()) if printed == expected => Self::Alike(state),
            Ok(()) if printed.starts_with(expected) || expected.starts_with(&printed) => Self::Unclear,
            _ => Self::Revealed,
        }
    }
}

/// What could stand in a statement's place and must print something else in the end: nothing, and the
/// body of an `if` without its condition.
fn changed(statement: &Statement) -> Vec<Option<Statement>> {
    let mut changed = vec![None];
    if let Statement::Compound(Header::If(_), body) = statement {
        changed.extend(body.iter().map(|simple| Some(Statement::Simple(simple.clone()))));
    }
    changed
}

/// Runs one step. No step reads the loop variable of another, so it is not kept.
fn run_step(state: &mut State, statement: Option<&Statement>, output: &mut String) -> Result<(), Stop> {
    state.run(statement.map_or(&[], std::slice::from_ref), output)?;
    state.unset(LOOP_VARIABLE);
    Ok(())
}

/// `count` of `names`, next to each other in a circle.
fn rotation(names: &[&'static str], count: usize, rng: &mut impl Rng) -> Vec<&'static str> {
    let start = rng.random_range(0..names.len());
    names.iter().cycle().skip(start).take(count.min(names.len())).copied().collect()
}

fn input(integers: &[&str], lists: &[&str], rng: &mut impl Rng) -> State {
    let mut state = State::default();
    let mut set = |name: &str, value| {
        if let Some(variable) = Variable::named(name) {
            state.set(variable, value);
        }
    };
    for name in integers {
        set(name, Value::Integer(rng.random_range(0..=12)));
    }
    for name in lists {
        let len = rng.random_range(2..=4);
        set(name, Value::List(Arc::new((0..len).map(|_| rng.random_range(0..=9)).collect())));
    }
    state
}

fn is_small(value: &Value) -> bool {
    let small = |value: &i64| value.abs() <= LARGEST;
    match value {
        Value::Integer(value) => small(value),
        Value::List(items) => items.len() <= LONGEST && items.iter().all(small),
    }
}
