//! The address of an API server, parsed.

use std::fmt;
use std::net::IpAddr;

use http::Uri;

use super::ServerUrlError;

/// The address of an API server: scheme, host, port, and the path that its API starts at.
///
/// `https` always; `http` only to this machine (`localhost`, `127.0.0.0/8`, `::1`), because a token that goes over
/// plain http belongs to everybody on the way. [`ServerUrl::parse_plain_http`] is for those who know better.
///
/// ```
/// use lease_proto::access::ServerUrl;
///
/// let server = ServerUrl::parse("https://rancher.example/k8s/clusters/c-1")?;
/// let uri = server.absolute("/apis/coordination.k8s.io/v1/leases").unwrap();
/// assert_eq!(uri.path(), "/k8s/clusters/c-1/apis/coordination.k8s.io/v1/leases");
/// # Ok::<(), lease_proto::access::ServerUrlError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerUrl {
    https: bool,
    /// Without the brackets of IPv6.
    host: String,
    port: u16,
    /// Empty, or starts with `/` and does not end with one.
    base_path: String,
}

impl ServerUrl {
    /// Parses `https://host`, with a port (default 443) and a base path where there is one; `http://` only to this machine.
    ///
    /// # Errors
    ///
    /// Says which part is missing or too much. A URL with a name and a password in it is refused and not repeated.
    pub fn parse(text: &str) -> Result<Self, ServerUrlError> {
        let url = Self::parse_plain_http(text)?;
        if url.https || url.is_loopback() {
            return Ok(url);
        }
        Err(ServerUrlError::PlainHttp {
            url: text.trim().to_owned(),
        })
    }

