//! Who is let in.

use std::{fmt, fs, path::Path};

use http::{HeaderMap, header::AUTHORIZATION};
use lease_tokio::proto::access::Secret;

/// The tokens that are known; without any, everybody is let in.
#[derive(Default)]
pub(crate) struct Tokens(Option<Vec<Secret>>);

impl Tokens {
    /// Reads a token from each line, as far as the first comma, as kube-apiserver's `--token-auth-file` has them.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let content = fs::read(path)
            .map(Secret::new)
            .map_err(|error| format!("tokens cannot be read from {}: {error}", path.display()))?;
        let tokens: Vec<_> = content
            .expose()
            .split(|byte| *byte == b'\n')
            .filter_map(|line| line.split(|byte| *byte == b',').next())
            .map(|token| token.trim_ascii().trim_ascii_start())
            .filter(|token| !token.is_empty() && !token.starts_with(b"#"))
            .map(|token| Secret::new(token.to_vec()))
            .collect();
        if tokens.is_empty() {
            return Err(format!(
                "there is no token in {}: write one on each line",
                path.display()
            ));
        }
        Ok(Self(Some(tokens)))
    }

    /// Whether nobody is asked for one.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// The first, for a kubeconfig.
    pub(crate) fn first(&self) -> Option<&Secret> {
        self.0.as_ref()?.first()
    }

    pub(crate) fn let_in(&self, headers: &HeaderMap) -> bool {
        let Some(tokens) = &self.0 else {
            return true;
        };
        let said = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        said.is_some_and(|said| {
            // All are compared, whichever it is.
            let same = tokens.iter().filter(|token| is_same(token.expose(), said));
            same.count() > 0
        })
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.as_ref().map(Vec::len);
        f.debug_tuple("Tokens").field(&count).finish()
    }
}

/// Compares in a time that tells nothing but the length.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).map(|(a, b)| a ^ b);
    one.len() == other.len() && differences.fold(0, |all, difference| all | difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_knows_a_token_of_the_file_is_let_in_and_nobody_else() {
        let file = tempfile::NamedTempFile::new().expect("a directory for temporary files");
        fs::write(file.path(), "# people\nfirst,ann,1\n  second  \n\n").expect("it was made above");
        let tokens = Tokens::read(file.path()).expect("there are two");
        for (said, is_known) in [
            ("Bearer first", true),
            ("Bearer second", true),
            ("Bearer ann", false),
            ("Bearer firs", false),
            ("Bearer ", false),
            ("first", false),
            ("Basic first", false),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, said.parse().expect(said))]);
            assert_eq!(tokens.let_in(&headers), is_known, "{said}");
        }
        assert!(!tokens.let_in(&HeaderMap::new()));
        assert!(Tokens::default().let_in(&HeaderMap::new()));
        fs::write(file.path(), "\n# nobody\n").expect("it was made above");
        assert!(Tokens::read(file.path()).is_err());
    }
}
