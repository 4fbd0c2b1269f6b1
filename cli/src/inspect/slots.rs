//! What it means that places which describe commits are lost.

/// Returns what people should know of lost slots, if there are any. Each describes a commit, and the lost one may have
/// described the newest, of which nothing else in the file tells.
pub fn said(lost_slots: u32, closed_properly: bool) -> Option<&'static str> {
    match (lost_slots, closed_properly) {
        (0, _) => None,
        (_, true) => Some(
            "one of the places that describe commits cannot be read; another one describes the commit with which the \
             file was closed properly; the next commit writes the place anew",
        ),
        (_, false) => Some(
            "one of the places that describe commits cannot be read, and the file was not closed properly: the newest \
             commit may be lost with it; see whether the newest entries are there, or restore a backup (kv restore)",
        ),
    }
}
