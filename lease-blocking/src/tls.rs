//! TLS below ureq, with a rustls configuration of our own: ureq's cannot check a certificate by another name than the host's.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use lease_proto::access::rustls::{self as settings, ChangingCertificate};
use lease_proto::access::{Access, CredentialsError};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use crate::connector::Phase;

/// Wraps a connection in TLS where the scheme is https.
#[derive(Clone)]
pub(crate) struct TlsConnector {
    config: Arc<ClientConfig>,
    server_name: ServerName<'static>,
}

impl TlsConnector {
    pub(crate) fn new(
        access: &Access,
        certificate: Option<&ChangingCertificate>,
    ) -> Result<Self, CredentialsError> {
        let platform = || rustls_native_certs::load_native_certs().certs;
        let mut config = settings::client_config(access, &|path| std::fs::read(path), &platform)?;
        if let Some(certificate) = certificate {
            certificate.install(&mut config);
        }
        Ok(Self {
            config: Arc::new(config),
            server_name: settings::server_name(access)?,
        })
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(tcp) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() {
            return Ok(Some(Either::A(tcp)));
        }
        let connection = ClientConnection::new(Arc::clone(&self.config), self.server_name.clone())
            .map_err(|error| ureq::Error::Other(error.into()))?;
        let mut adapter = TransportAdapter::new(tcp.boxed(), details.current_time.clone());
        adapter.set_timeout(details.timeout);
        let mut stream = StreamOwned::new(connection, adapter);
        stream
            .conn
            .complete_io(&mut stream.sock)
            .map_err(|error| Phase::Tls.label(error.into()))?;
        let config = details.config;
        Ok(Some(Either::B(TlsTransport {
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            stream,
        })))
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").finish_non_exhaustive()
    }
}

/// One connection.
pub(crate) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTransport").finish_non_exhaustive()
    }
}
