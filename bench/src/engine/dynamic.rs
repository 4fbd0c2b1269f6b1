//! Engines that come with the system: their functions are found by name in a shared library.

use std::ffi::{c_void, CStr, CString};

/// Opens the first of some shared libraries that is there.
pub fn open(names: &[&str]) -> Result<*mut c_void, String> {
    let mut why = String::new();
    for name in names {
        let name = CString::new(*name).expect("a name without zero bytes");
        // SAFETY: a C string.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if !handle.is_null() {
            return Ok(handle);
        }
        // SAFETY: answers a C string after a failure.
        why = unsafe { CStr::from_ptr(libc::dlerror()) }
            .to_string_lossy()
            .into_owned();
    }
    Err(why)
}

/// A function of a library, or why there is none.
pub fn find(handle: *mut c_void, name: &str) -> Result<*mut c_void, String> {
    let text = CString::new(name).expect("a C name");
    // SAFETY: a handle and a C string.
    let symbol = unsafe { libc::dlsym(handle, text.as_ptr()) };
    if symbol.is_null() {
        return Err(format!("{name} is missing"));
    }
    Ok(symbol)
}

/// Declares the functions of a library that are used: a struct of them, and how it is loaded once.
macro_rules! functions {
    ($names:expr; $(fn $name:ident($($arg:ty),* $(,)?) $(-> $ret:ty)?;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
        }

        /// The library, or why it cannot be used.
        fn library() -> Result<&'static Functions, String> {
            static LIBRARY: std::sync::OnceLock<Result<Functions, String>> = std::sync::OnceLock::new();
            let loaded = LIBRARY.get_or_init(|| {
                let handle = crate::engine::dynamic::open($names)?;
                Ok(Functions {
                    $($name: {
                        let symbol = crate::engine::dynamic::find(handle, stringify!($name))?;
                        // SAFETY: the symbol is this function; its signature is that of the library's header.
                        unsafe {
                            std::mem::transmute::<*mut std::ffi::c_void, unsafe extern "C" fn($($arg),*) $(-> $ret)?>(symbol)
                        }
                    },)*
                })
            });
            loaded.as_ref().map_err(String::clone)
        }

        /// The library, once it is known to be there.
        #[inline]
        fn lib() -> &'static Functions {
            library().expect("it was available")
        }
    };
}
pub(crate) use functions;
