//! Why an answer does not tell what became of its request.

use std::fmt;

use http::{Response, StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;

use crate::{refusal::one_line, wire::Lease};

/// An answer that does not tell whether its request was carried out.
///
/// `Display` says in one line what came, and what the server said where it was the API server that spoke. Of other bodies
/// nothing is repeated, because who stands in between may send back what it was sent, credentials among it.
///
/// ```
/// use http::StatusCode;
/// use lease_proto::Unclear;
///
/// let unclear = Unclear::from(StatusCode::BAD_GATEWAY);
/// assert_eq!(unclear.status(), 502);
/// assert_eq!(unclear.message(), "");
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Unclear {
    status: StatusCode,
    what: What,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum What {
    /// Only the status is known, or is all that matters.
    Nothing,
    /// What a `Status` of the API server says.
    Message(String),
    /// A body of this type, as its header says, which is no Lease.
    NoLease(String),
    /// A Lease, and another one than was asked for, or without what every stored one has.
    OtherLease,
    /// A body longer than this.
    TooLong(usize),
}

impl Unclear {
    /// Reads why from an answer. `limit` is how long its body may be.
    pub(crate) fn new(response: &Response<Vec<u8>>, limit: usize) -> Self {
        let status = response.status();
        let body = response.body();
        let what = if body.len() > limit {
            What::TooLong(limit)
        } else if !status.is_success() {
            message(body).map_or(What::Nothing, What::Message)
        } else if serde_json::from_slice::<Lease>(body).is_ok() {
            What::OtherLease
        } else {
            let header = response.headers().get(CONTENT_TYPE);
            let kind = header.map(|value| one_line(&String::from_utf8_lossy(value.as_bytes())));
            let kind = kind.unwrap_or_default();
            What::NoLease(kind.split(';').next().unwrap_or_default().trim().to_owned())
        };
        Self { status, what }
    }

    /// Returns the status code of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the API server's own words, on one line; empty where it said nothing.
    pub fn message(&self) -> &str {
        match &self.what {
            What::Message(message) => message,
            What::Nothing | What::NoLease(_) | What::OtherLease | What::TooLong(_) => "",
        }
    }
}

/// An answer of which the status is all that matters.
impl From<StatusCode> for Unclear {
    fn from(status: StatusCode) -> Self {
        let what = What::Nothing;
        Self { status, what }
    }
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status;
        match &self.what {
            What::Nothing => write!(f, "the API server gave no usable answer ({status})"),
            What::Message(message) => write!(f, "the API server answered {status}: {message}"),
            What::NoLease(kind) => {
                let kind = if kind.is_empty() { "a body" } else { kind };
                write!(
                    f,
                    "the API server answered {status} with {kind} that is not the lease: is there a login page or a proxy in \
                     between?"
                )
            }
            What::OtherLease => write!(
                f,
                "the API server answered {status} with another lease than was asked for, or with a part of it"
            ),
            What::TooLong(limit) => write!(
                f,
                "the API server answered {status} with more than {limit} bytes, which no lease has: is there a proxy in between?"
            ),
        }
    }
}

/// What the API server says, if it is it that speaks: its `Status` names its kind or, from its filters, says `Failure`.
fn message(body: &[u8]) -> Option<String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Said {
        kind: String,
        status: String,
        message: String,
    }

    let said: Said = serde_json::from_slice(body).ok()?;
    let is_status = said.kind == "Status" || said.status == "Failure";
    Some(one_line(&said.message)).filter(|message| is_status && !message.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1_000;

    fn shown(status: u16, kind: Option<&str>, body: &str) -> String {
        let mut response = Response::builder().status(status);
        if let Some(kind) = kind {
            response = response.header(CONTENT_TYPE, kind);
        }
        let response = response.body(body.as_bytes().to_vec()).unwrap();
        Unclear::new(&response, LIMIT).to_string()
    }

    #[test]
    fn what_came_is_said() {
        let failure =
            r#"{"kind":"Status","status":"Failure","message":"etcdserver: leader\n\u0007changed"}"#;
        let from_a_filter = r#"{"metadata":{},"status":"Failure","message":"Timeout: too slow"}"#;
        for (status, kind, body, expected) in [
            (
                500,
                None,
                failure,
                "the API server answered 500 Internal Server Error: etcdserver: leader changed",
            ),
            (
                504,
                None,
                from_a_filter,
                "the API server answered 504 Gateway Timeout: Timeout: too slow",
            ),
            (
                200,
                Some("text/html; charset=utf-8"),
                "<html>canary</html>",
                "the API server answered 200 OK with text/html that is not the lease: is there a login page or a proxy in \
                 between?",
            ),
            (
                200,
                None,
                "canary",
                "the API server answered 200 OK with a body that is not the lease: is there a login page or a proxy in \
                 between?",
            ),
            (
                503,
                Some("text/html"),
                "<html>canary</html>",
                "the API server gave no usable answer (503 Service Unavailable)",
            ),
            (
                503,
                None,
                r#"{"message":"canary"}"#,
                "the API server gave no usable answer (503 Service Unavailable)",
            ),
        ] {
            assert_eq!(shown(status, kind, body), expected);
        }
        let long = "canary ".repeat(LIMIT);
        let said = shown(200, None, &long);
        assert!(
            said.contains("more than 1000 bytes") && !said.contains("canary"),
            "{said}"
        );
    }

    #[test]
    fn what_the_server_says_is_cut_and_cleaned() {
        let long = format!(
            r#"{{"kind":"Status","message":"\u001b[31m{}"}}"#,
            "x".repeat(900)
        );
        let said = shown(500, None, &long);
        assert!(said.len() < 600 && said.ends_with("..."), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
        let kind = format!("text/{}", "x".repeat(900));
        let said = shown(200, Some(&kind), "");
        assert!(said.len() < 700, "{said}");
    }
}
