//! Bugs that are put in on purpose, to see that the tests find them. Without the feature `seeded-bugs` none of them is
//! ever on, and the compiler removes the code that checks for them.

/// A bug. Each one breaks an invariant or a step of recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A sync does nothing (I-5).
    SkipSync = 1,
    /// Recovery accepts the newest slot and does not verify the writes that it lists.
    AcceptUnverified,
    /// A slot lists only what its own commit wrote, and not everything since its base (I-2).
    ListOwnOnly,
    /// Pages are reused when `D <= durable`, without `B <= base(durable)` (I-3).
    ReuseEarly,
    /// Pages that a reader still sees are reused (I-3).
    ReuseHeld,
    /// Pages are reused before the commit in which they died is durable (I-3).
    ReuseUndurable,
    /// The slot of the commit that is being synced is written (I-1).
    SlotOfSyncing,
    /// The slot of the newest commit is written (I-1).
    SlotOfTip,
    /// The slot of the durable commit is written (I-1).
    SlotOfDurable,
    /// Recovery accepts what it finds without syncing it first.
    RecoverUnsynced,
    /// The slots of rejected commits are not erased (I-4).
    KeepRejected,
    /// The ids of rejected commits are used again (I-4).
    ReuseIds,
    /// Full commits are visible before they are durable (I-7).
    ShowUndurable,
    /// A failed sync is forgotten (I-8).
    ForgetFailedSync,
    /// Recovery returns to a commit older than one that was known to be durable.
    GoBack,
    /// The sync after one whose leader died is trusted without looking for the commit on the disk.
    BelieveAfterDeath,
    /// What snapshots hold is reused (I-20).
    ReuseSnapshots,
    /// A snapshot is opened by a list that is not the newest any more (I-22).
    TrustOldList,
    /// What nobody recorded sees is taken out of what is parked, and put nowhere (I-24).
    ForgetReaped,
    /// The record of a dropped snapshot goes before the drop is durable (I-25).
    ForgetUndurable,
    /// Only what is parked under a dropped snapshot itself is looked for, and not what was parked for younger ones.
    ReapLittle,
    /// What belongs to no state of the database is reused although a reader looks at it (I-20).
    ReuseOwn,
    /// What a dropped snapshot held is reused before the drop is durable (I-20).
    DropUndurable,
    /// A writer goes by the length that the file had before another process cut it (I-30).
    ForgetCuts,
    /// The file is cut before the commit that shrank is durable (I-30).
    CutUndurable,
    /// The file is cut while readers may reach behind its end (I-30).
    CutUnderReaders,
    /// A commit records no snapshot although the policy has one due.
    RecordNone,
    /// Of what stays, the oldest snapshot is dropped as well.
    ThinOneMore,
    /// The policy drops snapshots that are to be kept.
    DropKept,
    /// The policy drops snapshots although the clock was set back.
    TrustClock,
    /// A snapshot that a commit records is to be kept because another one of its state is.
    TakeOverKeep,
    /// A leaf whose interval has grown stays the page that it was (I-28).
    KeepWidened,
    /// Private pages that a savepoint has are changed in place.
    EditSaved,
    /// Pages of the file that a savepoint has are taken again.
    TakeSaved,
    /// What was released since a savepoint counts as dead although the transaction went back to it.
    KeepReleased,
    /// A transaction can be committed although one of its calls failed halfway.
    CommitFailed,
    /// A put panics.
    PanicInPut,
    /// A commit panics between the write of its slot and its publication.
    PanicAfterSlot,
    /// A commit panics after its publication, before its sync.
    PanicAfterPublish,
}

#[cfg(feature = "seeded-bugs")]
static ON: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Returns whether `bug` is on.
#[inline(always)]
#[cfg(feature = "seeded-bugs")]
pub fn on(bug: Bug) -> bool {
    ON.load(std::sync::atomic::Ordering::Relaxed) == bug as u8
}

/// Returns false: no bug is ever on without the feature `seeded-bugs`.
#[inline(always)]
#[cfg(not(feature = "seeded-bugs"))]
pub fn on(_: Bug) -> bool {
    false
}

/// Switches on one bug and all others off, for the whole process; `None` switches all off.
#[cfg(feature = "seeded-bugs")]
pub fn set(bug: Option<Bug>) {
    ON.store(bug.map_or(0, |bug| bug as u8), std::sync::atomic::Ordering::Relaxed);
}
