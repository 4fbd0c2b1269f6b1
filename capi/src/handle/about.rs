//! What messages say of handles: the file that a call was about, and why a handle is refused.
//!
//! All of this runs after a call has failed, and whatever the call did with its handle has ended or is still under way
//! on another thread. So nothing here waits, locks or changes anything: what cannot be seen at once is left out of the
//! message.

use crate::border::error::{About, Remembered};
use crate::border::status::{Failure, KV_BAD_HANDLE};
use crate::handle::objects::{DbHandle, Object, HANDLES};
use crate::handle::token::{Kind, Token};
use std::borrow::Cow;
use std::ffi::CString;

/// The handle that a call was given, for the message about its failure.
#[derive(Clone, Copy)]
pub(crate) struct AboutHandle(Token);

impl About for AboutHandle {
    fn with_path(self, write: &mut dyn FnMut(&[u8])) {
        with_path(self.0, write);
    }

    fn remembered(self) -> Option<Remembered> {
        Some(Remembered {
            handle: self.0.bits(),
            with_path: |handle, write| with_path(Token::from_bits(handle), write),
        })
    }

    fn why_refused(self, handle: usize, wanted: u8) -> Cow<'static, str> {
        why_refused(handle, wanted)
    }
}

/// Names the handle that a call was given, for the message about its failure.
#[inline(always)]
pub(crate) fn about<T>(handle: *const T) -> AboutHandle {
    AboutHandle(Token::of(handle))
}

/// Does as [`about`] for a call that ends what stands behind the handle: the database is looked for beforehand.
#[inline]
pub(crate) fn about_database_of<T>(handle: *const T) -> AboutHandle {
    AboutHandle(HANDLES.root(Token::of(handle)))
}

/// Names the file of a database in a failure of a call that has ended what stood behind its handle.
#[cold]
pub(crate) fn of_database(failure: Failure, database: Token) -> Failure {
    let mut named = None;
    with_path(database, &mut |path| named = CString::new(path).ok());
    match named {
        Some(path) => Failure::OfFile(Box::new((path, failure))),
        None => failure,
    }
}

/// Names the parameter in the refusal of a transaction, for calls that take two of them.
#[cold]
pub(crate) fn of_parameter(failure: Failure, name: &str) -> Failure {
    match failure {
        Failure::Refused(handle, wanted) => {
            let why = why_refused(handle, wanted);
            Failure::Here(KV_BAD_HANDLE, format!("`{name}`: {why}").into())
        }
        Failure::Here(status, message) => Failure::Here(status, format!("`{name}`: {message}").into()),
        other => other,
    }
}

/// Gives the path of the database that a handle belongs to to `write`, if it can be had at once.
fn with_path(handle: Token, write: &mut dyn FnMut(&[u8])) {
    let database = HANDLES.root(handle);
    let mut tell = |database: &DbHandle| match database.path.to_bytes() {
        [] => write(b"(database in memory)"),
        path => write(path),
    };
    if let Some(shared) = HANDLES.share_counted_at_once(database, Kind::Db) {
        if let Ok(database) = shared.object().db() {
            tell(database);
        }
    } else if let Some(Object::Db(database)) = HANDLES.of_parent_process(database, Kind::Db) {
        tell(database);
    }
}

/// Says which of the ways of being wrong it is.
fn why_refused(handle: usize, wanted: u8) -> Cow<'static, str> {
    let (wanted, token) = (Kind::from_number(wanted), Token::from_bits(handle));
    let (name, maker) = wanted.type_and_maker();
    if token == Token::NONE {
        return format!("bad handle: it is NULL; give the {name} that {maker}() answered").into();
    }
    let here = match HANDLES.kind_of(token) {
        Ok(kind) => kind,
        Err(true) if wanted == Kind::Diff => {
            let text =
                "bad handle: it was closed, or one of its transactions has ended, before this call; a difference ends \
                        with the first of its two transactions";
            return Cow::Borrowed(text);
        }
        Err(true) => {
            let text = "bad handle: it was closed, or has ended, before this call; use a handle only until then";
            return Cow::Borrowed(text);
        }
        Err(false) => {
            return format!(
            "bad handle: {handle:#x} is no handle of this library, or one of another copy of it in this process; give \
                 the {name} that {maker}() answered"
        )
            .into()
        }
    };
    let (other, _) = here.type_and_maker();
    match here {
        Kind::RetiredRead | Kind::RetiredCursor | Kind::RetiredDiff => format!(
            "bad handle: the database of this {other} was closed; nothing can be done with it but to end the transaction"
        )
        .into(),
        Kind::Closing | Kind::Retiring | Kind::Free => "bad handle: another thread is closing it; use a handle only until then".into(),
        _ if other == name => "bad handle: another thread closed it, or made it, during this call".into(),
        _ => format!("bad handle: it is a {other}; give a {name}, as {maker}() answers it").into(),
    }
}
