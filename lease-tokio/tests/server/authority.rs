//! Which authority a kubeconfig names, and that its clients believe the server.

use std::{fs, path::PathBuf};

use lease_tokio::{Client, KubeconfigOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::{Result, Server, serving::refusal, text};

/// Certificates in files.
struct Safe(TempDir);

/// One that signs others.
type Authority = CertifiedIssuer<'static, KeyPair>;

impl Safe {
    fn keep(&self, name: &str, pem: &str) -> Result<PathBuf> {
        let path = self.0.path().join(name);
        fs::write(&path, pem)?;
        Ok(path)
    }

    /// The settings for a server whose certificate, with these words behind it, is signed by that authority.
    fn server(&self, authority: &Authority, params: &CertificateParams) -> Result<Vec<String>> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, authority)?;
        let certificate = self.keep("tls.crt", &certificate.pem())?;
        let key = self.keep("tls.key", &key.serialize_pem())?;
        let kubeconfig = self.0.path().join("config");
        let settings = [
            ("--tls-cert", &certificate),
            ("--tls-key", &key),
            ("--kubeconfig", &kubeconfig),
        ];
        let words = settings.into_iter();
        Ok(words
            .flat_map(|(name, path)| [name.to_owned(), text(path).to_owned()])
            .collect())
    }
}

fn authority(name: &str) -> Result<Authority> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn here() -> Result<CertificateParams> {
    Ok(CertificateParams::new(["127.0.0.1".to_owned()])?)
}

fn words(settings: &[String]) -> Vec<&str> {
    settings.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn clients_with_the_kubeconfig_believe_what_an_authority_has_signed() -> Result {
    let (safe, authority) = (Safe(tempfile::tempdir()?), authority("ours")?);
    let settings = safe.server(&authority, &here()?)?;
    let ca = safe.keep("ca.crt", &authority.pem())?;
    let settings = [words(&settings), vec!["--tls-ca", text(&ca)]].concat();
    let _server = Server::start(&settings)?;
    let options = KubeconfigOptions::new().path(safe.0.path().join("config"));
    assert_eq!(Client::from_kubeconfig(&options)?.list().await?.len(), 0);
    Ok(())
}

#[test]
fn a_kubeconfig_that_no_client_could_use_is_refused() -> Result {
    let (safe, ours, theirs) = (
        Safe(tempfile::tempdir()?),
        authority("ours")?,
        authority("theirs")?,
    );
    let mut over = here()?;
    over.not_before = rcgen::date_time_ymd(2020, 1, 1);
    over.not_after = rcgen::date_time_ymd(2020, 1, 2);
    let mut signs = here()?;
    signs.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ours_file = safe.keep("ours.crt", &ours.pem())?;
    let theirs_file = safe.keep("theirs.crt", &theirs.pem())?;
    let by_ours = ["--tls-ca", text(&ours_file)];
    for (params, more, says) in [
        (
            here()?,
            &[][..],
            "UnknownIssuer; name the authority that signed it with --tls-ca",
        ),
        (
            here()?,
            &["--tls-ca", text(&theirs_file)],
            "--tls-ca is for the authority that signed it",
        ),
        (
            over,
            &by_ours,
            "with the authority that signed it in --tls-ca",
        ),
        (signs, &by_ours, "it is an authority's own"),
    ] {
        let settings = safe.server(&ours, &params)?;
        let listen = ["--listen", "127.0.0.1:0"];
        let (code, said) = refusal(&[&listen[..], &words(&settings), more].concat())?;
        assert_eq!(code, Some(64), "{said}");
        assert!(said.contains(says), "{says}: {said}");
        assert!(said.contains("tls.crt"), "{said}");
        assert!(!safe.0.path().join("config").exists(), "{said}");
    }
    // Whoever needs no kubeconfig may present what is wanted.
    let settings = safe.server(&ours, &here()?)?;
    Server::start(&words(&settings[..4]))?.end()?;
    let unread = [&words(&settings[..4])[..], &by_ours].concat();
    let (code, said) = refusal(&unread)?;
    assert!(code == Some(64) && said.contains("--kubeconfig"), "{said}");
    Ok(())
}
