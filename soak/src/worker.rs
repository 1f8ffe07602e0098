//! A worker process: eight threads that share the accounts of a store with all other workers, and
//! tell on stdout what they do. It ends when its stdin does, so none outlives its parent.

use std::io::{BufRead as _, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use paytoken::{Error, Token, TokenSource};
use serde_json::{Value, json};

use crate::LIFETIME;
use crate::chance::Chance;
use crate::line::{Line, Teller, What, forced, now};
use crate::recipe::{Recipe, is_old};

const THREADS: u64 = 8;

/// The one line that a worker gets on stdin, and what it is made of.
pub(crate) fn order(store: &Path, accounts: &[Recipe], wrong: &[Recipe]) -> String {
    let list = |recipes: &[Recipe]| recipes.iter().map(Recipe::to_json).collect::<Vec<_>>();
    let store = store.to_str().expect("a path that is text");
    json!({"store": store, "accounts": list(accounts), "wrong": list(wrong)}).to_string()
}

pub(crate) fn run(number: u64) {
    let mut input = std::io::stdin().lock();
    let mut order = String::new();
    input.read_line(&mut order).expect("stdin can be read");
    let order: Value = serde_json::from_str(&order).expect("an order");
    let store = order["store"].as_str().expect("a store");
    let tell: Teller = Arc::new(|line| {
        // One write for each line: a process that is killed leaves at most one without its end.
        let text = format!("{line}\n");
        if std::io::stdout().lock().write_all(text.as_bytes()).is_err() {
            std::process::exit(1);
        }
    });
    let sources = |list: &Value| -> Arc<[(String, TokenSource)]> {
        let recipes = list.as_array().into_iter().flatten().filter_map(Recipe::from_json);
        let source = |recipe: Recipe| {
            let (tell, id) = (tell.clone(), recipe.id.clone());
            let hook = move |event: &_| {
                if let Some(line) = Line::of_event(&id, event) {
                    tell(line);
                }
            };
            let source = recipe.source(Some(Path::new(store)), hook);
            (recipe.id, source)
        };
        recipes.map(source).collect()
    };
    let (accounts, wrong) = (sources(&order["accounts"]), sources(&order["wrong"]));
    for thread in 0..THREADS {
        let (accounts, wrong, tell) = (accounts.clone(), wrong.clone(), tell.clone());
        let chance = Chance::new(number * THREADS + thread + 100);
        thread::spawn(move || ask_for_ever(&accounts, &wrong, &tell, chance));
    }
    let _ = input.read_to_end(&mut Vec::new());
    std::process::exit(0);
}

fn ask_for_ever(
    accounts: &[(String, TokenSource)],
    wrong: &[(String, TokenSource)],
    tell: &Teller,
    mut chance: Chance,
) {
    loop {
        thread::sleep(Duration::from_millis(10 + chance.below(40)));
        let (id, source) = chance.of(accounts);
        let token = match chance.below(10_000) {
            0..4 => ask(id, tell, || forced(|| source.refresh())),
            4..8 => ask(id, tell, || source.token_valid_for(LIFETIME * 3 / 5)),
            8..1000 => {
                let (id, source) = chance.of(wrong);
                ask(id, tell, || source.token());
                continue;
            }
            _ => ask(id, tell, || source.token()),
        };
        // The API answers 401 to it.
        if let Some(token) = token.filter(is_old)
            && chance.below(500) == 0
            && source.invalidate(&token).is_ok()
        {
            tell(Line::new(id, What::Invalidated { token: token.secret().to_owned() }));
        }
    }
}

fn ask(id: &str, tell: &Teller, get: impl FnOnce() -> Result<Token, Error>) -> Option<Token> {
    let began = now();
    let token = get().ok();
    let what = match &token {
        Some(token) => What::Handed { began, token: token.secret().to_owned() },
        None => What::Nothing,
    };
    tell(Line::new(id, what));
    token
}
