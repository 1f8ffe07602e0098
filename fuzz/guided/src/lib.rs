//! What all guided targets do. How to run them: see paytoken-fuzz.

use std::cell::{OnceCell, RefCell};

use paytoken_fuzz::{ALL, Target, examine};

thread_local! {
    static TARGET: OnceCell<RefCell<Box<dyn Target>>> = const { OnceCell::new() };
}

/// Runs an input.
///
/// # Panics
///
/// If it breaks a rule, so that libFuzzer keeps it; if there is no such target.
pub fn hold(name: &str, input: &[u8]) {
    TARGET.with(|target| {
        let target = target.get_or_init(|| RefCell::new(make(name)));
        let (outcome, _) = examine(&mut **target.borrow_mut(), input);
        assert!(outcome.broken.is_empty(), "{name}: {:?}", outcome.broken);
    });
}

fn make(name: &str) -> Box<dyn Target> {
    let known = ALL.iter().find(|(known, _)| *known == name);
    let (_, make) = known.unwrap_or_else(|| panic!("no target is called {name}"));
    make()
}
