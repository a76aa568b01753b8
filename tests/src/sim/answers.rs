//! What servers and whoever stands between answer instead of the truth, or make of it.

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::{
    kinds::{Faults, Kind},
    lies,
};
use crate::random::Random;

/// What becomes of an answer.
#[derive(Debug)]
pub(crate) enum Tampering {
    /// Nothing.
    Nothing,
    /// This instead of asking the store.
    Instead(Response<Vec<u8>>, Truth),
    /// This instead of what the store said.
    After(Response<Vec<u8>>, Truth),
    /// What the store said, changed.
    Changed(fn(&mut Response<Vec<u8>>, &mut Random), Truth),
    /// What a read was answered with before.
    Stale,
}

/// Whether a claimant may believe it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Truth {
    /// It says nothing wrong about the record.
    Honest,
    /// It does.
    Lie,
}

/// Draws what becomes of the answer to `request`.
pub(crate) fn draw(
    faults: &Faults,
    random: &mut Random,
    request: &Request<Vec<u8>>,
    is_ours: bool,
) -> Tampering {
    let kinds = [
        Kind::Refusals,
        Kind::Busy,
        Kind::Errors,
        Kind::Dates,
        Kind::StaleReads,
        Kind::Lies,
    ];
    for kind in kinds {
        if !faults.has(kind) || !random.chance(faults.tampering) {
            continue;
        }
        let is_read = request.method() == Method::GET;
        return match kind {
            Kind::Refusals => refusal(random, is_read),
            Kind::Busy => Tampering::Instead(busy(random), Truth::Honest),
            Kind::Errors => error(random),
            Kind::Dates => Tampering::Changed(date, Truth::Honest),
            Kind::StaleReads if is_read && random.chance(30) => Tampering::Stale,
            Kind::Lies if is_ours => lies::draw(random, request),
            _ => Tampering::Nothing,
        };
    }
    Tampering::Nothing
}

fn refusal(random: &mut Random, is_read: bool) -> Tampering {
    let (code, reason) = match random.between(0, 10) {
        0 => (400, "BadRequest"),
        1 => (401, "Unauthorized"),
        2 | 3 => (403, "Forbidden"),
        4 => (404, "NotFound"),
        5 => (406, "NotAcceptable"),
        6 => (409, "Conflict"),
        7 => (410, "Expired"),
        8 => (413, "RequestEntityTooLarge"),
        9 => (422, "Invalid"),
        _ => {
            let response = Response::builder()
                .status(StatusCode::FOUND)
                .header(header::LOCATION, "https://elsewhere/")
                .body(Vec::new());
            return Tampering::Instead(response.unwrap_or_default(), Truth::Honest);
        }
    };
    // That there is no record, said of a read, is a statement about the record.
    let truth = if is_read && code == 404 {
        Truth::Lie
    } else {
        Truth::Honest
    };
    Tampering::Instead(status(code, reason), truth)
}

fn busy(random: &mut Random) -> Response<Vec<u8>> {
    let text = b"Too many requests, please try again later.\n".to_vec();
    let mut response = Response::new(text);
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let after = match random.between(0, 6) {
        0 => "0",
        1 | 2 => "1",
        3 => "5",
        4 => "99999999999999999999999",
        5 => "86400",
        _ => "Wed, 21 Oct 2026 07:28:00 GMT",
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if !random.chance(20) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(after));
    }
    response
}

fn error(random: &mut Random) -> Tampering {
    let (code, reason) = match random.between(0, 4) {
        0 => (500, "InternalError"),
        1 => (503, "ServiceUnavailable"),
        2 => (504, "Timeout"),
        3 => (502, ""),
        _ => {
            let mut response = Response::new(b"apiserver is shutting down".to_vec());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            let after = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, after);
            return Tampering::Instead(response, Truth::Honest);
        }
    };
    let response = status(code, reason);
    if random.chance(50) {
        Tampering::After(response, Truth::Honest)
    } else {
        Tampering::Instead(response, Truth::Honest)
    }
}

fn date(response: &mut Response<Vec<u8>>, random: &mut Random) {
    let headers = response.headers_mut();
    let date = match random.between(0, 3) {
        0 => {
            headers.remove(header::DATE);
            return;
        }
        1 => "Sunday, 06-Nov-94 08:49:37 GMT",
        2 => "Fri Nov 20 08:49:37 2026",
        _ => "Thu, 20 Nov 2036 00:00:00 GMT",
    };
    headers.append(header::DATE, HeaderValue::from_static(date));
}

/// A `Status` with this code.
pub(crate) fn status(code: u16, reason: &str) -> Response<Vec<u8>> {
    let body: Value = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "code": code,
        "message": "told so by the simulation",
    });
    let mut response = Response::new(body.to_string().into_bytes());
    if let Ok(code) = StatusCode::from_u16(code) {
        *response.status_mut() = code;
    }
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
