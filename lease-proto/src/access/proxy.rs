//! A proxy between the client and the API server: which one, and whether at all.

use std::{fmt, net::IpAddr};

use http::{HeaderValue, Uri};

use super::{Basic, InvalidToken, ProxyError, Secret, ServerUrl};

/// A proxy that hands connections on as they are, so that it sees neither requests nor credentials of the API server.
///
/// `Debug` shows no password.
///
/// ```
/// use lease_proto::access::{Proxy, ServerUrl};
///
/// let env = |name: &str| (name == "HTTPS_PROXY").then(|| "http://proxy.example:3128".to_owned());
/// let server = ServerUrl::parse("https://kubernetes.example")?;
/// let proxy = Proxy::from_environment(&server, &env)?.expect("the variable names one");
/// assert_eq!((proxy.host(), proxy.port()), ("proxy.example", 3128));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Proxy {
    kind: ProxyKind,
    /// Without the brackets of IPv6.
    host: String,
    port: u16,
    basic: Option<Basic>,
}

/// What a proxy speaks.
///
/// ```
/// use lease_proto::access::{Proxy, ProxyKind};
///
/// assert_eq!(Proxy::parse("proxy.example")?.kind(), ProxyKind::Http);
/// assert_eq!(Proxy::parse("socks5://localhost")?.kind(), ProxyKind::Socks5);
/// # Ok::<(), lease_proto::access::ProxyError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle every kind")]
pub enum ProxyKind {
    /// HTTP, with the method `CONNECT`.
    Http,
    /// SOCKS 5. It is given the server's name, and finds its address itself.
    Socks5,
}

impl ProxyKind {
    fn usual_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Socks5 => 1080,
        }
    }
}

impl Proxy {
    /// Parses `http://host` or `socks5://host`, with a port (default 80 or 1080), and a name and a password where the proxy
    /// wants them. Without a scheme it is `http`; `socks5h` is the same as `socks5`, as for kubectl.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and repeats nothing in which a password may be.
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "http" => ProxyKind::Http,
            "socks5" | "socks5h" => ProxyKind::Socks5,
            _ => {
                return Err(ProxyError::UnknownScheme {
                    scheme: scheme.to_owned(),
                });
            }
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, authority) = match rest.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, rest),
        };
        let uri: Uri = format!("http://{authority}/")
            .parse()
            .map_err(|_| ProxyError::Invalid)?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let has_port = !authority.ends_with(']') && authority.contains(':');
        let port = match uri.port_u16() {
            Some(0) => return Err(ProxyError::Invalid),
            Some(port) => port,
            None if has_port => return Err(ProxyError::Invalid),
            None => kind.usual_port(),
        };
        if host.is_empty() || uri.path() != "/" || uri.query().is_some() {
            return Err(ProxyError::Invalid);
        }
        let basic = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let password = decoded(password).ok_or(ProxyError::Invalid)?;
            let name = decoded(name).ok_or(ProxyError::Invalid)?;
            let name = str::from_utf8(name.expose()).map_err(|_| ProxyError::Invalid)?;
            Ok(Basic {
                username: name.to_owned(),
                password,
            })
        });
        Ok(Self {
            kind,
            host: host.to_ascii_lowercase(),
            port,
            basic: basic.transpose()?,
        })
    }

    /// Takes the proxy that the environment names for a server: `HTTPS_PROXY` (for `http` `HTTP_PROXY`) in capital or small
    /// letters, unless `NO_PROXY` exempts the server. None is ever used for this machine.
    ///
    /// `NO_PROXY` lists names (with all below them), `.name` (all below it alone), addresses, blocks of addresses, each with
    /// a port if only that is meant; `*` exempts all. That is how Go's programs read it, kubectl among them.
    ///
    /// # Errors
    ///
    /// The variable that applies cannot be used.
    pub fn from_environment(
        server: &ServerUrl,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ProxyError> {
        let names = if server.is_https() {
            ["HTTPS_PROXY", "https_proxy"]
        } else {
            ["HTTP_PROXY", "http_proxy"]
        };
        let set = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        let Some((name, value)) = names.into_iter().find_map(|name| Some((name, set(name)?)))
        else {
            return Ok(None);
        };
        let exempt = ["NO_PROXY", "no_proxy"].into_iter().find_map(set);
        if server.is_loopback() || is_exempt(server, &exempt.unwrap_or_default()) {
            return Ok(None);
        }
        let named = |error| ProxyError::Variable {
            name,
            error: Box::new(error),
        };
        Self::parse(&value).map(Some).map_err(named)
    }

    /// What it speaks.
    pub fn kind(&self) -> ProxyKind {
        self.kind
    }

    /// The host: a name or an address, without the brackets of IPv6, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The name and the password that it wants.
    pub fn basic(&self) -> Option<&Basic> {
        self.basic.as_ref()
    }

    /// The `Proxy-Authorization` header, marked as sensitive, if it wants one.
    ///
    /// # Errors
    ///
    /// None in practice: what is encoded is always a header's text.
    pub fn authorization(&self) -> Result<Option<HeaderValue>, InvalidToken> {
        self.basic.as_ref().map(Basic::header).transpose()
    }
}

