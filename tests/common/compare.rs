//! Comparing what the library answered with what the model says, and saying in short where they differ.

use super::api::{show, Entry, Outcome};
use kv::TableId;

/// A value in few words, however large it is.
pub trait Brief {
    fn brief(&self) -> String;
}

macro_rules! by_debug {
    ($($t:ty),*) => {
        $(impl Brief for $t {
            fn brief(&self) -> String {
                format!("{self:?}")
            }
        })*
    };
}
by_debug!((), bool, u64, usize, i32, TableId);

impl Brief for Vec<u8> {
    fn brief(&self) -> String {
        show(self)
    }
}

impl Brief for Entry {
    fn brief(&self) -> String {
        format!("{} = {}", show(&self.0), show(&self.1))
    }
}

impl<T: Brief> Brief for Option<T> {
    fn brief(&self) -> String {
        self.as_ref().map_or_else(|| "nothing".into(), Brief::brief)
    }
}

impl<T: Brief> Brief for Vec<Option<T>> {
    fn brief(&self) -> String {
        let items: Vec<String> = self.iter().map(Brief::brief).collect();
        format!("[{}]", items.join(", "))
    }
}

impl Brief for Vec<Entry> {
    fn brief(&self) -> String {
        let items: Vec<String> = self.iter().take(6).map(Brief::brief).collect();
        format!("{} entries [{} ...]", self.len(), items.join(", "))
    }
}

/// The answer must be the model's: the same value, or the same status.
#[track_caller]
pub fn agree<T: PartialEq + Brief>(what: &str, got: Outcome<T>, want: Result<T, i32>) {
    match (&got, &want) {
        (Ok(got), Ok(want)) if got == want => {}
        (Err(got), Err(want)) if got.status == *want => {}
        _ => {
            let got = match &got {
                Ok(value) => value.brief(),
                Err(fail) => format!("status {} ({})", fail.status, fail.message),
            };
            let want = match &want {
                Ok(value) => value.brief(),
                Err(status) => format!("status {status}"),
            };
            panic!("{what}\n  answered {got}\n  expected {want}");
        }
    }
}
