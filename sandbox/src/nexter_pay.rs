//! NexterPay: the token is a bare JSON string, and its lifetime only stands inside it.

use serde_json::json;

use crate::answer::Answer;
use crate::provider::TokenRequest;
use crate::state::Verdict;

pub(crate) fn token(question: &TokenRequest<'_>) -> Answer {
    // A client must not send a token here; the real service would judge that token first.
    if question.request.header("authorization").is_some() {
        return question.error(401, "createToken takes no Authorization header");
    }
    let Some(credentials) = question.credentials else {
        return question.malformed();
    };
    match question.judge(credentials) {
        Verdict::WrongCredentials => question.error(400, "wrong userName or password"),
        Verdict::Suspended => question.error(403, "the account is suspended"),
        Verdict::Welcome => Answer::json(200, &json!(question.issue(credentials).token)),
    }
}

pub(crate) fn api() -> Answer {
    Answer::json(200, &json!([{"code": "MX", "name": "Mexico"}, {"code": "PE", "name": "Peru"}]))
}
