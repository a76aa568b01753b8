//! Answers that are mangled or made up: proxies, load balancers, and whatever else speaks HTTP.

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::answers::{Tampering, Truth};
use crate::random::Random;

/// Draws one for the answer to `request`.
pub(crate) fn draw(random: &mut Random, request: &Request<Vec<u8>>) -> Tampering {
    let made_up = |code: u16, kind: &'static str, body: &[u8]| {
        let mut response = Response::new(body.to_vec());
        *response.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
        let kind = HeaderValue::from_static(kind);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    };
    let instead = |response| Tampering::Instead(response, Truth::Honest);
    let changed = |change| Tampering::Changed(change, Truth::Honest);
    match random.between(0, 13) {
        0 => changed(cut_off),
        1 => changed(garble),
        2 => instead(made_up(200, "text/html", b"<html>Welcome to nginx!</html>")),
        3 => instead(made_up(200, "application/vnd.kubernetes.protobuf", b"k8s\0\x0a")),
        4 => instead(made_up(200, "application/json", br#"{"kind":"Status","apiVersion":"v1","status":"Success"}"#)),
        5 => changed(|response, _| member(response, "/kind", &json!("Pod"))),
        6 => changed(|response, _| member(response, "/metadata/name", &json!("follower"))),
        7 => changed(|response, _| member(response, "/metadata/namespace", &json!("elsewhere"))),
        8 => instead(made_up(202, "application/json", b"{}")),
        9 => instead(made_up(204, "application/json", b"")),
        10 => {
            let deep = "[".repeat(100_000);
            instead(made_up(200, "application/json", deep.as_bytes()))
        }
        11 => changed(|response, _| {
            let mut body = std::mem::take(response.body_mut());
            body.splice(0..1, *b"{\"kind\":\"Lease\",");
            *response.body_mut() = body;
        }),
        // The record has been made anew, it seems.
        12 => Tampering::Changed(
            |response, _| {
                let uid = json!("00000000-0000-4000-8000-00000000dead");
                member(response, "/metadata/uid", &uid);
            },
            Truth::Lie,
        ),
        // A proxy that takes a write and says yes.
        _ if request.method() == Method::PUT => {
            instead(made_up(200, "application/json", request.body()))
        }
        _ => Tampering::Nothing,
    }
}

fn cut_off(response: &mut Response<Vec<u8>>, random: &mut Random) {
    let length = u64::try_from(response.body().len()).unwrap_or(0);
    let keep = usize::try_from(random.between(0, length)).unwrap_or(0);
    response.body_mut().truncate(keep);
}

fn garble(response: &mut Response<Vec<u8>>, random: &mut Random) {
    let length = u64::try_from(response.body().len()).unwrap_or(0);
    for _ in 0..random.between(1, 40) {
        let at = usize::try_from(random.between(0, length)).unwrap_or(0);
        if let Some(byte) = response.body_mut().get_mut(at) {
            // Anything but a digit or a letter, so that no other valid record comes of it.
            *byte = *b"{}[]\",:\\\0\xff".get(at % 10).unwrap_or(&0);
        }
    }
}

/// Changes one member of a JSON body.
fn member(response: &mut Response<Vec<u8>>, pointer: &str, to: &Value) {
    if let Ok(mut body) = serde_json::from_slice::<Value>(response.body())
        && let Some(member) = body.pointer_mut(pointer)
    {
        *member = to.clone();
        *response.body_mut() = body.to_string().into_bytes();
    }
}
