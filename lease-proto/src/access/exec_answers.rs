//! What a credential plugin gave, for as long as it is good.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;

use super::rustls::ChangingCertificate;
use super::{ExecCredential, ExecProblem, bearer};

/// What goes with one request to prove who sends it, beside a client certificate.
///
/// ```
/// use lease_proto::access::rustls::Given;
///
/// let nothing = Given::default();
/// assert!(nothing.header.is_none());
/// ```
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "drivers make it of what is no plugin's"
)]
pub struct Given {
    /// The `Authorization` header.
    pub header: Option<HeaderValue>,
    /// Rises with each that a plugin gives; zero of what is not a plugin's.
    pub number: u64,
}

/// What a credential plugin gave, kept while it is good and the server has not refused it.
///
/// Whoever drives the requests runs the plugin where nothing is [known](Self::known), and beside the requests when the next
/// are [due](Self::is_due); each answer is [taken](Self::take). `Debug` shows nothing of what is kept.
///
/// ```
/// use std::{fs, time::SystemTime};
///
/// use lease_proto::access::{ExecCredential, rustls::ExecAnswers};
///
/// let output = br#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t0p"}}"#;
/// let answer = ExecCredential::parse(output, "client.authentication.k8s.io/v1")?;
/// let (mut kept, wall) = (ExecAnswers::default(), SystemTime::now());
/// let given = kept.take(&answer, wall, &|path| fs::read(path)).unwrap();
/// assert!(kept.known(wall).is_some());
///
/// kept.refuse(given.number); // a 401 to what had that number
/// kept.forget_refused();
/// assert!(kept.known(wall).is_none());
/// # Ok::<(), lease_proto::access::ExecCredentialError>(())
/// ```
#[derive(Default)]
pub struct ExecAnswers {
    certificate: ChangingCertificate,
    held: Option<Held>,
    /// How often the plugin has given something, and the latest of that which the server has refused.
    given: u64,
    refused: u64,
}

struct Held {
    given: Given,
    good_until: Option<SystemTime>,
    renew_at: Option<SystemTime>,
}

impl ExecAnswers {
    /// Returns what was given last, if it can be sent still.
    pub fn known(&self, wall: SystemTime) -> Option<&Given> {
        let held = self.held.as_ref()?;
        let lasts = held.good_until.is_none_or(|good_until| wall < good_until);
        lasts.then_some(&held.given)
    }

    /// Returns whether it is time to have the plugin run, so that the next are there while these are good.
    pub fn is_due(&self, wall: SystemTime) -> bool {
        let renew_at = self.held.as_ref().and_then(|held| held.renew_at);
        renew_at.is_some_and(|renew_at| renew_at <= wall)
    }

    /// Returns whether there is nothing, not even what is over.
    pub fn is_empty(&self) -> bool {
        self.held.is_none()
    }

    /// Takes note that the server has refused what has this number, and what came before it.
    pub fn refuse(&mut self, number: u64) {
        self.refused = self.refused.max(number);
    }

    /// Forgets what was refused, before it is sent again. What was got since then stays: of many requests that are refused
    /// together only one has the plugin run.
    pub fn forget_refused(&mut self) {
        let refused = self.refused;
        self.held.take_if(|held| held.given.number <= refused);
    }

    /// Takes what the plugin gave at `wall`, and returns what of it goes with requests; its certificate is that of
    /// [`certificate`](Self::certificate) from then on. `read` gives the content of a file.
    ///
    /// # Errors
    ///
    /// It cannot be used. What was there stays.
    pub fn take(
        &mut self,
        answer: &ExecCredential,
        wall: SystemTime,
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Given, ExecProblem> {
        let header = answer.token.as_ref().map(bearer).transpose();
        let header = header.map_err(ExecProblem::InvalidToken)?;
        self.certificate
            .set(answer.client_certificate.as_ref(), read)
            .map_err(|error| ExecProblem::Certificate(Arc::new(error)))?;
        self.given += 1;
        let given = Given {
            header,
            number: self.given,
        };
        self.held = Some(Held {
            given: given.clone(),
            good_until: answer.good_until(),
            renew_at: answer.renew_at(wall),
        });
        Ok(given)
    }

    /// Returns the certificate that connections present: the same one, however often it changes.
    pub fn certificate(&self) -> ChangingCertificate {
        self.certificate.clone()
    }
}

impl fmt::Debug for ExecAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (given, refused) = (self.given, self.refused);
        write!(f, "ExecAnswers({given} given, {refused} refused)")
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const V1: &str = "client.authentication.k8s.io/v1";

    fn take(kept: &mut ExecAnswers, status: &str) -> Result<Given, ExecProblem> {
        let read = |_: &Path| Err(io::ErrorKind::NotFound.into());
        kept.take(&answer(status), at(0), &read)
    }

    fn answer(status: &str) -> ExecCredential {
        let text = format!(r#"{{"apiVersion":"{V1}","kind":"ExecCredential","status":{status}}}"#);
        ExecCredential::parse(text.as_bytes(), V1).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_given_is_renewed_ahead_and_not_sent_when_it_is_over() {
        let mut kept = ExecAnswers::default();
        assert!(kept.is_empty() && !kept.is_due(at(0)) && kept.known(at(0)).is_none());
        let minute = r#"{"token":"t","expirationTimestamp":"1970-01-01T00:01:00Z"}"#;
        take(&mut kept, minute).unwrap();
        assert!(kept.known(at(0)).is_some() && !kept.is_due(at(0)));
        assert!(kept.known(at(49)).is_some() && kept.is_due(at(49)));
        assert!(kept.known(at(60)).is_none() && !kept.is_empty());
    }

    #[test]
    fn what_was_got_since_a_refusal_stays() {
        let mut kept = ExecAnswers::default();
        let first = take(&mut kept, r#"{"token":"first"}"#).unwrap();
        let second = take(&mut kept, r#"{"token":"second"}"#).unwrap();
        kept.refuse(first.number);
        kept.forget_refused();
        assert_eq!(kept.known(at(0)).map(|it| it.number), Some(second.number));
        kept.refuse(second.number);
        assert!(kept.known(at(0)).is_some(), "nobody has asked for others");
        kept.forget_refused();
        assert!(kept.is_empty());
    }

    #[test]
    fn what_cannot_be_used_leaves_what_was_there() {
        let mut kept = ExecAnswers::default();
        take(&mut kept, r#"{"token":"canary"}"#).unwrap();
        let version = kept.certificate().version();
        let broken = take(&mut kept, r#"{"token":"two\nlines"}"#);
        assert!(matches!(broken, Err(ExecProblem::InvalidToken(_))));
        let broken = r#"{"clientCertificateData":"C","clientKeyData":"K"}"#;
        let broken = take(&mut kept, broken);
        assert!(matches!(broken, Err(ExecProblem::Certificate(_))));
        assert_eq!(kept.known(at(0)).map(|it| it.number), Some(1));
        assert_eq!(kept.certificate().version(), version);
        assert!(!format!("{kept:?}").contains("canary"));
    }
}
