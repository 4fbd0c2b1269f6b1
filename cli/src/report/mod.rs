//! The report about a database: one HTML file that shows what `stat`, `tables`, `map` and `readers` tell, with
//! pictures.
//!
//! | file       | subject                                                      |
//! |------------|--------------------------------------------------------------|
//! | `facts`    | what is read of the database                                 |
//! | `lengths`  | how many keys or values have which length                    |
//! | `findings` | what somebody should know, in plain words                    |
//! | `page`     | the sections of the page, in their order                     |
//! | `charts`   | pictures in SVG: lengths, page map, shares                   |
//! | `markup`   | text and numbers as HTML                                     |
//! | `style`    | how the page looks, on light and dark screens                |
//!
//! The page is XML as well as HTML, so that a strict parser can prove it whole. It loads nothing and has no script.

mod charts;
pub mod facts;
mod findings;
mod lengths;
mod markup;
mod page;
mod style;

pub use page::page;
