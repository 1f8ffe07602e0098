//! Send Payments: each new token ends the client's one before.

use serde_json::json;

use crate::answer::Answer;
use crate::clock;
use crate::provider::TokenRequest;
use crate::state::Verdict;

pub(crate) fn token(question: &TokenRequest<'_>) -> Answer {
    let Some(credentials) = question.credentials else {
        return question.malformed();
    };
    if question.judge(credentials) != Verdict::Welcome {
        return question.error(401, "wrong clientId or clientSecret");
    }
    let issued = question.issue(credentials);
    Answer::json(
        201,
        &json!({
            "accessToken": issued.token,
            "expiresAt": clock::rfc3339(issued.expires_at_milliseconds),
        }),
    )
}

pub(crate) fn api() -> Answer {
    Answer::json(200, &json!({"accounts": [{"id": "acc-1", "currency": "AUD", "balance": 1250}]}))
}
