//! The port: connections in, until the server is told to end.

use std::{
    error::Error,
    fmt,
    io::{self, Write},
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use lease_tokio::{Client, Memory, proto::server::ApiServer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{args::Args, dice::Dice, kubeconfig, serve::Service, tls, tokens::Tokens};

/// Listens and answers until a signal comes.
pub(crate) async fn run(args: Args) -> Result<(), Refusal> {
    let tokens = match &args.token_file {
        Some(file) => Tokens::read(file)?,
        None => Tokens::default(),
    };
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificates), Some(key)) => Some(tls::acceptor(certificates, key)?),
        _ => None,
    };
    let authority = args.tls_ca.as_ref().or(args.tls_cert.as_ref());
    if let (Some(certificates), Some(authority), Some(_)) =
        (&args.tls_cert, authority, &args.kubeconfig)
    {
        tls::verify(certificates, authority)?;
    }
    let backend = match &args.data {
        Some(directory) => Client::embedded(directory)
            .await
            .map_err(|error| chain(&error))?,
        None => in_memory(),
    };
    let mut ended = Signals::new()?;
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        let advice = if error.kind() == io::ErrorKind::AddrInUse {
            "; with --listen 127.0.0.1:0 any free port is taken"
        } else {
            ""
        };
        format!("cannot listen on {}: {error}{advice}", args.listen)
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| format!("the port is not known: {error}"))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    if let Some(file) = &args.kubeconfig {
        kubeconfig::write(file, &url, authority.map(PathBuf::as_path), &tokens)?;
    }
    if !address.ip().is_loopback() {
        warn_of_strangers(&args, tls.is_some(), tokens.is_open());
    }
    // Short enough to be typed again.
    let seed = args.seed.unwrap_or_else(|| Dice::any_seed() % 1_000_000);
    if args.faults.is_some() {
        say(format_args!("things go wrong as asked, with --seed {seed}"));
    }
    let (close, closing) = watch::channel(false);
    let service = Arc::new(Service {
        backend,
        tokens,
        faults: args.faults,
        dice: Mutex::new(Dice::new(seed)),
        is_verbose: args.verbose,
        closing: closing.clone(),
    });
    // Whoever started it may wait for that line; whether somebody reads it is none of the server.
    let _unread = writeln!(io::stdout(), "listening on {url}");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = ended.wait() => break,
            _ = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Answers are small, and waited for.
                    let _as_it_was = stream.set_nodelay(true);
                    let (service, closing) = (Arc::clone(&service), closing.clone());
                    match tls.clone() {
                        None => drop(connections.spawn(converse(stream, service, closing))),
                        Some(tls) => drop(connections.spawn(async move {
                            let shaken = tokio::time::timeout(HANDSHAKE, tls_with(&tls, stream));
                            if let Ok(Some(stream)) = shaken.await {
                                converse(stream, service, closing).await;
                            }
                        })),
                    }
                }
                // Such as too many open files: those that are open go on.
                Err(error) => {
                    say(format_args!("a connection cannot be accepted: {error}"));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    close.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = all => {}
        () = tokio::time::sleep(FAREWELL) => {}
        // Whoever says it twice means it.
        () = ended.wait() => {}
    }
    Ok(())
}

/// Why it does not serve.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It cannot.
    Failed(String),
    /// What was typed does not go together.
    Senseless(String),
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

/// Leases in memory, which are others each time.
fn in_memory() -> Client {
    // Whoever has talked to a server before that had the same address must not take this one's Leases for those: their uids are
    // others, and their versions, by which fencing tokens are told, later.
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = since_epoch.unwrap_or_default().as_millis();
    let server = ApiServer::builder()
        .seed(Dice::any_seed())
        .resource_version(u64::try_from(millis).unwrap_or(1))
        .build();
    Memory::over(server).client()
}

/// Says something to whoever looks on.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _unread = writeln!(io::stderr(), "lease-server: {line}");
}

async fn tls_with<S: AsyncRead + AsyncWrite + Unpin>(
    tls: &TlsAcceptor,
    stream: S,
) -> Option<tokio_rustls::server::TlsStream<S>> {
    // Whoever does not like the certificate goes away, and says so itself.
    tls.accept(stream).await.ok()
}

/// Answers what comes over a connection, HTTP/1.1 or HTTP/2.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: Arc<Service>,
    mut closing: watch::Receiver<bool>,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(30)));
    let service = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { service.answer(request).await }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // An error is the client's going away, or a fault that was asked for.
    tokio::select! {
        _ended = &mut connection => {}
        () = closes(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            let _ended = connection.await;
        }
    }
}

/// Waits until the server is to end.
pub(crate) async fn closes(closing: &mut watch::Receiver<bool>) {
    // Without a sender it has ended already.
    let _guard = closing.wait_for(|closing| *closing).await;
}

/// Says what it means that others than this machine's programs can connect.
fn warn_of_strangers(args: &Args, is_tls: bool, is_open: bool) {
    let listen = args.listen;
    match (is_open, is_tls) {
        (true, _) => say(format_args!(
            "whoever can reach {listen} may do anything with these leases: say who may with --token-file"
        )),
        (false, false) => say(format_args!(
            "tokens and leases go over the network in the clear: encrypt with --tls-cert and --tls-key"
        )),
        (false, true) => {}
    }
}

/// An error and all its sources on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// The signals that end a server.
#[derive(Debug)]
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Result<Self, String> {
        use tokio::signal::unix::{SignalKind, signal};

        let listen =
            |kind| signal(kind).map_err(|error| format!("signals cannot be listened to: {error}"));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    fn new() -> Result<Self, String> {
        Ok(Self {})
    }

    async fn wait(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

/// How long a client may take until it has asked for something.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long requests under way may still take at the end.
const FAREWELL: Duration = Duration::from_secs(5);