    /// Parses as [`ServerUrl::parse`] does, and takes `http://` (default port 80) to anywhere.
    ///
    /// # Errors
    ///
    /// As [`ServerUrl::parse`], but for plain http.
    pub fn parse_plain_http(text: &str) -> Result<Self, ServerUrlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ServerUrlError::Empty);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            // What stands before an `@` may be a password.
            let guess = text.rsplit('@').next().unwrap_or(text);
            if let Some((scheme, rest)) = guess.split_once(':')
                && ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str())
                && !rest.starts_with(|first: char| first.is_ascii_digit())
            {
                return Err(ServerUrlError::Slashes {
                    scheme: scheme.to_owned(),
                });
            }
            return Err(ServerUrlError::NoScheme {
                url: up_to_the_path(guess).to_owned(),
            });
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        // Wherever it stands: a password with a slash in it does not end before that.
        if rest.contains('@') {
            return Err(ServerUrlError::UserInfo);
        }
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => {
                return Err(ServerUrlError::UnknownScheme {
                    scheme: scheme.to_owned(),
                });
            }
        };
        if rest.contains(['?', '#']) {
            return Err(ServerUrlError::Query {
                url: up_to_the_path(text).to_owned(),
            });
        }
        let invalid = |reason| ServerUrlError::Invalid {
            url: text.to_owned(),
            reason,
        };
        if authority.starts_with('[') && authority.contains('%') {
            return Err(invalid(
                "an address with a zone (what stands after the %) is not supported; give a name, or an address without one",
            ));
        }
        let uri: Uri = text
            .parse()
            .map_err(|_| invalid("it does not parse as a URL"))?;
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_ascii_lowercase();
        if host.is_empty() {
            return Err(invalid("there is no host in it"));
        }
        let port = match uri.port() {
            Some(port) if port.as_u16() == 0 => return Err(invalid("a port is 1 to 65535")),
            Some(port) => port.as_u16(),
            None if authority.ends_with(':') => {
                return Err(invalid("a port is missing behind the colon"));
            }
            // The parser reads a port that is no number or too large as none at all.
            None if has_port(authority) => return Err(invalid("a port is 1 to 65535")),
            None if https => 443,
            None => 80,
        };
        Ok(Self {
            https,
            host,
            port,
            base_path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Tells whether it is `https`.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host: a name or an address, without the brackets of IPv6, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path that the API starts at: empty, or starting with `/` and not ending with one.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// Host and port as they stand in a URL: IPv6 in brackets, the port where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        let usual = if self.https { 443 } else { 80 };
        if self.port == usual {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// Tells whether the host is this machine: `localhost`, a name below it, `127.0.0.0/8` or `::1`.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }

    /// Puts the address before a request's path and query.
    ///
    /// # Errors
    ///
    /// The path does not start with `/`, or is no path.
    pub fn absolute(&self, path_and_query: &str) -> Result<Uri, http::Error> {
        Uri::builder()
            .scheme(if self.https { "https" } else { "http" })
            .authority(self.authority())
            .path_and_query(format!("{}{path_and_query}", self.base_path))
            .build()
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.base_path)
    }
}

impl std::str::FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// What stands before query and fragment.
fn up_to_the_path(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

fn has_port(authority: &str) -> bool {
    let after_address = authority.rsplit(']').next().unwrap_or(authority);
    after_address.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (text, shown, host, port, path) in [
            (
                "https://api.example",
                "https://api.example",
                "api.example",
                443,
                "",
            ),
            (
                "https://API.example:6443/",
                "https://api.example:6443",
                "api.example",
                6443,
                "",
            ),
            (
                "https://rancher/k8s/clusters/c-1/",
                "https://rancher/k8s/clusters/c-1",
                "rancher",
                443,
                "/k8s/clusters/c-1",
            ),
            (
                "HTTPS://[fd00::1]:6443",
                "https://[fd00::1]:6443",
                "fd00::1",
                6443,
                "",
            ),
            ("https://[fd00::1]", "https://[fd00::1]", "fd00::1", 443, ""),
            (
                "http://127.0.0.1:8001",
                "http://127.0.0.1:8001",
                "127.0.0.1",
                8001,
                "",
            ),
            ("http://localhost", "http://localhost", "localhost", 80, ""),
            (" https://h:443 ", "https://h", "h", 443, ""),
        ] {
            let url = ServerUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(
                (url.host(), url.port(), url.base_path()),
                (host, port, path),
                "{text}"
            );
        }
    }

    #[test]
    fn a_request_goes_below_the_base_path() {
        let url = ServerUrl::parse("https://[::1]:6443/k8s/c-1").unwrap();
        let uri = url.absolute("/apis/x?watch=true").unwrap();
        assert_eq!(
            uri.to_string(),
            "https://[::1]:6443/k8s/c-1/apis/x?watch=true"
        );
        assert!(url.absolute("no slash").is_err());
    }

    #[test]
    fn plain_http_is_for_this_machine_unless_allowed() {
        for text in [
            "http://localhost:1",
            "http://a.localhost",
            "http://127.9.9.9",
            "http://[::1]:80",
        ] {
            assert!(ServerUrl::parse(text).is_ok(), "{text}");
        }
        for text in [
            "http://10.0.0.1",
            "http://10.0.0.1:80",
            "http://localhost.example",
            "http://[fd00::1]",
            "http://127.0.0.1.example",
        ] {
            let error = ServerUrl::parse(text).unwrap_err();
            assert!(
                matches!(error, ServerUrlError::PlainHttp { .. }),
                "{text}: {error}"
            );
            for said in [text, "allow_plain_http"] {
                assert!(error.to_string().contains(said), "{said} in {error}");
            }
            assert!(ServerUrl::parse_plain_http(text).is_ok());
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_with_what_would_be_right() {
        for (text, message) in [
            (
                "",
                "the server's URL is empty; it is like https://10.0.0.1:6443",
            ),
            (
                "10.0.0.1:6443",
                "the server's URL \"10.0.0.1:6443\" has no scheme; write https://10.0.0.1:6443",
            ),
            (
                "api.example/x",
                "the server's URL \"api.example/x\" has no scheme; write https://api.example/x",
            ),
            (
                "ftp://api",
                "the server's URL starts with \"ftp\"://; write https://",
            ),
            ("https:/localhost", "two slashes after \"https:\""),
            ("HTTP:[::1]:6443/x", "two slashes after \"HTTP:\""),
            ("https:6443", "has no scheme; write https://https:6443"),
            ("https://[fe80::1%25eth0]:6443", "an address with a zone"),
            ("https://[fe80::1%eth0]", "an address with a zone"),
            ("https://", "it does not parse as a URL"),
            ("https://h:0", "a port is 1 to 65535"),
            ("https://h:65536", "65535"),
            ("https://h:", "a port is missing behind the colon"),
            ("https://h:x", "a port is 1 to 65535"),
            ("https://h/?a=b", "up to the path"),
            ("https://h#f", "up to the path"),
            ("https://a b", "does not parse"),
            ("https:///path", "does not parse"),
        ] {
            let error = ServerUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        for text in [
            "https://u:hunter2@host",
            "ftp://u:hunter2@host",
            "u:hunter2@host",
            "https:/u:hunter2@host",
            "hunter2:/@host",
            "http://u:hunter2@h/?a",
        ] {
            let error = ServerUrl::parse(text).unwrap_err();
            assert!(
                !format!("{error} {error:?}").contains("hunter2"),
                "{error:?}"
            );
        }
    }

    #[test]
    fn a_password_with_a_slash_in_it_is_not_repeated() {
        for text in [
            "https://u:p/hunter2@host",
            "https://u:p?hunter2@host",
            "https://u:\0hunter2#@h",
        ] {
            let error = ServerUrl::parse(text).unwrap_err();
            assert_eq!(error, ServerUrlError::UserInfo, "{text}");
        }
    }
}
