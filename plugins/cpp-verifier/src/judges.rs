//! [`Judges`]: the binaries of tests, which are the same for all programs of a problem.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use pspo::plugin::VerifyError;

use crate::toolchain::Toolchain;

/// Judges that are kept, at most; each takes some hundred kilobytes.
const MOST: usize = 512;

/// A place for a judge: who builds one holds it, and others wait.
type Place = Arc<Mutex<Option<Judge>>>;

/// A binary, or why the tests cannot be run.
type Judge = Result<Arc<Vec<u8>>, String>;

/// Judges by their source.
#[derive(Default)]
pub(crate) struct Judges {
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    by_source: HashMap<Arc<str>, (Place, u64)>,
    /// Counts uses, so that the judge that was not used for longest goes first.
    uses: u64,
}

impl Judges {
    /// The judge of this source, built where it is not known.
    ///
    /// # Errors
    /// [`VerifyError::Unsupported`] if it does not compile: programs are not to blame.
    pub fn get(&self, source: &str, toolchain: &Toolchain) -> Result<Arc<Vec<u8>>, VerifyError> {
        let place = self.place(source);
        let mut judge = place.lock().unwrap_or_else(PoisonError::into_inner);
        let built = match judge.as_ref() {
            Some(known) => known.clone(),
            None => {
                let built = toolchain.judge(source)?.map(Arc::new).map_err(|(_, what)| what);
                judge.insert(built).clone()
            }
        };
        built.map_err(|what| {
            VerifyError::Unsupported(format!(
                "tests that do not compile with stubs of what they call: {what}"
            ))
        })
    }

    fn place(&self, source: &str) -> Place {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.uses += 1;
        let now = places.uses;
        if let Some((place, used)) = places.by_source.get_mut(source) {
            *used = now;
            return Arc::clone(place);
        }
        if places.by_source.len() >= MOST {
            let oldest =
                places.by_source.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| Arc::clone(key));
            oldest.and_then(|key| places.by_source.remove(&key));
        }
        let place = Place::default();
        places.by_source.insert(source.into(), (Arc::clone(&place), now));
        place
    }
}
