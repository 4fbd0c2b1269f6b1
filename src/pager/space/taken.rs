//! Extents of which the running transaction has taken pages, and which come in once more, because a zone is loaded.

use super::Space;
use crate::ids::{PageNo, Run};

impl Space {
    /// Puts back into the pool what came in anew and has pages that the running transaction took, which the caller
    /// then takes out of it again.
    ///
    /// What may be reused once may be reused for ever (I-3), but what came in anew is sorted out anew. Somebody may
    /// have begun to read a snapshot meanwhile who seems to see what belongs to no state of the database (I-20). If the
    /// extent was listed under him, it would be taken for that one whose pages died later and which begins where it
    /// did, and would come free with him, before its death is durable.
    pub fn keep_reusable(&mut self, taken: impl Iterator<Item = Run>) {
        let mut extents: Vec<PageNo> = Vec::new();
        for run in taken {
            let before = self.mirror.before(run.first);
            let before = before.filter(|(_, dead)| dead.extent.run.end() > run.first);
            let inside = self.mirror.range(run.first..run.end());
            for (first, _) in before.into_iter().chain(inside) {
                if extents.last().is_some_and(|last| *last >= first) {
                    continue;
                }
                if extents.try_reserve(1).is_err() {
                    self.lists_incomplete = true;
                    return;
                }
                extents.push(first);
            }
        }
        if extents.is_empty() {
            return;
        }
        let (mirror, pool) = (&self.mirror, &mut self.pool);
        self.waiting.retain(|(_, page)| {
            let waits = extents.binary_search(page).is_err();
            if let Some(dead) = mirror.get(*page).filter(|_| !waits) {
                pool.insert(dead.extent.run);
            }
            waits
        });
    }
}