/// Its address, without name and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        let scheme = match self.kind {
            ProxyKind::Http => "http",
            ProxyKind::Socks5 => "socks5",
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

/// Whether a list like that in `NO_PROXY` exempts a server.
fn is_exempt(server: &ServerUrl, list: &str) -> bool {
    let host = server.host().trim_end_matches('.');
    let address: Option<IpAddr> = host.parse().ok();
    list.split(',').map(str::trim).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        if entry == "*" {
            return true;
        }
        if let (Some(address), Some((block, length))) = (address, entry.split_once('/')) {
            return is_within(address, block, length);
        }
        let (name, port) = split_port(&entry);
        if port.is_some_and(|port| port != server.port()) {
            return false;
        }
        let name = name.strip_prefix('*').unwrap_or(name);
        match (address, name.strip_prefix('.')) {
            _ if name.is_empty() => false,
            (Some(address), _) => name.parse() == Ok(address),
            (None, Some(parent)) => is_below(host, parent),
            (None, None) => host == name || is_below(host, name),
        }
    })
}

fn is_below(host: &str, parent: &str) -> bool {
    let rest = host.strip_suffix(parent);
    !parent.is_empty() && rest.is_some_and(|rest| rest.ends_with('.'))
}

/// Splits a port off an entry; IPv6 addresses that have one stand in brackets.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let is_ipv6 = entry.matches(':').count() > 1 && !entry.starts_with('[');
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) if !is_ipv6 && !port.ends_with(']') => (name, port.parse().ok()),
        _ => (entry, None),
    };
    (name.trim_matches(['[', ']']), port)
}

