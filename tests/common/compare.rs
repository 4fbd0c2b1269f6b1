//! Comparing what the library answered with what the model says, and saying in short where they differ.

use super::api::{show, Entry, Outcome, Recorded};
use kv::TableId;

/// A value in few words, however large it is.
pub trait Summary {
    fn summary(&self) -> String;
}

macro_rules! by_debug {
    ($($t:ty),*) => {
        $(impl Summary for $t {
            fn summary(&self) -> String {
                format!("{self:?}")
            }
        })*
    };
}
by_debug!((), bool, u64, usize, i32, TableId, Recorded);

impl Summary for Vec<u8> {
    fn summary(&self) -> String {
        show(self)
    }
}

impl Summary for Entry {
    fn summary(&self) -> String {
        format!("{} = {}", show(&self.0), show(&self.1))
    }
}

impl<T: Summary> Summary for Option<T> {
    fn summary(&self) -> String {
        self.as_ref().map_or_else(|| "nothing".into(), Summary::summary)
    }
}

impl<T: Summary> Summary for Vec<Option<T>> {
    fn summary(&self) -> String {
        let items: Vec<String> = self.iter().map(Summary::summary).collect();
        format!("[{}]", items.join(", "))
    }
}

impl Summary for Vec<Entry> {
    fn summary(&self) -> String {
        let items: Vec<String> = self.iter().take(6).map(Summary::summary).collect();
        format!("{} entries [{} ...]", self.len(), items.join(", "))
    }
}

/// The answer must be the model's: the same value, or the same status.
#[track_caller]
pub fn agree<T: PartialEq + Summary>(what: &str, got: Outcome<T>, want: Result<T, i32>) {
    match (&got, &want) {
        (Ok(got), Ok(want)) if got == want => {}
        (Err(got), Err(want)) if got.status == *want => {}
        _ => {
            let got = match &got {
                Ok(value) => value.summary(),
                Err(fail) => format!("status {} ({})", fail.status, fail.message),
            };
            let want = match &want {
                Ok(value) => value.summary(),
                Err(status) => format!("status {status}"),
            };
            panic!("{what}\n  answered {got}\n  expected {want}");
        }
    }
}
