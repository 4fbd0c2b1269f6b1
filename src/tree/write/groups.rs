//! The edits on their way down a branch: one group per child, and the bounds of that child's interval.

use super::fences::{branch_of, child_fences, Fences};
use super::sorted::Sorted;
use crate::error::{Error, Result};
use crate::page::{PageSource, Ptr};

/// Children looked up ahead (one was 14 % slower on small batches of random edits).
const AHEAD: usize = 4;

/// A group of edits for one child.
pub(super) struct Group {
    pub child: usize,
    pub from: usize,
    pub to: usize,
    pub fences: Fences,
}

impl Group {
    /// Edits in it.
    pub fn len(&self) -> usize {
        self.to - self.from
    }

    /// Whether its child lies beside that of the group before.
    pub fn follows(&self, before: &Group) -> bool {
        self.child == before.child + 1
    }
}

/// Groups of edits by child, some of them looked up ahead so that their pages arrive meanwhile.
pub(super) struct Groups {
    next: usize,
    end: usize,
    /// A ring: so many of them from `first` on.
    ready: [Option<Group>; AHEAD],
    first: usize,
    len: usize,
}

impl Groups {
    /// Of the edits `from..to`.
    pub fn new((from, to): (usize, usize)) -> Groups {
        Groups {
            next: from,
            end: to,
            ready: Default::default(),
            first: 0,
            len: 0,
        }
    }

    /// The next group, if it was looked up.
    pub fn next(&mut self) -> Option<Group> {
        let group = self.ready[self.first].take()?;
        self.first = (self.first + 1) % AHEAD;
        self.len -= 1;
        Some(group)
    }

    /// The group that `next` will answer.
    pub fn peek(&self) -> Option<&Group> {
        self.ready[self.first].as_ref()
    }

    /// Looks groups up in the branch `page`.
    pub fn refill<'s, S: PageSource<'s>>(
        &mut self,
        page: &[u8],
        ptr: &Ptr,
        level: u8,
        edits: &Sorted<'_>,
        source: &S,
        fences: &Fences,
    ) -> Result<()> {
        let branch = branch_of(page, ptr)?;
        while self.next < self.end && self.len < AHEAD {
            let child = branch.find(edits.key(self.next), ptr.page, source)?;
            let inner = child_fences(&branch, ptr, child, fences, source)?;
            let to = match &inner.high {
                Some(high) if child + 1 < branch.len() => edits.border(self.next, self.end, high),
                _ => self.end,
            };
            if to <= self.next {
                return Err(Error::corrupt(ptr.page, "separators out of order"));
            }
            let bytes = if level == 2 { 1024 } else { 768 };
            source.prefetch(branch.child(child), bytes);
            self.ready[(self.first + self.len) % AHEAD] = Some(Group {
                child,
                from: self.next,
                to,
                fences: inner,
            });
            self.len += 1;
            self.next = to;
        }
        Ok(())
    }
}