fn is_within(address: IpAddr, block: &str, length: &str) -> bool {
    let (Ok(block), Ok(length)) = (block.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    let (differ, bits) = match (address, block) {
        (IpAddr::V4(address), IpAddr::V4(block)) => {
            (u128::from(address.to_bits() ^ block.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(block)) => (address.to_bits() ^ block.to_bits(), 128),
        _ => return false,
    };
    length <= bits && differ.checked_shr(bits - length).unwrap_or(0) == 0
}

/// Takes `%41` for `A`.
fn decoded(text: &str) -> Option<Secret> {
    let mut bytes = text.bytes();
    let mut decoded = Secret::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.expose_mut().push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_environment(server: &str, variables: &[(&str, &str)]) -> Option<String> {
        let server = ServerUrl::parse_plain_http(server).unwrap();
        let env = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let proxy = Proxy::from_environment(&server, &env).unwrap();
        proxy.map(|proxy| proxy.to_string())
    }

    #[test]
    fn addresses_are_parsed() {
        for (text, expected) in [
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://Proxy/", "http://proxy:80"),
            ("proxy:3128", "http://proxy:3128"),
            ("HTTP://[fd00::1]:8080", "http://[fd00::1]:8080"),
            ("http://u:p@10.0.0.1:1", "http://10.0.0.1:1"),
            ("socks5://Proxy", "socks5://proxy:1080"),
            ("SOCKS5H://u:p@[fd00::1]:9", "socks5://[fd00::1]:9"),
        ] {
            assert_eq!(Proxy::parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_name_and_a_password_are_decoded_and_not_shown() {
        let proxy = Proxy::parse("http://me%40corp:can%61ry:%2F@proxy:3128").unwrap();
        let basic = proxy.basic().unwrap();
        assert_eq!(basic.username, "me@corp");
        assert_eq!(basic.password, Secret::from("canary:/"));
        let header = proxy.authorization().unwrap().unwrap();
        assert_eq!(header, "Basic bWVAY29ycDpjYW5hcnk6Lw==");
        let shown = format!("{proxy:?} {proxy} {header:?}");
        assert!(
            !shown.contains("canary") && !shown.contains("bWVA"),
            "{shown}"
        );
    }

    #[test]
    fn what_is_no_proxy_is_refused_and_not_repeated() {
        for text in [
            "",
            "http://",
            "http://u:canary@",
            "http://proxy:0",
            "http://proxy:99999",
            "http://proxy:",
            "http://u:canary@proxy/path",
            "http://u:canary@proxy?x",
            "http://u:canary%zz@proxy",
            "socks4://u:canary@proxy",
            "socks5://u:canary@proxy/path",
            "https://u:canary@proxy",
            "http://pro xy",
        ] {
            let error = Proxy::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
    }

    #[test]
    fn what_is_not_supported_is_said_with_what_is() {
        for (text, expected) in [
            (
                "https://p",
                "a proxy that is itself reached by TLS (https://) is not supported",
            ),
            ("socks4://p", "proxies with \"socks4\" are not supported"),
        ] {
            let error = Proxy::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
            assert!(error.contains("http:// or socks5://"), "{error}");
        }
    }

    #[test]
    fn the_environment_names_one_for_each_scheme() {
        let both = [("HTTPS_PROXY", "http://s:1"), ("HTTP_PROXY", "http://p:2")];
        let of = |server| in_environment(server, &both);
        assert_eq!(of("https://k8s:6443").as_deref(), Some("http://s:1"));
        assert_eq!(of("http://k8s").as_deref(), Some("http://p:2"));
        assert_eq!(of("https://localhost:6443"), None);
        assert_eq!(of("https://127.0.0.1:6443"), None);
        assert_eq!(of("https://[::1]:6443"), None);
        let small = [("HTTPS_PROXY", " "), ("https_proxy", "p:3")];
        assert_eq!(
            in_environment("https://k8s", &small).as_deref(),
            Some("http://p:3")
        );
        assert_eq!(in_environment("https://k8s", &[]), None);
    }

    #[test]
    fn servers_are_exempt_as_gos_programs_exempt_them() {
        for (list, exempts, uses) in [
            ("*", "https://k8s", ""),
            ("corp", "https://corp", "https://acorp"),
            ("corp", "https://k8s.corp", "https://corp.net"),
            (".corp", "https://k8s.corp", "https://corp"),
            ("*.corp", "https://k8s.corp", "https://corp"),
            ("a, CORP ,b", "https://corp", "https://x"),
            ("corp:6443", "https://corp:6443", "https://corp"),
            ("10.0.0.1", "https://10.0.0.1", "https://10.0.0.2"),
            ("10.0.0.0/8", "https://10.9.9.9", "https://11.0.0.1"),
            ("0.0.0.0/0", "https://11.0.0.1", "https://[fd00::1]"),
            ("fd00::/8", "https://[fd12::1]", "https://[fe80::1]"),
            ("fd00::1", "https://[fd00::1]", "https://[fd00::2]"),
            (
                "[fd00::1]:6443",
                "https://[fd00::1]:6443",
                "https://[fd00::1]",
            ),
            (",", "", "https://k8s"),
            ("10.0.0.0/99", "", "https://10.0.0.0"),
        ] {
            let variables = [("HTTPS_PROXY", "http://p:1"), ("no_proxy", list)];
            if !exempts.is_empty() {
                assert_eq!(
                    in_environment(exempts, &variables),
                    None,
                    "{list} {exempts}"
                );
            }
            if !uses.is_empty() {
                assert!(in_environment(uses, &variables).is_some(), "{list} {uses}");
            }
        }
    }
}
