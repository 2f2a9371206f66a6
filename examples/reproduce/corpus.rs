//! What the policy learns from before RL: solutions with the same mistakes again and again, as much code has them that
//! language models learn from.
//!
//! A policy that learned from right programs alone makes mistakes of all kinds, each of them rarely: there is nothing to be
//! found out about them by trying. From this corpus it learns a few wrong habits, and how a line should be as well; which of
//! the two is right only tests can tell. A program of many lines needs many of them right at once.

use pspo::data::Seed;
use rand::{Rng, RngExt};

/// What a habit writes instead: of the first of a line's places alone.
const HABITS: [(&str, &str); 10] = [
    // The wrong end of a list.
    (".pop(0)", ".pop()"),
    (".insert(0, ", ".append("),
    ("[-1]", "[0]"),
    // The wrong order, or the wrong bound.
    (".sort(reverse=True)", ".sort()"),
    ("= max(", "= min("),
    // The wrong operation, or a condition turned around.
    (" %= ", " //= "),
    (" -= ", " += "),
    (" < ", " > "),
    ("% 2 == 1", "% 2 == 0"),
    ("len(", "sum("),
];

/// `solution`, each line that a habit concerns written by it with probability `share`.
pub fn with_habits(solution: &str, share: f32, seed: Seed) -> String {
    let mut rng = seed.rng();
    solution.split_inclusive('\n').map(|line| line_with_habits(line, share, &mut rng)).collect()
}

fn line_with_habits(line: &str, share: f32, rng: &mut impl Rng) -> String {
    let habit = HABITS.iter().find(|(right, _)| line.contains(right));
    match habit {
        Some((right, wrong)) if rng.random_bool(f64::from(share)) => line.replacen(right, wrong, 1),
        _ => line.to_owned(),
    }
}
