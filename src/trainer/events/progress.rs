//! Progress bars.

use std::borrow::Cow;
use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bars of a run, one below the other on standard error. Clones draw to the same place.
///
/// ```
/// use pspo::trainer::events::Progress;
///
/// let progress = Progress::hidden(); // `Progress::new()` draws
/// let bar = progress.bar("labels", 3);
/// for _ in 0..3 {
///     bar.inc(1);
/// }
/// assert_eq!(bar.position(), 3);
/// ```
#[derive(Clone, Debug)]
pub struct Progress(MultiProgress);

impl Progress {
    /// Bars on standard error; none if that is no terminal, so that logs hold no control characters.
    pub fn new() -> Self {
        if std::io::stderr().is_terminal() { Self(MultiProgress::new()) } else { Self::hidden() }
    }

    /// No bars.
    pub fn hidden() -> Self {
        Self(MultiProgress::with_draw_target(ProgressDrawTarget::hidden()))
    }

    /// A bar of `total` steps below those there are. It is there until it is dropped.
    pub fn bar(&self, label: impl Into<Cow<'static, str>>, total: u64) -> Bar {
        let bar = self.0.add(ProgressBar::new(total));
        let template = "{prefix:>12} {bar:32} {pos}/{len} {elapsed}/{duration} {msg}";
        // A template that does not parse would only look worse; the default one always works.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_prefix(label);
        Bar(bar)
    }

    /// Writes a line on standard output, above the bars where there are any. It is a result and not progress:
    /// hidden bars do not hide it.
    pub fn line(&self, text: &str) {
        use std::io::Write;
        // Progress is no reason for a run to stop: what matters goes through `Events`.
        self.0.suspend(|| drop(writeln!(std::io::stdout(), "{text}")));
    }

    /// Writes a line on standard error, above the bars where there are any: what one wants to know of a run
    /// besides its results. Hidden bars do not hide it.
    pub fn note(&self, text: &str) {
        use std::io::Write;
        self.0.suspend(|| drop(writeln!(std::io::stderr(), "{text}")));
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// One bar; dropping it removes it from the screen.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// `steps` more are done.
    pub fn inc(&self, steps: u64) {
        self.0.inc(steps);
    }

    /// How many steps are done.
    pub fn position(&self) -> u64 {
        self.0.position()
    }

    /// So many are done: where a resumed run goes on.
    pub fn set_position(&self, steps: u64) {
        self.0.set_position(steps);
    }

    /// It turned out to be so many steps in all.
    pub fn set_total(&self, total: u64) {
        self.0.set_length(total);
    }

    /// A few words behind the bar, such as the last metrics.
    pub fn message(&self, text: impl Into<Cow<'static, str>>) {
        self.0.set_message(text);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
