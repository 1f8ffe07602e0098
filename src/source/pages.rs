//! Header, rustdoc, help and page take their numbers from the constants.

use super::builder::{CONNECT_TIMEOUT, MOST_RETRIES, RETRIES, TIMEOUT};
use crate::flight::slot::LOOK_MAY_TAKE;
use crate::store::{FileStore, Store as _};

#[test]
fn the_header_and_the_pages_say_the_same_numbers() {
    let header = include_str!("../../capi/include/paytoken.h").replace("\n * ", " ");
    let rustdoc =
        [include_str!("builder.rs"), include_str!("mod.rs"), include_str!("../store/mod.rs")];
    let rustdoc = rustdoc.concat();
    let rustdoc = rustdoc.replace("\n    /// ", " ");
    let page = include_str!("../../docs/safe-use.md");
    let help = include_str!("../../cli/src/command_line/definition.rs");
    let [time, connect] = [TIMEOUT, CONNECT_TIMEOUT].map(|time| time.as_secs());
    let directory = FileStore::open(std::env::temp_dir().join("paytoken-numbers")).unwrap();
    let both = (directory.look_every() + LOOK_MAY_TAKE).as_secs_f32();
    let [look, more] = [directory.look_every(), LOOK_MAY_TAKE].map(|time| time.as_millis());
    for (text, says) in [
        (&*header, format!("a store's server may add seconds. Default {time},000 ms; not 0")),
        (&header, format!("proxy, TLS. Default {connect},000 ms; not 0")),
        (&header, format!("is retried. Default {RETRIES}, at most {MOST_RETRIES}.")),
        (&header, format!(" s ({both} s with a directory) */")),
        (&header, format!("one call in {look} ms with a directory")),
        (&rustdoc, format!("may add seconds of its own. Default {time} s.")),
        (&rustdoc, format!("timeout). Default {connect} s.")),
        (&rustdoc, format!("timeout). Default {RETRIES}, at most {MOST_RETRIES}. A")),
        (&rustdoc, format!("and {more} ms ({both} s with a directory, ")),
        (&rustdoc, format!("asks for the stamp: every {look} ms, unless a store")),
        (&rustdoc, format!("(after {more} ms without one, other callers ask too)")),
        (page, format!("within `timeout` ({time} s unless set)")),
        (help, format!("each step of connecting to the provider (default: {connect}s)")),
    ] {
        assert!(text.contains(&says), "{says}");
    }
}
