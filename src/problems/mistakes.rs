//! Programs with the mistakes that a policy makes, for tests.

use rand::{Rng, RngExt};

use super::python::NAMES;

/// `program` with one mistake: a line left out, doubled or exchanged with the next, or a name or
/// number that should be another.
pub(super) fn mistaken(program: &str, rng: &mut impl Rng) -> String {
    let mut lines: Vec<_> = program.lines().map(str::to_owned).collect();
    let line = rng.random_range(0..lines.len());
    match rng.random_range(0..10) {
        0 => drop(lines.remove(line)),
        1 => lines.insert(line, lines[line].clone()),
        2 => {
            let next = (line + 1) % lines.len();
            lines.swap(line, next);
        }
        _ => lines[line] = with_another_word(&lines[line], rng),
    }
    lines.join("\n") + "\n"
}

fn with_another_word(line: &str, rng: &mut impl Rng) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let mut pieces: Vec<_> = line.split_inclusive(|c| !is_word(c)).map(str::to_owned).collect();
    let may_change = |piece: &String| {
        let word = piece.trim_end_matches(|c| !is_word(c));
        NAMES.contains(&word) || word.parse::<u8>().is_ok()
    };
    let places: Vec<_> = (0..pieces.len()).filter(|&place| may_change(&pieces[place])).collect();
    if !places.is_empty() {
        let piece = &mut pieces[places[rng.random_range(0..places.len())]];
        let tail = piece.trim_start_matches(is_word).to_owned();
        let word = match rng.random_bool(0.6) {
            true => NAMES[rng.random_range(0..NAMES.len())].to_owned(),
            false => rng.random_range(0..12).to_string(),
        };
        *piece = word + &tail;
    }
    pieces.concat()
}
