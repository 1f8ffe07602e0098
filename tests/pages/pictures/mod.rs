//! The pictures of `docs/pictures`, drawn from the facts. `UPDATE_DOCS=1 cargo test --test pages`
//! draws them again.

mod life;
mod stores;
mod svg;
mod unauthorized;

use std::fs;

use crate::root;

#[test]
fn the_pictures_are_those_that_the_facts_draw() {
    for (name, picture) in [
        ("token-life", life::draw()),
        ("stores", stores::draw()),
        ("unauthorized", unauthorized::draw()),
    ] {
        let path = root().join(format!("docs/pictures/{name}.svg"));
        if std::env::var("UPDATE_DOCS").as_deref() == Ok("1") {
            fs::write(&path, &picture).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == picture,
            "{name}.svg is not what is drawn now: UPDATE_DOCS=1 cargo test --test pages"
        );
    }
}
