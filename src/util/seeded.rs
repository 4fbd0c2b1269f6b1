//! Bugs put in on purpose, to see that the tests find them. Without the feature `seeded-bugs` none is ever on, and the
//! compiler removes the places that ask.

/// A bug. Each breaks what one invariant or one step of recovery is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A sync does nothing (I-5).
    SkipSync = 1,
    /// Recovery believes the newest slot and does not look at the writes it lists.
    AcceptUnverified,
    /// A slot lists only what its own commit wrote, not everything since its base (I-2).
    ListOwnOnly,
    /// Pages are reused when `D <= durable`, without `B <= base(durable)` (I-3).
    ReuseEarly,
    /// Pages that a held reader sees are reused (I-3).
    ReuseHeld,
    /// Pages are reused before the commit they died in is durable (I-3).
    ReuseUndurable,
    /// The slot of the commit that is being synced is written (I-1).
    SlotOfSyncing,
    /// The slot of the newest commit is written (I-1).
    SlotOfTip,
    /// The slot of the durable commit is written (I-1).
    SlotOfDurable,
    /// Recovery believes what it finds without syncing it first.
    RecoverUnsynced,
    /// Slots of rejected commits are left as they are (I-4).
    KeepRejected,
    /// Ids of rejected commits are used again (I-4).
    ReuseIds,
    /// Full commits are visible before they are durable (I-7).
    ShowUndurable,
    /// A failed sync is forgotten (I-8).
    ForgetFailedSync,
    /// Recovery goes back below a commit that was known to be durable.
    GoBack,
    /// A sync after one whose leader died is believed without a look at the disk.
    BelieveAfterDeath,
    /// A transaction can be committed although one of its calls failed half-way.
    CommitFailed,
    /// A put panics.
    PanicInPut,
}

#[cfg(feature = "seeded-bugs")]
static ON: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Whether `bug` is to be committed.
#[inline(always)]
#[cfg(feature = "seeded-bugs")]
pub fn on(bug: Bug) -> bool {
    ON.load(std::sync::atomic::Ordering::Relaxed) == bug as u8
}

/// Whether `bug` is to be committed: no.
#[inline(always)]
#[cfg(not(feature = "seeded-bugs"))]
pub fn on(_: Bug) -> bool {
    false
}

/// Switches one bug on, or none, for the whole process.
#[cfg(feature = "seeded-bugs")]
pub fn set(bug: Option<Bug>) {
    ON.store(bug.map_or(0, |bug| bug as u8), std::sync::atomic::Ordering::Relaxed);
}
