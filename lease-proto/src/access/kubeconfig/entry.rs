//! One entry of a kubeconfig, as what it means for an access.

use std::path::{Path, PathBuf};

use super::super::exec::is_bare;
use super::super::{
    Access, Basic, ClientCertificate, Exec, KubeconfigOptions, Material, Proxy, Secret, ServerUrl,
    base64,
};
use super::file::{Cluster, ExecEntry, User};
use super::{KubeconfigEntry as Entry, KubeconfigError};

/// An entry, and the file that it came from.
pub(super) struct Filed<T> {
    pub(super) file: PathBuf,
    pub(super) value: T,
}

impl<T> Filed<T> {
    fn resolve(&self, path: &str) -> PathBuf {
        self.file
            .parent()
            .unwrap_or_else(|| Path::new(""))
            .join(path)
    }

    /// Inline data goes before a file, as with kubectl.
    fn material(
        &self,
        entry: &dyn Fn() -> Entry,
        field: &'static str,
        data: Option<&Secret>,
        path: Option<&String>,
    ) -> Result<Option<Material>, KubeconfigError> {
        let Some(data) = data.filter(|data| !data.is_empty()) else {
            return Ok(present(path).map(|path| Material::File(self.resolve(path))));
        };
        match base64::decode(data.expose()) {
            Some(content) => Ok(Some(Material::Inline(content))),
            None => Err(KubeconfigError::Field {
                file: self.file.clone(),
                entry: entry(),
                field,
                problem: "is not base64; it is what `base64 -w0 FILE` prints",
            }),
        }
    }
}

impl Filed<Cluster> {
    pub(super) fn access(
        &self,
        name: &str,
        options: &KubeconfigOptions,
    ) -> Result<Access, KubeconfigError> {
        let entry = || Entry::Cluster(name.to_owned());
        let cluster = &self.value;
        let text = cluster.server.as_deref().unwrap_or_default();
        let server = if options.allow_plain_http {
            ServerUrl::parse_plain_http(text)
        } else {
            ServerUrl::parse(text)
        };
        let server = server.map_err(|error| KubeconfigError::Server {
            file: self.file.clone(),
            cluster: name.to_owned(),
            error,
        })?;
        let mut access = Access::new(server);
        if let Some(url) = cluster.proxy_url.as_ref().filter(|url| !url.is_empty()) {
            let proxy = Proxy::parse(&String::from_utf8_lossy(url.expose())).map_err(|error| {
                KubeconfigError::Proxy {
                    file: self.file.clone(),
                    cluster: name.to_owned(),
                    error,
                }
            })?;
            access.proxy = Some(proxy);
        }
        access.tls.ca = self.material(
            &entry,
            "certificate-authority-data",
            cluster.certificate_authority_data.as_ref(),
            cluster.certificate_authority.as_ref(),
        )?;
        access.tls.insecure_skip_verify = cluster.insecure_skip_tls_verify.unwrap_or(false);
        access.tls.server_name = present(cluster.tls_server_name.as_ref()).cloned();
        if access.tls.insecure_skip_verify && access.tls.ca.is_some() {
            return Err(KubeconfigError::Field {
                file: self.file.clone(),
                entry: entry(),
                field: "insecure-skip-tls-verify",
                problem: "contradicts the certificate authority beside it; remove one",
            });
        }
        Ok(access)
    }

    /// Adds what only a plugin is told of the cluster, as kubectl tells it.
    pub(super) fn tell(&self, exec: &mut Exec) {
        let cluster = &self.value;
        let mut extensions = cluster.extensions.iter().flatten();
        exec.cluster_config = extensions
            .find(|it| it.name.as_deref() == Some(EXEC_EXTENSION))
            .and_then(|it| it.extension.as_ref())
            .map(|config| Secret::from(config.to_string()));
        exec.disable_compression = cluster.disable_compression.unwrap_or(false);
        exec.proxy_url = cluster.proxy_url.clone().filter(|url| !url.is_empty());
    }
}

