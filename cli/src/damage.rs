//! Damage that a command meets which shows what is left: it goes on, and tells of the damage in the end.

use crate::exit::{shown, Exit, Failure, Outcome};
use std::path::Path;

/// The damage that was met.
#[derive(Debug, Default)]
pub struct Damage {
    failures: Vec<Failure>,
}

impl Damage {
    /// Returns what was found, or `None` if it is damaged, which is noted. Other failures end the command.
    pub fn pass<T>(&mut self, found: Outcome<T>) -> Outcome<Option<T>> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.exit() == Exit::Damage => {
                // One page may be met on several ways.
                if !self.failures.iter().any(|other| other.message() == failure.message()) {
                    self.failures.push(failure);
                }
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Returns what is to be said of the damage, in the order in which it was met.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.failures.iter().map(Failure::message)
    }

    /// Tells of the damage of a file, and returns how the command ends.
    pub fn tell(self, path: &Path) -> Exit {
        if self.failures.is_empty() {
            return Exit::Done;
        }
        for failure in self.failures {
            failure.tell();
        }
        let what = format!("{}: what is left of the file is shown", shown(path));
        let last = Failure::new(Exit::Damage, what).advise("kv check tells all of the damage");
        last.tell();
        Exit::Damage
    }
}
