//! What a credential plugin answers.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::{ClientCertificate, Material, Secret};

/// What a credential plugin answered: a token, a certificate, or both.
///
/// ```
/// use lease_proto::access::ExecCredential;
///
/// let output = br#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",
///     "status":{"token":"t0p","expirationTimestamp":"2030-01-01T00:00:00Z"}}"#;
/// let credential = ExecCredential::parse(output, "client.authentication.k8s.io/v1")?;
/// assert!(credential.token.is_some());
/// assert!(credential.good_until() <= credential.expires_at);
/// # Ok::<(), lease_proto::access::ExecCredentialError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExecCredential {
    /// The bearer token.
    pub token: Option<Secret>,
    /// The client certificate with its key.
    pub client_certificate: Option<ClientCertificate>,
    /// When to ask again, by the wall clock. `None`: when the server refuses it.
    pub expires_at: Option<SystemTime>,
}

impl ExecCredential {
    /// Reads what the plugin wrote to its standard output. `api_version` is the one that it was asked for.
    ///
    /// # Errors
    ///
    /// It is no ExecCredential of that version, or holds no credentials. The error repeats nothing of it but its version
    /// and its kind.
    pub fn parse(output: &[u8], api_version: &str) -> Result<Self, ExecCredentialError> {
        let answer: Answer =
            serde_json::from_slice(output).map_err(|error| ExecCredentialError::NotJson {
                line: error.line(),
                column: error.column(),
            })?;
        if answer.kind != "ExecCredential" || answer.api_version != api_version {
            return Err(ExecCredentialError::OtherKind {
                expected: api_version.to_owned(),
                api_version: answer.api_version,
                kind: answer.kind,
            });
        }
        let status = answer.status.unwrap_or_default();
        let client_certificate = match (present(status.certificate), present(status.key)) {
            (Some(certificate), Some(key)) => Some(ClientCertificate {
                certificate: Material::Inline(certificate),
                key: Material::Inline(key),
            }),
            (None, None) => None,
            (Some(_), None) => return Err(ExecCredentialError::Missing("clientKeyData")),
            (None, Some(_)) => return Err(ExecCredentialError::Missing("clientCertificateData")),
        };
        let token = present(status.token);
        if token.is_none() && client_certificate.is_none() {
            return Err(ExecCredentialError::Missing("token"));
        }
        let expires_at = match status.expires {
            Some(text) => Some(
                text.parse::<jiff::Timestamp>()
                    .map(system_time)
                    .map_err(|_| ExecCredentialError::NotATime { text })?,
            ),
            None => None,
        };
        Ok(Self {
            token,
            client_certificate,
            expires_at,
        })
    }
}

impl ExecCredential {
    /// Returns until when requests can be sent with them: they must outlive those.
    pub fn good_until(&self) -> Option<SystemTime> {
        let expires_at = self.expires_at?;
        Some(expires_at.checked_sub(REQUEST).unwrap_or(expires_at))
    }

    /// Returns when to ask for the next, so that they are there while these are good, if these came at `wall`.
    ///
    /// A fifth of their time is left then, but not more than two minutes.
    pub fn renew_at(&self, wall: SystemTime) -> Option<SystemTime> {
        let time = self.expires_at?.duration_since(wall).unwrap_or_default();
        self.good_until()?.checked_sub((time / 5).min(AHEAD))
    }
}

const AHEAD: Duration = Duration::from_secs(120);
/// Longer than requests for Leases take.
const REQUEST: Duration = Duration::from_secs(10);

/// jiff's own conversion needs a part of it that nothing else here does.
fn system_time(time: jiff::Timestamp) -> SystemTime {
    let (since, epoch) = (time.as_duration(), SystemTime::UNIX_EPOCH);
    let time = if since.is_negative() {
        epoch.checked_sub(since.unsigned_abs())
    } else {
        epoch.checked_add(since.unsigned_abs())
    };
    // Where the system has no such time, it is too long ago to matter when it was.
    time.unwrap_or(epoch)
}

/// A credential plugin answered with something that holds no credentials.
///
/// ```
/// use lease_proto::access::{ExecCredential, ExecCredentialError};
///
/// let error = ExecCredential::parse(b"please log in", "client.authentication.k8s.io/v1").unwrap_err();
/// assert_eq!(error, ExecCredentialError::NotJson { line: 1, column: 1 });
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExecCredentialError {
    /// A field of the status is missing.
    Missing(&'static str),
    /// `expirationTimestamp` is no RFC 3339 time.
    NotATime {
        /// What stands there.
        text: String,
    },
    /// It is not JSON, or not of the shape of an ExecCredential.
    NotJson {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// It is another kind, or of another version than was asked for.
    OtherKind {
        /// The version that was asked for.
        expected: String,
        /// The version that came.
        api_version: String,
        /// The kind that came.
        kind: String,
    },
}

impl fmt::Display for ExecCredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(field) => {
                write!(f, "the credential plugin's answer has no status.{field}")
            }
            Self::NotATime { text } => write!(
                f,
                "the credential plugin's status.expirationTimestamp is {text:?}; it must be like 2026-01-31T12:00:00Z"
            ),
            Self::NotJson { line, column } => write!(
                f,
                "the credential plugin's answer is no ExecCredential in JSON (line {line}, column {column})"
            ),
            Self::OtherKind {
                expected,
                api_version,
                kind,
            } => write!(
                f,
                "the credential plugin answered with kind {kind:?} of {api_version:?}; it must be ExecCredential of {expected}"
            ),
        }
    }
}

