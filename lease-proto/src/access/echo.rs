//! What a server or a proxy sends back of the credentials that it was sent.

use http::{HeaderMap, HeaderValue, Response};
use serde_json::Value;

use super::{Secret, base64};

/// The credentials of a request, to be blotted out where its answer repeats them.
///
/// There are servers that quote what they refuse, and what stands in between may send back all that it was sent. The drivers
/// blot out what they hand on, so that no message of an error has it.
///
/// ```
/// use lease_proto::access::{Echo, Secret, bearer};
///
/// let echo = Echo::of(&bearer(&Secret::from("s3cr3t-t0k3n"))?);
/// let mut said = b"s3cr3t-t0k3n is nobody's".to_vec();
/// echo.blot(&mut said);
/// assert_eq!(said, b"************ is nobody's");
/// # Ok::<(), lease_proto::access::InvalidToken>(())
/// ```
#[derive(Clone, Debug)]
pub struct Echo(Vec<Secret>);

impl Echo {
    /// Takes them from the header that they are sent in. A password is looked for as it is sent, and as it is.
    pub fn of(authorization: &HeaderValue) -> Self {
        let whole = authorization.as_bytes();
        let space = whole.iter().position(|byte| *byte == b' ');
        let (scheme, bare) = whole.split_at(space.map_or(0, |at| at + 1));
        let mut secrets = vec![Secret::new(whole)];
        let mut add = |bare: &[u8]| {
            if bare.len() >= SHORTEST {
                secrets.push(Secret::new(bare));
            }
        };
        add(bare);
        if scheme.eq_ignore_ascii_case(b"Basic ")
            && let Some(pair) = base64::decode(bare)
        {
            let colon = pair.expose().iter().position(|byte| *byte == b':');
            add(&pair.expose()[colon.map_or(0, |at| at + 1)..]);
        }
        Self(secrets)
    }

    /// Puts asterisks in their place, as many as they have bytes.
    pub fn blot(&self, bytes: &mut [u8]) {
        for secret in self
            .0
            .iter()
            .map(Secret::expose)
            .filter(|it| !it.is_empty())
        {
            let mut at = 0;
            while let Some(window) = bytes.get_mut(at..at + secret.len()) {
                if window == secret {
                    window.fill(b'*');
                    at += secret.len();
                } else {
                    at += 1;
                }
            }
        }
    }

    /// Does so in the headers of an answer, and in its body where that tells of a failure: what was asked for is left as it is.
    pub fn blot_answer(&self, answer: &mut Response<Vec<u8>>) {
        self.blot_headers(answer.headers_mut());
        if !answer.status().is_success() {
            self.blot_refusal(answer.body_mut());
        }
    }

    /// Does so in headers.
    pub fn blot_headers(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            let mut bytes = value.as_bytes().to_vec();
            self.blot(&mut bytes);
            if bytes != value.as_bytes()
                && let Ok(blotted) = HeaderValue::from_bytes(&bytes)
            {
                *value = blotted;
            }
        }
    }

    /// Does so in the whole body of an answer that tells of a failure, also where JSON writes a letter as an escape.
    pub fn blot_refusal(&self, body: &mut Vec<u8>) {
        self.blot(body);
        if let Ok(mut said) = serde_json::from_slice(body)
            && self.blot_json(&mut said)
        {
            *body = said.to_string().into_bytes();
        }
    }

    /// Returns whether there was any.
    fn blot_json(&self, said: &mut Value) -> bool {
        match said {
            Value::String(text) => {
                let mut bytes = text.clone().into_bytes();
                self.blot(&mut bytes);
                let is_there = bytes != text.as_bytes();
                if is_there {
                    // A secret may end within a letter: what is left of that is none.
                    *text = String::from_utf8_lossy(&bytes).into_owned();
                }
                is_there
            }
            Value::Array(all) => all
                .iter_mut()
                .fold(false, |found, it| self.blot_json(it) | found),
            Value::Object(all) => {
                let taken = std::mem::take(all);
                let mut found = false;
                for (name, mut value) in taken {
                    let mut name = Value::String(name);
                    found |= self.blot_json(&mut name) | self.blot_json(&mut value);
                    if let Value::String(name) = name {
                        all.insert(name, value);
                    }
                }
                found
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

/// What is shorter is looked for beside its scheme alone: it would be found in words that have nothing to do with it.
const SHORTEST: usize = 8;

#[cfg(test)]
mod tests {
    use super::super::{Basic, bearer};
    use super::*;

    fn blotted(authorization: &HeaderValue, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        Echo::of(authorization).blot(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_is_short_is_found_beside_its_scheme_alone() {
        let short = bearer(&Secret::from("abc")).unwrap();
        let said = blotted(&short, "abc: Bearer abc, Bearer ab");
        assert_eq!(said, "abc: **********, Bearer ab");
        let long = bearer(&Secret::from("canary-1")).unwrap();
        let said = blotted(&long, "canary-1canary-1 canary-");
        assert_eq!(said, "**************** canary-");
    }

    #[test]
    fn a_password_is_found_as_it_is_sent_and_as_it_is() {
        let basic = Basic {
            username: "Aladdin".to_owned(),
            password: Secret::from("open sesame"),
        };
        let header = basic.header().unwrap();
        let said = blotted(&header, "QWxhZGRpbjpvcGVuIHNlc2FtZQ== is open sesame");
        assert_eq!(said, format!("{} is ***********", "*".repeat(28)));
        assert!(!format!("{:?}", Echo::of(&header)).contains("sesame"));
    }

    #[test]
    fn what_json_writes_in_escapes_is_found() {
        let echo = Echo::of(&bearer(&Secret::from("abCD/ef+gh==")).unwrap());
        let mut body =
            br#"{"reason":"abCD\/ef+gh\u003d=","details":[{"abCD\/ef+gh==":1,"ok":"abCD"}]}"#
                .to_vec();
        echo.blot_refusal(&mut body);
        let said: Value = serde_json::from_slice(&body).unwrap();
        let stars = "*".repeat(12);
        assert_eq!(
            said,
            serde_json::json!({"reason": stars, "details": [{stars.as_str(): 1, "ok": "abCD"}]})
        );
    }

    #[test]
    fn of_an_answer_the_headers_are_blotted_and_what_is_said_of_a_failure() {
        let echo = Echo::of(&bearer(&Secret::from("canary-1")).unwrap());
        for (status, body) in [(200, "canary-1"), (401, "********")] {
            let mut answer = Response::builder()
                .status(status)
                .header("Content-Type", "text/canary-1")
                .header("Date", "today")
                .body(b"canary-1".to_vec())
                .unwrap();
            echo.blot_answer(&mut answer);
            assert_eq!(answer.headers()["content-type"], "text/********");
            assert_eq!(answer.headers()["date"], "today");
            assert_eq!(answer.body(), body.as_bytes(), "{status}");
        }
    }
}
