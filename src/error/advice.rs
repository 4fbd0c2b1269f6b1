//! What the texts of errors tell to do next, so that it can be left out where one error is the reason for another.

/// Each way to make room where there was none.
const MORE_SPACE: [&str; 3] = [
    "free space",
    "free space or raise the quota",
    "raise the limit on the length of files (RLIMIT_FSIZE, `ulimit -f`)",
];

/// Returns what makes room where the system said with this errno that there is none.
pub(super) fn more_space(errno: Option<i32>) -> &'static str {
    match errno {
        Some(libc::EFBIG) => MORE_SPACE[2],
        Some(libc::EDQUOT) => MORE_SPACE[1],
        _ => MORE_SPACE[0],
    }
}

/// What to do about damage.
pub(super) const AFTER_DAMAGE: &str = "; restore a backup, or save what is left with kv_salvage";

/// Takes the advice off the text of an error, which is not to be followed where the text is the reason for another
/// error.
pub(super) fn without_advice(text: &str) -> &str {
    if let Some(bare) = text.strip_suffix(AFTER_DAMAGE) {
        return bare;
    }
    let and_repeat = text.strip_suffix(" and repeat");
    let rooms = MORE_SPACE.iter();
    rooms
        .filter_map(|room| and_repeat?.strip_suffix(room)?.strip_suffix("; "))
        .next()
        .unwrap_or(text)
}
