//! Verdicts already given, so that the same program is judged once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::sync::Arc;

use crate::plugin::{Submission, Verdict};

/// What a verdict depends on.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    problem: [u64; 2],
    program: Arc<str>,
}

impl Key {
    /// The key of a submission. The problem's id, metadata, rule and the tests go in as a hash of 128 bits,
    /// since the same id may come with other tests (held-out ones, another problem set).
    pub fn of(submission: &Submission<'_>) -> Self {
        let Submission { problem, program, tests } = submission;
        let mut hash = Hash128::default();
        // Writing to a hasher cannot fail, nor can these maps, whose keys are strings; if it did, the
        // key would still be a function of the submission.
        let _ = serde_json::to_writer(&mut hash, &(&problem.id, &problem.metadata, &problem.matching, tests));
        Self { problem: hash.finish(), program: Arc::from(*program) }
    }
}

/// Two SipHashes, the second started elsewhere.
struct Hash128(DefaultHasher, DefaultHasher);

impl Default for Hash128 {
    fn default() -> Self {
        let mut second = DefaultHasher::new();
        second.write_u8(1);
        Self(DefaultHasher::new(), second)
    }
}

impl Hash128 {
    fn finish(&self) -> [u64; 2] {
        [self.0.finish(), self.1.finish()]
    }
}

impl io::Write for Hash128 {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        self.1.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Verdicts in two generations: when the young one is full it becomes the old one, whose verdicts are
/// forgotten unless asked for again. So what is asked for stays, at the price of a comparison.
pub(super) struct Memo {
    young: HashMap<Key, Arc<Verdict>>,
    old: HashMap<Key, Arc<Verdict>>,
    young_bytes: usize,
    generation_bytes: usize,
}

impl Memo {
    /// A memo of at most about `bytes`.
    pub fn new(bytes: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_bytes: 0, generation_bytes: bytes / 2 }
    }

    /// The verdict given before, if it is still known.
    pub fn get(&mut self, key: &Key) -> Option<Arc<Verdict>> {
        if let Some(verdict) = self.young.get(key) {
            return Some(Arc::clone(verdict));
        }
        let (key, verdict) = self.old.remove_entry(key)?;
        self.insert(key, Arc::clone(&verdict));
        Some(verdict)
    }

    /// Remembers a verdict.
    pub fn insert(&mut self, key: Key, verdict: Arc<Verdict>) {
        let bytes = bytes(&key, &verdict);
        if bytes > self.generation_bytes {
            return;
        }
        if self.young_bytes + bytes > self.generation_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(key, verdict).is_none() {
            self.young_bytes += bytes;
        }
    }
}

/// What an entry takes, the table's own bookkeeping included as a round figure.
fn bytes(key: &Key, verdict: &Verdict) -> usize {
    const ENTRY: usize = 64;
    key.program.len() + verdict.detail.len() + size_of::<Verdict>() + size_of::<Key>() + ENTRY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Outcome;

    fn key(program: &str) -> Key {
        Key { problem: [0, 0], program: program.into() }
    }

    fn verdict() -> Arc<Verdict> {
        Arc::new(Verdict { outcome: Outcome::Wrong, passed: 0, total: 1, detail: "no".into(), seconds: 0.0 })
    }

    #[test]
    fn memory_is_bounded_and_what_is_asked_for_stays() {
        let limit = 20_000;
        let mut memo = Memo::new(limit);
        for program in 0..1000 {
            memo.insert(key(&program.to_string()), verdict());
            assert!(memo.get(&key("0")).is_some(), "forgotten after {program}");
        }
        assert!(memo.get(&key("500")).is_none());
        let held: usize = memo.young.iter().chain(&memo.old).map(|(key, verdict)| bytes(key, verdict)).sum();
        assert!(held <= limit && held > limit / 4, "{held} bytes");
        memo.insert(key(&"x".repeat(limit)), verdict());
        assert!(memo.get(&key(&"x".repeat(limit))).is_none(), "larger than the memo");
    }
}
