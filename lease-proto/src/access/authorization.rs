//! The `Authorization` header, marked as sensitive.

use std::fmt;

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::Secret;
use super::base64;

/// Makes the header of a bearer token.
///
/// # Errors
///
/// The token is empty, or holds a character that no header may hold.
pub fn bearer(token: &Secret) -> Result<HeaderValue, InvalidToken> {
    if token.is_empty() {
        return Err(InvalidToken { empty: true });
    }
    sensitive(b"Bearer ", token.expose())
}

/// A name and a password.
///
/// ```
/// use lease_proto::access::{Basic, Secret};
///
/// let basic = Basic { username: "proxy".to_owned(), password: Secret::from("open") };
/// let header = basic.header()?;
/// assert!(header.is_sensitive());
/// # Ok::<(), lease_proto::access::InvalidToken>(())
/// ```
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a name and a password, and nothing else"
)]
pub struct Basic {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

impl Basic {
    /// Makes the header.
    ///
    /// # Errors
    ///
    /// None in practice: what is encoded is always a header's text.
    pub fn header(&self) -> Result<HeaderValue, InvalidToken> {
        let mut pair = Zeroizing::new(self.username.clone().into_bytes());
        pair.push(b':');
        pair.extend_from_slice(self.password.expose());
        sensitive(b"Basic ", &Zeroizing::new(base64::encode(&pair)))
    }
}

/// A token is empty or cannot stand in a header. Says nothing of what it is.
///
/// ```
/// use lease_proto::access::{InvalidToken, Secret, bearer};
///
/// let refused: Result<_, InvalidToken> = bearer(&Secret::from("two\nlines"));
/// assert!(refused.is_err_and(|error| !error.to_string().contains("two")));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidToken {
    empty: bool,
}

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.empty {
            "the token is empty"
        } else {
            "the token holds characters that an HTTP header cannot; a token is one line of visible ASCII"
        })
    }
}

impl std::error::Error for InvalidToken {}

fn sensitive(scheme: &[u8], credentials: &[u8]) -> Result<HeaderValue, InvalidToken> {
    let text = Zeroizing::new([scheme, credentials].concat());
    // The header takes them over, and wipes them when the last of its clones is dropped.
    let text = Bytes::from_owner(text);
    let value = HeaderValue::from_maybe_shared(text);
    let mut value = value.map_err(|_| InvalidToken { empty: false })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_marked_as_sensitive_and_not_printed() {
        let token = bearer(&Secret::from("canary-1")).unwrap();
        let basic = Basic {
            username: "Aladdin".to_owned(),
            password: Secret::from("open sesame"),
        };
        let header = basic.header().unwrap();
        assert_eq!(token, "Bearer canary-1");
        assert_eq!(header, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(token.is_sensitive() && header.is_sensitive());
        assert!(!format!("{token:?} {basic:?} {header:?}").contains("canary"));
        assert!(!format!("{basic:?}").contains("sesame"));
    }

    #[test]
    fn a_token_with_a_line_break_is_refused_without_showing_it() {
        let error = bearer(&Secret::from("can\nary")).unwrap_err();
        assert!(!error.to_string().contains("can\n"));
        assert!(error.to_string().contains("one line"), "{error}");
        assert_eq!(
            bearer(&Secret::from("")).unwrap_err().to_string(),
            "the token is empty"
        );
    }
}
