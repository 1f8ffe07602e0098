//! `paytoken status`: what the shared store says, for people and, as JSON, for programs.

use std::time::{Duration, UNIX_EPOCH};

use paytoken::{Provider, StoredStatus};
use serde_json::{Value, json};

use crate::arguments::Options;
use crate::exit::Failure;
use crate::{account, print, store};

pub(crate) fn show(providers: &[Provider], options: &Options) -> Result<(), Failure> {
    let Some(store) = store(options)? else {
        return Err(Failure::Usage("status: there is nothing to tell without a store".into()));
    };
    let mut lines = String::new();
    let mut values = Vec::new();
    for &provider in providers {
        match account(provider, options) {
            Ok(account) => {
                let status = account.stored_status(&store)?;
                lines += &line(&status);
                values.push(value(&status));
            }
            // Of all three, some are usually not set up.
            Err(error) if providers.len() > 1 => {
                lines += &format!("{provider:<14} not set up ({error})\n");
                values.push(json!({"provider": provider.to_string(), "configured": false}));
            }
            Err(error) => return Err(error.into()),
        }
    }
    match options.json {
        true => print(&format!("{:#}\n", Value::Array(values))),
        false => print(&lines),
    }
}

fn line(status: &StoredStatus) -> String {
    let mut text = format!("{:<14} ", status.provider.to_string());
    text += &match &status.token {
        Some(token) if token.remaining.is_zero() => {
            format!("token ended {} ago", spoken(token.age))
        }
        Some(token) => {
            format!("token good for {}, {} old", spoken(token.remaining), spoken(token.age))
        }
        None if status.was_revoked => "no token: the API rejected the last one".into(),
        None => "no token".into(),
    };
    if let (Some(kind), Some(left)) = (status.last_error, status.blocked_for) {
        text += &format!("; refused ({kind:?}), not asked again for {}", spoken(left));
    }
    text + "\n"
}

fn value(status: &StoredStatus) -> Value {
    let seconds = |time: Duration| time.as_secs_f64();
    json!({
        "provider": status.provider.to_string(),
        "configured": true,
        "token": status.token.as_ref().map(|token| json!({
            "age_seconds": seconds(token.age),
            "remaining_seconds": seconds(token.remaining),
            "expires_at": token.expires_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        })),
        "rejected_by_api": status.was_revoked,
        "last_error": status.last_error.map(|kind| format!("{kind:?}")),
        "blocked_for_seconds": status.blocked_for.map(seconds),
    })
}

fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
