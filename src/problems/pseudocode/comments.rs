//! Comment lines for the solutions that a policy learns from.

use rand::{Rng, RngExt};

use crate::problems::python::{Header, Simple, Statement};

const ANYWHERE: &[&str] =
    &["# next step", "# go on", "# now this", "# as asked", "# then", "# one more step"];
const BEFORE_A_CHANGE: &[&str] = &["# update the value", "# change it", "# compute", "# new value"];
const BEFORE_A_LIST_CHANGE: &[&str] = &["# update the list", "# work on the list", "# change the list"];
const BEFORE_A_PRINT: &[&str] = &["# show the result", "# print it", "# output", "# report"];
const BEFORE_AN_IF: &[&str] = &["# check first", "# only if it holds", "# test the value"];
const BEFORE_A_LOOP: &[&str] = &["# go over the list", "# for all items", "# loop"];

/// A comment that could stand before `statement`, without a line end.
fn comment(statement: &Statement, rng: &mut impl Rng) -> &'static str {
    let fitting = match statement {
        Statement::Compound(Header::If(_), _) => BEFORE_AN_IF,
        Statement::Compound(Header::For(..), _) => BEFORE_A_LOOP,
        Statement::Simple(Simple::Print(_)) => BEFORE_A_PRINT,
        Statement::Simple(Simple::Method(..) | Simple::Delete(..) | Simple::Evaluate(_)) => {
            BEFORE_A_LIST_CHANGE
        }
        Statement::Simple(_) => BEFORE_A_CHANGE,
    };
    let pool = if rng.random_bool(0.3) { ANYWHERE } else { fitting };
    pool[rng.random_range(0..pool.len())]
}

/// The program's text with comment lines, which are `share` of all its lines on average.
pub(super) fn commented(statements: &[Statement], share: f32, rng: &mut impl Rng) -> String {
    let per_line = f64::from(share / (1.0 - share));
    let mut text = String::new();
    for statement in statements {
        if rng.random_bool((per_line * statement.lines() as f64).min(1.0)) {
            text.push_str(comment(statement, rng));
            text.push('\n');
        }
        text.push_str(&statement.to_string());
    }
    text
}
