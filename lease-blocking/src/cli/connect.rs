//! Where the leases are: from the command line to a client.

use std::{fs, io};

use lease_blocking::{
    Client, Error, KubeconfigOptions, default_directory, proto::access::NothingConfigured,
};

use super::{
    args::Cluster,
    exit_code::Exit,
    failure::{Failure, chain},
};

/// Makes a client for what was typed, where there are leases already: who reads makes no directory for them.
pub(crate) fn reader(cluster: &Cluster) -> Result<Client, Failure> {
    if let Some(directory) = &cluster.embedded {
        let directory = directory.clone().unwrap_or_else(default_directory);
        let found = fs::read_dir(&directory).map(|mut entries| entries.next().is_none());
        let nothing = match found {
            Ok(true) => "is empty",
            Err(error) if error.kind() == io::ErrorKind::NotFound => "does not exist",
            // What is wrong with it is told where it is opened.
            Ok(false) | Err(_) => return client(cluster),
        };
        let line = format!(
            "there are no leases in {0}: it {nothing}; lease run and lease acquire make them",
            directory.display()
        );
        return Err(Failure::new(Exit::NotFound, line));
    }
    client(cluster)
}

/// Makes a client for what was typed, and says which namespace is meant.
pub(crate) fn client(cluster: &Cluster) -> Result<Client, Failure> {
    let client = if let Some(directory) = &cluster.embedded {
        let directory = directory.clone().unwrap_or_else(default_directory);
        Client::embedded(directory).map_err(|error| Failure::chain(Exit::Failed, &error))?
    } else if let Some(server) = &cluster.server {
        explicit(server, cluster).map_err(|error| explain(&error))?
    } else {
        let mut options = KubeconfigOptions::new()
            .allow_exec(cluster.allow_exec)
            .allow_plain_http(cluster.allow_plain_http);
        if let Some(path) = &cluster.kubeconfig {
            options = options.path(path);
        }
        if let Some(context) = &cluster.context {
            options = options.context(context);
        }
        Client::discover(&options).map_err(|error| explain(&error))?
    };
    if client.skips_verification() {
        super::say(format_args!(
            "warning: the certificate of the API server is not verified, as the kubeconfig asks with \
             insecure-skip-tls-verify: whoever answers may read the credentials"
        ));
    }
    Ok(match &cluster.namespace {
        Some(namespace) => client.with_namespace(namespace.as_str()),
        None => client,
    })
}

fn explicit(server: &str, cluster: &Cluster) -> Result<Client, Error> {
    let mut builder = Client::builder(server).allow_plain_http(cluster.allow_plain_http);
    if let Some(file) = &cluster.token_file {
        builder = builder.token_file(file);
    }
    if let Some(file) = &cluster.certificate_authority {
        builder = builder.certificate_authority(file.clone());
    }
    builder.build()
}

fn explain(error: &Error) -> Failure {
    match error {
        Error::NothingConfigured(NothingConfigured::NoWay { .. }) => Failure::new(
            Exit::Failed,
            "nothing says where the leases are; say it in one of these ways:",
        )
        .with_advice(
            "  --kubeconfig FILE, KUBECONFIG or ~/.kube/config   as for kubectl; --context chooses\n\
             \x20 --server URL --token-file FILE --certificate-authority FILE\n\
             \x20 inside a pod                                     its service account is found by itself\n\
             \x20 --embedded[=DIR]                                 no cluster: a directory of this machine",
        ),
        Error::ServerUrl(_) | Error::Name(_) => Failure::new(Exit::Usage, with_flags(error)),
        error => Failure::new(Exit::Failed, with_flags(error)),
    }
}

/// What a program would have to call is a flag here.
fn with_flags(error: &Error) -> String {
    chain(error)
        .replace("allow_plain_http", "--allow-plain-http")
        .replace("allow_exec", "--allow-exec")
}
