//! The book of one account, as the sources that share it reach it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::base::secret::Secret;
use crate::base::sync::lock;
use crate::policy::book::Book;
use crate::types::key::StoreKey;

/// A book, and the number that stands for a source's secret in it.
#[derive(Clone, Default)]
pub(crate) struct AccountBook {
    book: Arc<Mutex<Book>>,
    secret: u64,
}

impl AccountBook {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    pub(crate) fn secret(&self) -> u64 {
        self.secret
    }
}

/// One book per account, for a cache in which an account may have several secrets.
#[derive(Default)]
pub(crate) struct Books {
    books: Mutex<HashMap<StoreKey, Weak<Mutex<Book>>>>,
    hasher: RandomState,
}

impl Books {
    pub(crate) fn of(&self, account: &StoreKey, secret: &Secret) -> AccountBook {
        let mut books = lock(&self.books);
        // Those that nobody uses any more go before the map would grow.
        if books.len() == books.capacity() {
            books.retain(|_, book| book.strong_count() > 0);
        }
        let known = books.get(account).and_then(Weak::upgrade);
        let book = known.unwrap_or_else(|| {
            let book = Arc::default();
            books.insert(account.clone(), Arc::downgrade(&book));
            book
        });
        AccountBook { book, secret: self.hasher.hash_one(secret.expose()) }
    }
}
