//! How much memory a test holds: a global allocator that counts by thread.
//!
//! monty asks one counter of the whole process whether memory has run out
//! ([`LIVE_MEMORY`]), which says nothing about one program among several that run at once. So
//! allocations are counted here, for the thread that runs a test. The thread looks at its own account
//! every 256 instructions; should one instruction allocate so much that the account reaches twice its
//! limit, monty's counter is raised, at which every running program stops, and those that did nothing
//! wrong run again.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Once;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use monty_types::{BASELINE_MEMORY, LIVE_MEMORY};

/// A global allocator that lets this crate hold a program to its memory limit. Other threads pay for
/// one comparison per allocation.
///
/// With the feature `global-allocator`, which is on by default, it is installed already. A program with
/// an allocator of its own turns the feature off and wraps that one:
///
/// ```text
/// #[global_allocator]
/// static ALLOCATOR: MeteredAllocator<MyAllocator> = MeteredAllocator::new(MyAllocator);
/// ```
pub struct MeteredAllocator<A = System>(A);

impl<A> MeteredAllocator<A> {
    /// Counts what goes through `allocator`.
    pub const fn new(allocator: A) -> Self {
        Self(allocator)
    }
}

#[cfg(feature = "global-allocator")]
#[global_allocator]
static ALLOCATOR: MeteredAllocator = MeteredAllocator::new(System);

// SAFETY: every call goes to `A` unchanged, and what `A` returns is returned; counting neither
// allocates nor unwinds, and needs no destructor of a thread-local.
unsafe impl<A: GlobalAlloc> GlobalAlloc for MeteredAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        charge(layout.size(), 0);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        charge(layout.size(), 0);
        // SAFETY: the caller keeps `alloc_zeroed`'s contract.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        charge(0, layout.size());
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { self.0.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        charge(new_size, layout.size());
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { self.0.realloc(pointer, layout, new_size) }
    }
}

/// One thread's account.
struct Account {
    /// Bytes held; below zero while what was held before is freed.
    used: Cell<isize>,
    /// 0: not metered.
    limit: Cell<isize>,
    over: Cell<bool>,
    alarm: Cell<Option<&'static Alarm>>,
}

thread_local! {
    static ACCOUNT: Account = const {
        Account {
            used: Cell::new(0),
            limit: Cell::new(0),
            over: Cell::new(false),
            alarm: Cell::new(None),
        }
    };
}

/// The alarm of one thread, by which it stops every running program.
pub(crate) struct Alarm(AtomicU8);

impl Alarm {
    const QUIET: u8 = 0;
    const RAISED: u8 = 1;
    const MUTED: u8 = 2;
    /// What a raised alarm adds to monty's counter: more than any limit, and room for many.
    const BYTES: usize = 1 << 48;

    /// The alarm of this thread; it lives as long as the process.
    pub fn of_this_thread() -> &'static Self {
        ACCOUNT.with(|account| match account.alarm.get() {
            Some(alarm) => alarm,
            None => {
                let alarm: &'static Self = Box::leak(Box::new(Self(AtomicU8::new(Self::QUIET))));
                account.alarm.set(Some(alarm));
                alarm
            }
        })
    }

    fn raise(&self) {
        if self.0.compare_exchange(Self::QUIET, Self::RAISED, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            LIVE_MEMORY.fetch_add(Self::BYTES, Ordering::SeqCst);
            ALARMS.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn end(&self) {
        if self.0.compare_exchange(Self::RAISED, Self::QUIET, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            LIVE_MEMORY.fetch_sub(Self::BYTES, Ordering::SeqCst);
        }
    }

    /// Ends the alarm for good, on behalf of a thread that does not come back to end it.
    pub fn mute(&self) {
        if self.0.swap(Self::MUTED, Ordering::SeqCst) == Self::RAISED {
            LIVE_MEMORY.fetch_sub(Self::BYTES, Ordering::SeqCst);
        }
    }

    /// Whether some program is far over its limit right now.
    pub fn any_raised() -> bool {
        LIVE_MEMORY.load(Ordering::SeqCst) >= Self::BYTES
    }
}

/// How many alarms there have been.
static ALARMS: AtomicU64 = AtomicU64::new(0);

#[inline]
fn charge(allocated: usize, freed: usize) {
    ACCOUNT.with(|account| {
        let limit = account.limit.get();
        if limit == 0 {
            return;
        }
        let used = account.used.get().saturating_add_unsigned(allocated).saturating_sub_unsigned(freed);
        account.used.set(used);
        if used > limit {
            account.over.set(true);
            if used / 2 > limit
                && let Some(alarm) = account.alarm.get()
            {
                alarm.raise();
            }
        }
    });
}

/// While it lives, what this thread allocates counts against a limit.
pub(crate) struct Metered {
    alarms_before: u64,
    raised_before: bool,
    not_send: PhantomData<*const ()>,
}

impl Metered {
    /// Opens this thread's account at zero.
    pub fn start(limit: usize) -> Self {
        // monty subtracts this baseline, and sets none itself.
        static BASELINE: Once = Once::new();
        BASELINE.call_once(|| BASELINE_MEMORY.store(0, Ordering::SeqCst));
        Alarm::of_this_thread();
        let metered = Self {
            raised_before: Alarm::any_raised(),
            alarms_before: ALARMS.load(Ordering::SeqCst),
            not_send: PhantomData,
        };
        ACCOUNT.with(|account| {
            account.used.set(0);
            account.over.set(false);
            account.limit.set(isize::try_from(limit).unwrap_or(isize::MAX));
        });
        metered
    }

    /// Whether this thread ever held more than its limit.
    pub fn over(&self) -> bool {
        ACCOUNT.with(|account| account.over.get())
    }

    /// Whether another thread's alarm may have stopped this one's program.
    pub fn disturbed(&self) -> bool {
        !self.over() && (self.raised_before || ALARMS.load(Ordering::SeqCst) != self.alarms_before)
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        ACCOUNT.with(|account| {
            account.limit.set(0);
            if let Some(alarm) = account.alarm.get() {
                alarm.end();
            }
        });
    }
}

/// Whether the program's allocator is a metered one.
pub(crate) fn is_installed() -> bool {
    let metered = Metered::start(1);
    drop(std::hint::black_box(Vec::<u8>::with_capacity(64)));
    metered.over()
}

#[cfg(all(test, feature = "global-allocator"))]
mod tests {
    use super::*;

    #[test]
    fn an_account_counts_what_is_held_by_its_own_thread() {
        let metered = Metered::start(10_000);
        for _ in 0..100 {
            drop(std::hint::black_box(vec![0u8; 5_000]));
        }
        assert!(!metered.over(), "what is freed does not count");
        std::thread::spawn(|| drop(std::hint::black_box(vec![0u8; 50_000]))).join().unwrap();
        assert!(!metered.over(), "another thread's allocation counted");
        let mut held = std::hint::black_box(vec![0u8; 1]);
        held.reserve(9_000);
        assert!(!metered.over());
        held.reserve(11_000);
        assert!(metered.over() && is_installed());
    }

    #[test]
    fn far_over_the_limit_every_program_is_stopped_until_the_account_is_closed() {
        let metered = Metered::start(10_000);
        let held = std::hint::black_box(vec![0u8; 30_000]);
        assert!(Alarm::any_raised());
        let other = std::thread::spawn(|| Metered::start(10_000).disturbed());
        assert!(other.join().unwrap());
        assert!(!metered.disturbed(), "it stopped itself");
        drop((held, metered));
    }
}