impl Filed<User> {
    pub(super) fn add_to(
        &self,
        name: &str,
        options: &KubeconfigOptions,
        access: &mut Access,
    ) -> Result<(), KubeconfigError> {
        let entry = || Entry::User(name.to_owned());
        let user = &self.value;
        if let Some(provider) = &user.auth_provider {
            let feature = format!(
                "auth-provider {:?}",
                provider.name.as_deref().unwrap_or_default()
            );
            return Err(self.unsupported(
                entry(),
                feature,
                "use a token, a client certificate or an exec plugin",
            ));
        }
        if present(user.impersonate.as_ref()).is_some() {
            let instead = "use the credentials of that user";
            return Err(self.unsupported(entry(), "impersonation (as)".to_owned(), instead));
        }
        // Left aside they would have it act as somebody else than who wrote them meant.
        let without_a_user = [
            ("as-uid", present(user.as_uid.as_ref()).is_some()),
            (
                "as-groups",
                user.as_groups.as_ref().is_some_and(|all| !all.is_empty()),
            ),
            (
                "as-user-extra",
                user.as_user_extra
                    .as_ref()
                    .is_some_and(|all| !all.is_empty()),
            ),
        ];
        if let Some((field, _)) = without_a_user.into_iter().find(|(_, is_given)| *is_given) {
            return Err(KubeconfigError::Field {
                file: self.file.clone(),
                entry: entry(),
                field,
                problem: "is for impersonation, without a user to impersonate (as), and that is not supported either; remove it, \
                          and use the credentials of who is meant",
            });
        }
        let auth = &mut access.auth;
        let token = user.token.clone().filter(|token| !token.is_empty());
        match present(user.token_file.as_ref()) {
            Some(path) => {
                auth.token = Some(Material::File(self.resolve(path)));
                auth.spare_token = token;
            }
            None => auth.token = token.map(Material::Inline),
        }
        if let Some(username) = present(user.username.as_ref()) {
            auth.basic = Some(Basic {
                username: username.clone(),
                password: user.password.clone().unwrap_or_else(|| Secret::from("")),
            });
        }
        let data = user.client_certificate_data.as_ref();
        let certificate = self.material(
            &entry,
            "client-certificate-data",
            data,
            user.client_certificate.as_ref(),
        )?;
        let data = user.client_key_data.as_ref();
        let key = self.material(&entry, "client-key-data", data, user.client_key.as_ref())?;
        let missing = |field, problem| KubeconfigError::Field {
            file: self.file.clone(),
            entry: entry(),
            field,
            problem,
        };
        auth.client_certificate = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(missing(
                    "client-key",
                    "is missing beside the client certificate",
                ));
            }
            (None, Some(_)) => {
                return Err(missing(
                    "client-certificate",
                    "is missing beside the client key",
                ));
            }
        };
        if let Some(exec) = &user.exec
            && auth.token.is_none()
            && auth.basic.is_none()
        {
            auth.exec = Some(self.exec(exec, name, options)?);
        }
        Ok(())
    }

    fn exec(
        &self,
        exec: &ExecEntry,
        user: &str,
        options: &KubeconfigOptions,
    ) -> Result<Exec, KubeconfigError> {
        let entry = || Entry::User(user.to_owned());
        let missing = |field| KubeconfigError::Field {
            file: self.file.clone(),
            entry: entry(),
            field,
            problem: "is missing",
        };
        let command = present(exec.command.as_ref()).ok_or_else(|| missing("exec.command"))?;
        if !options.allow_exec {
            return Err(KubeconfigError::ExecNotAllowed {
                file: self.file.clone(),
                user: user.to_owned(),
                command: command.clone(),
            });
        }
        let api_version =
            present(exec.api_version.as_ref()).ok_or_else(|| missing("exec.apiVersion"))?;
        let unusable = |problem| KubeconfigError::Field {
            file: self.file.clone(),
            entry: entry(),
            field: "exec.interactiveMode",
            problem,
        };
        match present(exec.interactive_mode.as_ref()).map(String::as_str) {
            Some("Never" | "IfAvailable") => {}
            Some("Always") => {
                let feature = "exec.interactiveMode: Always".to_owned();
                let instead = "use a plugin that needs no terminal";
                return Err(self.unsupported(entry(), feature, instead));
            }
            Some(_) => return Err(unusable("is none of Never, IfAvailable and Always")),
            None if HAVE_A_MODE.contains(&api_version.as_str()) => {}
            None => {
                return Err(unusable(
                    "is missing; it is Never for a plugin that asks nobody, else IfAvailable",
                ));
            }
        }
        // A bare name is looked for in PATH, and only a path is relative to the file.
        let command = if is_bare(Path::new(command)) {
            PathBuf::from(command)
        } else {
            self.resolve(command)
        };
        let mut found = Exec::new(command, api_version);
        found.args = exec.args.clone().unwrap_or_default();
        for variable in exec.env.iter().flatten() {
            let value = variable.value.clone().unwrap_or_else(|| Secret::from(""));
            found.env.push((variable.name.clone(), value));
        }
        found.timeout = options.exec_timeout.unwrap_or(found.timeout);
        found.install_hint = exec.install_hint.clone();
        found.provide_cluster_info = exec.provide_cluster_info.unwrap_or(false);
        Ok(found)
    }
}

impl<T> Filed<T> {
    fn unsupported(&self, entry: Entry, feature: String, instead: &'static str) -> KubeconfigError {
        KubeconfigError::Unsupported {
            file: self.file.clone(),
            entry,
            feature,
            instead,
        }
    }
}

/// What is given, and not just named.
pub(super) fn present(text: Option<&String>) -> Option<&String> {
    text.filter(|text| !text.is_empty())
}

/// The versions in which a plugin is `IfAvailable` where nothing is said. In later ones something must be.
const HAVE_A_MODE: [&str; 2] = [
    "client.authentication.k8s.io/v1alpha1",
    "client.authentication.k8s.io/v1beta1",
];
/// The name of the cluster's extension that is for plugins.
const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";
