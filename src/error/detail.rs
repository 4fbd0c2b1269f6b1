//! The circumstances of a failure: what was being done, with which file, and what the system said.

use super::damage::{absolute, Prefix};
use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::Path;

/// The circumstances of a failure: what was being done or is wrong, with which file, and what the system said.
#[derive(Debug)]
pub struct Detail {
    pub(super) what: Cow<'static, str>,
    pub(super) file: Option<Box<Path>>,
    source: Option<io::Error>,
    pub(super) foreign: Foreign,
}

/// What a file is that is no database, as far as what to do next depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Foreign {
    /// Something else, whatever that is.
    #[default]
    Other,
    /// A file without content, which can become a database.
    Empty,
    /// A file whose head tells nothing. It may have been a database.
    Headless,
    /// The shared memory that lies beside a database while that is open.
    Memory,
}

impl Detail {
    /// Returns what is wrong with `file`.
    #[cold]
    pub(crate) fn of_file(what: impl Into<Cow<'static, str>>, file: &Path, source: Option<io::Error>) -> Box<Detail> {
        Box::new(Detail {
            what: what.into(),
            file: Some(absolute(file)),
            source,
            foreign: Foreign::Other,
        })
    }

    /// Returns what the system said, and `what` about it.
    #[cold]
    pub(crate) fn system(what: impl Into<Cow<'static, str>>, source: io::Error) -> Box<Detail> {
        Box::new(Detail {
            what: what.into(),
            file: None,
            source: Some(source),
            foreign: Foreign::Other,
        })
    }

    /// Returns what a file is that is no database.
    #[cold]
    pub(crate) fn foreign(what: impl Into<Cow<'static, str>>, foreign: Foreign) -> Box<Detail> {
        let mut detail: Box<Detail> = what.into().into();
        detail.foreign = foreign;
        detail
    }

    /// Returns the same circumstances, seen as the reason for something else.
    #[cold]
    pub(crate) fn after(mut self: Box<Self>, what: &str) -> Box<Detail> {
        self.what = match self.what.is_empty() {
            true => what.to_string().into(),
            false => format!("{what}: {}", self.what).into(),
        };
        self
    }

    /// Returns the same circumstances, and something else that is so.
    #[cold]
    pub(crate) fn beside(mut self: Box<Self>, what: &str) -> Box<Detail> {
        self.what = match self.what.is_empty() {
            true => what.to_string().into(),
            false => format!("{} ({what})", self.what).into(),
        };
        self
    }

    /// Returns the file in question with a colon behind it, as messages begin; nothing if it is not known.
    pub(super) fn prefix(&self) -> impl Display + '_ {
        Prefix(self.file.as_deref())
    }

    /// Returns the number of what the system said.
    pub(super) fn errno(&self) -> Option<i32> {
        self.source.as_ref()?.raw_os_error()
    }

    /// Returns what the system said, if it was asked.
    pub fn system_error(&self) -> Option<&io::Error> {
        self.source.as_ref()
    }
}

/// What happened, without the file.
impl Display for Detail {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) if self.what.is_empty() => source.fmt(f),
            Some(source) => write!(f, "{}: {source}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::ops::Deref for Detail {
    type Target = str;

    fn deref(&self) -> &str {
        &self.what
    }
}

impl From<&'static str> for Box<Detail> {
    fn from(what: &'static str) -> Box<Detail> {
        Cow::Borrowed(what).into()
    }
}

impl From<String> for Box<Detail> {
    fn from(what: String) -> Box<Detail> {
        Cow::<'static, str>::Owned(what).into()
    }
}

impl From<Cow<'static, str>> for Box<Detail> {
    fn from(what: Cow<'static, str>) -> Box<Detail> {
        Box::new(Detail {
            what,
            file: None,
            source: None,
            foreign: Foreign::Other,
        })
    }
}

/// Why a file is not there, unless "no such file" says it all.
pub(super) struct Missing<'a>(pub &'a Detail);

impl Display for Missing<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Missing(detail) = self;
        match detail.errno() {
            Some(libc::ENOENT | libc::ELOOP) if detail.what.is_empty() => Ok(()),
            Some(libc::ENOENT | libc::ELOOP) => write!(f, ": {}", detail.what),
            _ => write!(f, ": {detail}"),
        }
    }
}
