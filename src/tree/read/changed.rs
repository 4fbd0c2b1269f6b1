//! Which ranges of keys have changed since a commit, by the births of pages alone.
//!
//! A page that was born by that commit says that its whole interval of keys is as it was then (I-28). So only branches
//! that were written since are read, and no leaf at all: the separators beside a leaf are the bounds of its interval.

use super::descent::{branch, check_height};
use super::limits::Limits;
use crate::error::{Error, Result};
use crate::ids::{CommitId, Run};
use crate::page::{PageSource, Ptr, Root};

/// What memory is lacking for, if it is.
const BOUNDS: &str = "the bounds of a changed range";

/// Gives each range of keys in which something may have changed after the commit `since` to `f`, within the limits and
/// in ascending order: the least key, and the least one behind the range, if there is a bound. No two of them touch.
/// `f` returns whether it wants more. All of an empty tree counts as changed, because there is no page that could tell
/// when it was emptied.
///
/// # Errors
/// Those that `f` returns; `Corrupt`: a page on the way is damaged; `NoMemory`.
pub fn changed_ranges<'s, S: PageSource<'s> + ?Sized>(
    source: &S,
    root: &Root,
    since: CommitId,
    limits: &Limits,
    f: impl FnMut(&[u8], Option<&[u8]>) -> Result<bool>,
) -> Result<()> {
    check_height(root)?;
    let (low, high) = limits.clone().half_open()?;
    let low = low.unwrap_or_default();
    if high.as_ref().is_some_and(|high| *high <= low) {
        return Ok(());
    }
    let mut walk = Walk {
        source,
        since,
        low,
        high,
        passed: None,
        begun: None,
        f,
        is_done: false,
    };
    match root.height {
        0 => walk.pass(&[], true)?,
        height => walk.subtree(&root.ptr, height, &[])?,
    }
    walk.end()
}

struct Walk<'t, S: ?Sized, F> {
    source: &'t S,
    since: CommitId,
    /// The limits within which ranges are given.
    low: Vec<u8>,
    high: Option<Vec<u8>>,
    /// Where that began which was passed last.
    passed: Option<Vec<u8>>,
    /// Where the range begins whose end was not met yet.
    begun: Option<Vec<u8>>,
    f: F,
    is_done: bool,
}

impl<'s, S: PageSource<'s> + ?Sized, F: FnMut(&[u8], Option<&[u8]>) -> Result<bool>> Walk<'_, S, F> {
    /// Passes the subtree at `ptr`, whose keys are not less than `low`.
    fn subtree(&mut self, ptr: &Ptr, level: u8, low: &[u8]) -> Result<()> {
        // A private page has no birth yet: it belongs to the transaction that reads.
        let has_changed = ptr.page.is_private() || ptr.birth > self.since;
        if !has_changed || level == 1 {
            return self.pass(low, has_changed);
        }
        let node = branch(self.source, ptr, level)?;
        // Only the branches on the way to the lower limit are responsible for it.
        let first = match *low <= *self.low {
            true => node.find(&self.low, self.source)?,
            false => 0,
        };
        if level > 2 {
            let last = match &self.high {
                Some(high) => node.find(high, self.source)?,
                None => node.len() - 1,
            };
            let children = (first..=last).map(|i| node.ptr(i));
            let read = children.filter(|child| !child.page.is_private() && child.birth > self.since);
            self.source
                .will_read(&mut read.map(|child| Run::new(child.page.number(), 1)));
        }
        let mut separator = Error::or_copy(low, BOUNDS)?;
        for i in first..node.len() {
            if i > 0 {
                separator.clear();
                node.write_separator(i, self.source, &mut separator)?;
            }
            if self.is_beyond(&separator) {
                self.is_done = true;
                break;
            }
            self.subtree(&node.ptr(i), level - 1, &separator)?;
            if self.is_done {
                break;
            }
        }
        Ok(())
    }

    /// Returns whether what begins with this key lies behind the limits.
    fn is_beyond(&self, low: &[u8]) -> bool {
        self.high.as_ref().is_some_and(|high| low >= high.as_slice())
    }

    /// Passes what begins with the key `low` and ends where the next call begins, and which has changed or has not.
    fn pass(&mut self, low: &[u8], has_changed: bool) -> Result<()> {
        if self.is_beyond(low) {
            self.is_done = true;
            return Ok(());
        }
        // In a damaged tree, in which ways meet again, there could be more of them than anybody can go.
        match &mut self.passed {
            Some(passed) if low <= passed.as_slice() => {
                return Err(Error::corrupt(None, "separators out of order"));
            }
            Some(passed) => {
                passed.clear();
                Error::or_room(passed, low.len(), BOUNDS)?;
                passed.extend_from_slice(low);
            }
            None => self.passed = Some(Error::or_copy(low, BOUNDS)?),
        }
        match (&self.begun, has_changed) {
            (None, true) => self.begun = Some(Error::or_copy(low.max(&self.low), BOUNDS)?),
            (Some(begun), false) => {
                let more = (self.f)(begun, Some(low))?;
                self.begun = None;
                self.is_done = !more;
            }
            _ => {}
        }
        Ok(())
    }

    /// Gives the range that goes as far as the limits, if there is one.
    fn end(mut self) -> Result<()> {
        match self.begun {
            Some(begun) => (self.f)(&begun, self.high.as_deref()).map(drop),
            None => Ok(()),
        }
    }
}
