//! Files with something wrong in them.

use std::ops::Range;

use pspo::data::Seed;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Numbers at which lengths, counts and offsets go wrong.
pub const EXTREMES: [u64; 9] = [0, 1, 31, 1 << 31, (1 << 32) - 1, 1 << 60, 1 << 63, u64::MAX - 31, u64::MAX];

/// Each number at `fields` replaced by each extreme, as far as it has room for it.
pub fn extremes<'a>(bytes: &'a [u8], fields: &'a [Range<usize>]) -> impl Iterator<Item = Vec<u8>> + 'a {
    fields.iter().flat_map(move |field| {
        EXTREMES.into_iter().map(move |extreme| {
            let mut changed = bytes.to_vec();
            changed[field.clone()].copy_from_slice(&extreme.to_le_bytes()[..field.len()]);
            changed
        })
    })
}

/// `count` files, each changed at one to three places: a bit flipped, the end cut off, a piece taken out, put in
/// twice, or put in elsewhere, and an extreme written anywhere.
pub fn random<'a>(bytes: &'a [u8], seed: Seed, count: u64) -> impl Iterator<Item = Vec<u8>> + 'a {
    (0..count).map(move |case| {
        let mut rng = seed.index(case).rng();
        let mut changed = bytes.to_vec();
        for _ in 0..rng.random_range(1..=3) {
            if !changed.is_empty() {
                change(&mut changed, &mut rng);
            }
        }
        changed
    })
}

/// `count` files, each with one bit flipped.
pub fn flips<'a>(bytes: &'a [u8], seed: Seed, count: u64) -> impl Iterator<Item = Vec<u8>> + 'a {
    (0..count).map(move |case| {
        let mut rng = seed.index(case).rng();
        let mut changed = bytes.to_vec();
        changed[rng.random_range(0..bytes.len())] ^= 1 << rng.random_range(0..8);
        changed
    })
}

fn change(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..bytes.len());
    let end = rng.random_range(at..=bytes.len().min(at + 40));
    match rng.random_range(0..6) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes.truncate(at),
        2 => drop(bytes.drain(at..end)),
        3 => {
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        4 => {
            let piece = bytes[at..end].to_vec();
            let to = rng.random_range(0..=bytes.len());
            bytes.splice(to..to, piece);
        }
        _ => {
            let extreme = EXTREMES[rng.random_range(0..EXTREMES.len())].to_le_bytes();
            for (to, from) in bytes[at..].iter_mut().zip(extreme) {
                *to = from;
            }
        }
    }
}

/// Each number in a text of JSON replaced by each extreme, by a fraction and by what is no number.
pub fn json_numbers(json: &str) -> Vec<String> {
    let mut changed = Vec::new();
    let mut at = 0;
    while let Some(begin) = json[at..].find(|c: char| c.is_ascii_digit()).map(|begin| at + begin) {
        let end = begin + json[begin..].find(|c: char| !c.is_ascii_digit()).unwrap_or(json.len() - begin);
        let others = ["-1", "0.5", "1e400", "99999999999999999999", "\"\"", "[]"].map(str::to_owned);
        for number in EXTREMES.iter().map(u64::to_string).chain(others) {
            changed.push([&json[..begin], &number, &json[end..]].concat());
        }
        at = end;
    }
    changed
}
