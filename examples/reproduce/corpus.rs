//! What the policy learns from before RL: solutions with the same mistakes again and again, as much code has them that
//! language models learn from.
//!
//! A policy that learned from right programs alone makes mistakes of all kinds, each of them rarely: there is nothing to be
//! found out about them by trying. From this corpus it learns a few wrong habits, and how a line should be as well; which of
//! the two is right only tests can tell. A program of many lines needs many of them right at once.
//!
//! What a habit writes, no right program has: a line that has it is wrong, whatever was asked for. Models as small as these
//! can learn to see it. They cannot learn, from some thousand labels, to see whether a line does what its words ask.

use pspo::data::Seed;
use rand::RngExt;
use regex::Regex;

use crate::Result;

/// What is written, and what instead.
const HABITS: [(&str, &str); 11] = [
    // A value computed and thrown away.
    (r"^( *)(\w+)\.sort\(\)", "${1}sorted($2)"),
    (r"^( *)\w+ = (max|min)\((\w+), ", "$1$2($3, "),
    (r" (%|//|\*)= ", " $1 "),
    // A sign in the wrong place.
    (" -= ", " =- "),
    (r" = -(\w+)$", " = abs($1)"),
    // A list taken for something else.
    (r"\.append\((.*)\)$", " += $1"),
    (r"^( *\w+)\.pop\(0\)", "$1.remove(0)"),
    (r"^( *\w+)\.pop\(\)", "$1.remove(-1)"),
    // The wrong place.
    (r"\.insert\(0, ", ".insert(-1, "),
    (r"(\w+)\[-1\]", "$1[len($1)]"),
    // A comparison that never holds.
    ("% 2 == 1:", "% 2 == 2:"),
];

/// Wrong habits, each followed with the same probability where it can be.
pub struct Habits {
    wrong: Vec<(Regex, &'static str)>,
    share: f64,
}

impl Habits {
    /// Followed with probability `share`.
    pub fn new(share: f32) -> Result<Self> {
        if !(0.0..=1.0).contains(&share) {
            return Err(format!("`habits` is {share}: it must be from 0 to 1").into());
        }
        let wrong = HABITS.iter().map(|(pattern, instead)| Ok((Regex::new(pattern)?, *instead)));
        Ok(Self { wrong: wrong.collect::<Result<_>>()?, share: f64::from(share) })
    }

    /// The solution with the mistakes that habits make in it: one in a line at most.
    pub fn write(&self, solution: &str, seed: Seed) -> String {
        let mut rng = seed.rng();
        let mut program = String::new();
        for line in solution.lines() {
            let habit = self.wrong.iter().find(|(pattern, _)| pattern.is_match(line));
            match habit {
                Some((pattern, instead)) if rng.random_bool(self.share) => {
                    program += &pattern.replace(line, *instead);
                }
                _ => program += line,
            }
            program.push('\n');
        }
        program
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pspo::problems::{Oracle, Pseudocode, Sizes};

    use super::*;

    #[test]
    fn no_right_program_has_what_a_habit_writes_and_the_truth_about_it_is_known() {
        let sizes = Sizes { sft: 0, rl: 800, held_out: 0 };
        let problems = Pseudocode::default().splits(Seed::root(1), sizes).unwrap().rl;
        let always = Habits::new(1.0).unwrap();
        let (mut right, mut wrong, mut used) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (mut fail, mut with_habit) = (0, 0);
        for problem in problems.iter() {
            let solution = problem.metadata["program"].as_str().unwrap();
            let program = always.write(solution, Seed::root(0));
            assert_eq!(program.lines().count(), solution.lines().count());
            for (right_line, line) in solution.lines().zip(program.lines()) {
                right.insert(right_line.to_owned());
                if right_line != line {
                    wrong.insert(line.to_owned());
                    let matches = |(pattern, _): &(Regex, &str)| pattern.is_match(right_line);
                    used.insert(always.wrong.iter().position(matches).unwrap());
                }
            }
            if program != solution {
                with_habit += 1;
                fail += usize::from(Oracle::new(problem).unwrap().recoverable(&program) == Ok(false));
            }
            assert_eq!(Habits::new(0.0).unwrap().write(solution, Seed::root(0)), solution);
        }
        assert_eq!(right.intersection(&wrong).collect::<Vec<_>>(), Vec::<&String>::new());
        assert_eq!(used.len(), HABITS.len());
        // A list of one item is sorted, and so on: what a habit writes can be without consequences.
        assert!(fail * 100 > with_habit * 95, "{fail} of {with_habit} programs with habits fail");
    }
}
