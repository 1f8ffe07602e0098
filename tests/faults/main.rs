//! Everything that can go wrong between a program and a token endpoint, one table: for each fault,
//! provider and state of the cache it says what the caller gets, after how many requests, and
//! within what time. The test does each of them and compares; what it saw is `observed.md` beside it, and
//! in short `docs/what-happens-when.md`. With `UPDATE_DOCS=1` it writes both.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, unreachable_pub)] // it is a test
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod cell;
mod clocks;
mod document;
mod expect;
mod server;
mod statuses;
mod table;
mod waits;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cell::{Cell, State};
use expect::Row;

/// Most of a cell's time is waiting, so many are done at once.
const AT_ONCE: usize = 24;

#[test]
fn what_happens_is_what_the_table_says() {
    let rows: Vec<Row> =
        [table::rows(), waits::rows(), statuses::rows()].into_iter().flatten().collect();
    let cells: Vec<(usize, Cell)> = rows
        .iter()
        .enumerate()
        .flat_map(|(index, row)| Cell::all(row).map(move |cell| (index, cell)))
        .collect();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((index, cell)) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = &rows[*index];
                    let (expected, seen) = (cell.expected(row), cell.happens(row));
                    if expected != seen {
                        let (name, Cell { provider, state }) = (&row.name, cell);
                        let line = format!(
                            "{name}, {provider}, {state:?}:\n  table: {expected}\n  seen:  {seen}"
                        );
                        wrong.lock().unwrap().push(line);
                    }
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    println!("{} cells, {} as the table says", cells.len(), cells.len() - wrong.len());
    assert!(wrong.is_empty(), "{} cells are not:\n{}", wrong.len(), wrong.join("\n"));
    let (states, providers) = (State::ALL.len(), paytoken::Provider::ALL.len());
    let missing = (states - 1) * providers;
    assert_eq!(
        states * providers * rows.len(),
        cells.len() + missing,
        "a name look-up has one state"
    );

    for (page, text) in [
        ("docs/what-happens-when.md", document::summary_of(&rows)),
        ("tests/faults/observed.md", document::observed(&rows)),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        if std::env::var("UPDATE_DOCS").as_deref() == Ok("1") {
            fs::write(&path, &text).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{page} is not this table: UPDATE_DOCS=1 cargo test --test faults"
        );
    }
}