impl std::error::Error for ExecCredentialError {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
struct Status {
    token: Option<Secret>,
    #[serde(rename = "clientCertificateData")]
    certificate: Option<Secret>,
    #[serde(rename = "clientKeyData")]
    key: Option<Secret>,
    #[serde(rename = "expirationTimestamp")]
    expires: Option<String>,
}

fn present(secret: Option<Secret>) -> Option<Secret> {
    secret.filter(|secret| !secret.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const V1: &str = "client.authentication.k8s.io/v1";

    #[test]
    fn a_token_with_its_expiry_is_read() {
        let found =
            parse(r#"{"token":"canary","expirationTimestamp":"1970-01-01T00:01:40Z"}"#).unwrap();
        assert_eq!(found.token, Some(Secret::from("canary")));
        assert_eq!(
            found.expires_at,
            Some(UNIX_EPOCH + Duration::from_secs(100))
        );
        assert!(!format!("{found:?}").contains("canary"));
    }

    #[test]
    fn an_expiry_may_lie_far_away() {
        let expiry = |text: &str| {
            let status = format!(r#"{{"token":"t","expirationTimestamp":"{text}"}}"#);
            parse(&status).unwrap().expires_at.unwrap()
        };
        let second = Duration::from_secs(1);
        assert_eq!(expiry("1969-12-31T23:59:59Z"), UNIX_EPOCH - second);
        let far = UNIX_EPOCH + Duration::from_secs(253_399_622_400);
        assert_eq!(expiry("9999-12-01T00:00:00Z"), far);
    }

    #[test]
    fn a_certificate_without_a_token_is_read() {
        let found =
            parse(r#"{"token":"","clientCertificateData":"C","clientKeyData":"canary"}"#).unwrap();
        assert_eq!(found.token, None);
        let certificate = found.client_certificate.unwrap();
        assert_eq!(certificate.key, Material::Inline(Secret::from("canary")));
        assert!(!format!("{certificate:?}").contains("canary"));
    }

    #[test]
    fn an_answer_without_credentials_is_an_error_that_names_the_field() {
        for (status, field) in [
            ("{}", "status.token"),
            ("null", "status.token"),
            (r#"{"clientCertificateData":"C"}"#, "status.clientKeyData"),
            (r#"{"clientKeyData":"K"}"#, "status.clientCertificateData"),
            (r#"{"token":"t","expirationTimestamp":"soon"}"#, "\"soon\""),
        ] {
            let error = parse(status).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }

    #[test]
    fn the_next_are_asked_for_before_these_are_over() {
        let credential = |seconds: u64| {
            let mut credential = parse(r#"{"token":"t"}"#).unwrap();
            credential.expires_at = Some(UNIX_EPOCH + Duration::from_secs(seconds));
            credential
        };
        let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(credential(3_600).good_until(), at(3_590));
        assert_eq!(credential(3_600).renew_at(UNIX_EPOCH), at(3_470));
        assert_eq!(credential(60).renew_at(UNIX_EPOCH), at(38));
        let late = UNIX_EPOCH + Duration::from_secs(90);
        assert_eq!(credential(60).renew_at(late), at(50));
        assert_eq!(parse(r#"{"token":"t"}"#).unwrap().renew_at(late), None);
    }

    #[test]
    fn another_kind_or_version_is_refused() {
        let answer =
            br#"{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential"}"#;
        let error = ExecCredential::parse(answer, V1).unwrap_err().to_string();
        assert!(
            error.contains("v1beta1")
                && error.ends_with("ExecCredential of client.authentication.k8s.io/v1")
        );
        assert!(ExecCredential::parse(b"{}", V1).is_err());
    }

    #[test]
    fn what_is_not_json_is_not_repeated() {
        for output in [
            "canary",
            r#"{"status":{"token":{"canary":1}}}"#,
            r#"{"status":"canary"}"#,
            "",
            "\u{0}",
        ] {
            let error = ExecCredential::parse(output.as_bytes(), V1).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
            assert!(error.to_string().contains("line"), "{error}");
        }
    }

    fn parse(status: &str) -> Result<ExecCredential, ExecCredentialError> {
        let answer = format!(
            r#"{{"apiVersion":"{V1}","kind":"ExecCredential","spec":{{}},"status":{status}}}"#
        );
        ExecCredential::parse(answer.as_bytes(), V1)
    }
}
