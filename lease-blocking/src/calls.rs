//! The plain calls: Leases read and written without a claim.

use std::time::Duration;

use http::StatusCode;
use lease_proto::plain::{self, Preconditions};
use lease_proto::wire::Lease;
use lease_proto::{LeaseName, Namespace};

use crate::client::Client;
use crate::error::Error;

/// The plain calls. Each waits at most 10 s for an answer, and reads the credentials again after a 401.
impl Client {
    /// Reads one Lease of the client's namespace; `None` where there is none.
    ///
    /// # Errors
    ///
    /// The name cannot be one, no answer came, or the server refused.
    pub fn get(&self, name: &str) -> Result<Option<Lease>, Error> {
        let (namespace, name) = (Namespace::new(self.namespace())?, LeaseName::new(name)?);
        let response = self.call(plain::get(&namespace, &name))?;
        Ok(plain::read_get(&namespace, &name, &response)?)
    }

    /// Creates a Lease in the namespace that it names, else in the client's, and returns it as it was stored.
    ///
    /// # Errors
    ///
    /// A name cannot be one, no answer came, or the server refused:
    /// [`ApiError::AlreadyExists`](plain::ApiError::AlreadyExists) where there is one of that name.
    pub fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        let (namespace, name) = self.names_of(lease)?;
        let response = self.call(plain::create(&namespace, lease))?;
        Ok(plain::read_create(&namespace, &name, &response)?)
    }

    /// Replaces a Lease as it was read with what it is now, and returns it as it was stored.
    ///
    /// # Errors
    ///
    /// A name cannot be one, no answer came, or the server refused: [`ApiError::Conflict`](plain::ApiError::Conflict)
    /// where somebody has changed or deleted it since, [`ApiError::NotRead`](plain::ApiError::NotRead) where it carries no
    /// uid and version.
    pub fn update(&self, lease: &Lease) -> Result<Lease, Error> {
        let (namespace, name) = self.names_of(lease)?;
        let response = self.call(plain::update(&namespace, &name, lease)?)?;
        Ok(plain::read_update(&namespace, &name, &response)?)
    }

    /// Deletes a Lease of the client's namespace, and returns whether there was one.
    ///
    /// # Errors
    ///
    /// The name cannot be one, no answer came, or the server refused: [`ApiError::Conflict`](plain::ApiError::Conflict)
    /// where the preconditions do not hold.
    pub fn delete(&self, name: &str, preconditions: &Preconditions) -> Result<bool, Error> {
        let (namespace, name) = (Namespace::new(self.namespace())?, LeaseName::new(name)?);
        let response = self.call(plain::delete(&namespace, &name, preconditions))?;
        Ok(plain::read_delete(&namespace, &name, &response)?)
    }

    /// Reads all Leases of the client's namespace, page by page.
    ///
    /// # Errors
    ///
    /// The namespace cannot be one, no answer came, or the server refused.
    pub fn list(&self) -> Result<Vec<Lease>, Error> {
        let namespace = Namespace::new(self.namespace())?;
        self.pages(Some(&namespace))
    }

    /// Reads all Leases of all namespaces, page by page. That needs a ClusterRole.
    ///
    /// # Errors
    ///
    /// No answer came, or the server refused.
    pub fn list_everywhere(&self) -> Result<Vec<Lease>, Error> {
        self.pages(None)
    }

    fn pages(&self, namespace: Option<&Namespace>) -> Result<Vec<Lease>, Error> {
        let mut leases = Vec::new();
        let mut page: Option<String> = None;
        loop {
            let response = self.call(plain::list(namespace, page.as_deref()))?;
            let (found, next) = plain::read_list(namespace, &response)?;
            leases.extend(found);
            if next.is_none() {
                return Ok(leases);
            }
            page = next;
        }
    }

    fn names_of(&self, lease: &Lease) -> Result<(Namespace, LeaseName), Error> {
        let metadata = &lease.metadata;
        let namespace = if metadata.namespace.is_empty() {
            self.namespace()
        } else {
            &metadata.namespace
        };
        Ok((Namespace::new(namespace)?, LeaseName::new(&metadata.name)?))
    }

    fn call(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, Error> {
        let response = self.send(request.clone(), CALL_TIMEOUT, false)?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        Ok(self.send(request, CALL_TIMEOUT, true)?)
    }
}

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
