//! Writes: create, update, patch, delete, with their preconditions in the order of the real server.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    ApiServer,
    apply::{self, Applied},
    changes::Changes,
    decode,
    go_time::Stamp,
    managed_fields::Writer,
    object::{Lease, Stored, nullable},
    patch,
    rbac::Attempt,
    route::Verb,
    status::{Cause, Details, Failure, GROUP, RESOURCE},
    submission::{BODIES, PATCHES, Write},
    validate,
};

/// What became of a deletion.
#[derive(Debug)]
pub(super) enum Deletion {
    /// It is gone; this was its uid.
    Gone(String),
    /// It waits for its finalizers.
    Pending(Arc<Stored>),
}

/// `DeleteOptions`, as far as they matter.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DeleteOptions {
    #[serde(deserialize_with = "nullable")]
    preconditions: Preconditions,
    dry_run: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl ApiServer {
    /// POST.
    pub(super) fn create(&mut self, write: &Write<'_>) -> Result<Arc<Stored>, Failure> {
        let body = write.body()?;
        let is_dry_run = write.query.is_dry_run("CreateOptions")?;
        let mut lease = decode::lease(body)?;
        self.simplify(&mut lease);
        let manager = write.manager();
        self.track(None, &mut lease, write.writer(&manager, self));
        self.admit(write.namespace, &lease.metadata.name, true)?;
        let lease = self.before_create(lease, write)?;
        let metadata = &lease.metadata;
        if version(&metadata.resource_version)? != 0 {
            return Err(Failure::internal(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        if self
            .store
            .get(&metadata.namespace, &metadata.name)
            .is_some()
        {
            return Err(Failure::already_exists(&metadata.name));
        }
        Ok(self.commit(lease, None, is_dry_run))
    }

    /// PUT. Says whether the Lease was created.
    pub(super) fn replace(
        &mut self,
        name: &str,
        write: &Write<'_>,
    ) -> Result<(Arc<Stored>, bool), Failure> {
        let body = write.body()?;
        let is_dry_run = write.query.is_dry_run("UpdateOptions")?;
        let mut lease = decode::lease(body)?;
        self.simplify(&mut lease);
        let metadata = &lease.metadata;
        if metadata.name != name {
            return Err(Failure::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({name})",
                metadata.name
            )));
        }
        if !metadata.namespace.is_empty() && metadata.namespace != write.namespace {
            return Err(Failure::bad_request(format!(
                "the namespace of the object ({}) does not match the namespace on the request ({})",
                metadata.namespace, write.namespace
            )));
        }
        let live = self.store.get(write.namespace, name).cloned();
        let live_uid = live.as_ref().map_or("", |it| &it.lease.metadata.uid);
        if !metadata.uid.is_empty() && metadata.uid != live_uid {
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: /registry/leases/{}/{name}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {}, UID in object meta: {live_uid}",
                write.namespace, metadata.uid
            );
            return Err(Failure::conflict(name, &why));
        }
        let manager = write.manager();
        self.track(live.as_deref(), &mut lease, write.writer(&manager, self));
        self.admit(write.namespace, name, live.is_none())?;
        self.settle(lease, live, write, is_dry_run)
    }

    /// PATCH. Says whether the Lease was created.
    pub(super) fn patch(
        &mut self,
        name: &str,
        write: &Write<'_>,
    ) -> Result<(Arc<Stored>, bool), Failure> {
        let media_type = write.media_type();
        let known = PATCHES.split(", ").any(|it| it == media_type);
        if !known {
            return Err(Failure::unsupported_media_type(PATCHES));
        }
        let body = write.sized_body()?;
        let is_dry_run = write.query.is_dry_run("PatchOptions")?;
        let manager = write.manager();
        let writer = write.writer(&manager, self);
        let live = self.store.get(write.namespace, name).cloned();
        let lease = if media_type == "application/apply-patch+yaml" {
            let mut config = apply::read(body, write.query)?
                .ok_or_else(|| Failure::unsupported_media_type(PATCHES))?;
            self.simplify(&mut config);
            config.metadata.namespace = write.namespace.to_owned();
            let force = write.query.is_set("force");
            match apply::merge(live.as_deref().map(|it| &it.lease), config, writer, force)? {
                Applied::Same => {
                    let live = live.ok_or_else(|| Failure::not_found(name))?;
                    return Ok((live, false));
                }
                Applied::Changed(lease) => *lease,
            }
        } else {
            let live = live.as_deref().ok_or_else(|| Failure::not_found(name))?;
            let patched = patch::apply(media_type, live.value(), body)?;
            let mut lease = decode::patched(patched)?;
            self.simplify(&mut lease);
            self.track(Some(live), &mut lease, writer);
            lease
        };
        self.admit(write.namespace, name, live.is_none())?;
        self.settle(lease, live, write, is_dry_run)
    }

    /// DELETE.
    pub(super) fn remove(&mut self, name: &str, write: &Write<'_>) -> Result<Deletion, Failure> {
        let body = write.sized_body()?;
        let options: DeleteOptions = if body.is_empty() {
            DeleteOptions::default()
        } else {
            if !matches!(write.media_type(), "" | "application/json") {
                return Err(Failure::unsupported_media_type(BODIES));
            }
            serde_json::from_slice(body)
                .map_err(|it| Failure::bad_request(format!("couldn't read DeleteOptions: {it}")))?
        };
        let is_dry_run = write.query.is_dry_run("DeleteOptions")?
            || options.dry_run.is_some_and(|it| !it.is_empty());
        let live = self.store.get(write.namespace, name);
        let live = Arc::clone(live.ok_or_else(|| Failure::not_found(name))?);
        let metadata = &live.lease.metadata;
        if let Some(uid) = options.preconditions.uid.filter(|it| *it != metadata.uid) {
            let why = format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                metadata.uid
            );
            return Err(Failure::delete_conflict(name, &why));
        }
        let presumed = options.preconditions.resource_version;
        if let Some(presumed) = presumed.filter(|it| *it != metadata.resource_version) {
            let why = format!(
                "the ResourceVersion in the precondition ({presumed}) does not match the ResourceVersion in record ({}). The object might have been modified",
                metadata.resource_version
            );
            return Err(Failure::delete_conflict(name, &why));
        }
        Ok(self.expunge(&live, write.now, is_dry_run))
    }

    /// Deletes what is there, or marks it where finalizers are in the way.
    pub(super) fn expunge(&mut self, live: &Arc<Stored>, now: Stamp, is_dry_run: bool) -> Deletion {
        let mut lease = live.lease.clone();
        if lease.metadata.finalizers.is_empty() {
            let uid = lease.metadata.uid.clone();
            if !is_dry_run {
                self.store.delete(lease);
            }
            return Deletion::Gone(uid);
        }
        lease
            .metadata
            .deletion_timestamp
            .get_or_insert_with(|| now.whole());
        lease.metadata.deletion_grace_period_seconds = Some(0);
        Deletion::Pending(self.commit(lease, Some(live), is_dry_run))
    }

    /// Puts down what a PUT or PATCH made, on the conditions that its metadata names.
    fn settle(
        &mut self,
        mut lease: Lease,
        live: Option<Arc<Stored>>,
        write: &Write<'_>,
        is_dry_run: bool,
    ) -> Result<(Arc<Stored>, bool), Failure> {
        let name = lease.metadata.name.clone();
        let presumed = version(&lease.metadata.resource_version)?;
        let Some(live) = live else {
            let lease = self.before_create(lease, write)?;
            self.access.check(
                write.user,
                &Attempt {
                    verb: Verb::Create,
                    group: GROUP,
                    resource: RESOURCE,
                    namespace: Some(write.namespace),
                    name: Some(&name),
                },
            )?;
            return Ok((self.commit(lease, None, is_dry_run), true));
        };
        let name = &live.lease.metadata.name;
        if presumed == 0 {
            return Err(unversioned(name));
        }
        if presumed != live.version {
            return Err(Failure::modified(name));
        }
        let lease = {
            let old = &live.lease.metadata;
            let new = &mut lease.metadata;
            check_namespace(&mut new.namespace, write.namespace)?;
            new.generation = old.generation;
            new.creation_timestamp = old.creation_timestamp;
            if new.uid.is_empty() {
                new.uid.clone_from(&old.uid);
            }
            if old.deletion_timestamp.is_some() {
                new.deletion_timestamp = old.deletion_timestamp;
                new.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
            }
            lease
        };
        let causes = validate::update(&live.lease, &lease);
        if !causes.is_empty() {
            return Err(Failure::invalid(name, causes));
        }
        if lease.metadata.deletion_timestamp.is_some() && lease.metadata.finalizers.is_empty() {
            let last = Stored::new(lease.clone(), live.version);
            if !is_dry_run {
                self.store.delete(lease);
            }
            return Ok((last, false));
        }
        Ok((self.commit(lease, Some(&live), is_dry_run), false))
    }

    /// Stores a Lease, unless it is what is stored already.
    fn commit(
        &mut self,
        mut lease: Lease,
        live: Option<&Arc<Stored>>,
        is_dry_run: bool,
    ) -> Arc<Stored> {
        if let Some(live) = live {
            lease
                .metadata
                .resource_version
                .clone_from(&live.lease.metadata.resource_version);
            let known = &live.lease.metadata.managed_fields;
            if self.config.version.always_stamps()
                && lease.metadata.managed_fields.same_owners(known)
                && Changes::between(&live.lease, &lease).is_empty()
            {
                lease.metadata.managed_fields.clone_from(known);
            }
            if lease == live.lease {
                return Arc::clone(live);
            }
        }
        if is_dry_run {
            let version = live.map_or(0, |it| it.version);
            return Arc::new(Stored::unversioned(lease, version));
        }
        self.store.write(lease)
    }

    /// What the server fills in and checks before anything is created.
    fn before_create(&mut self, mut lease: Lease, write: &Write<'_>) -> Result<Lease, Failure> {
        let metadata = &mut lease.metadata;
        check_namespace(&mut metadata.namespace, write.namespace)?;
        metadata.deletion_timestamp = None;
        metadata.deletion_grace_period_seconds = None;
        metadata.creation_timestamp = Some(write.now.whole());
        metadata.uid = self.uids.uid();
        if metadata.name.is_empty() && !metadata.generate_name.is_empty() {
            let room = 253 - 5;
            let prefix = metadata.generate_name.get(..room);
            let prefix = prefix.unwrap_or(&metadata.generate_name);
            metadata.name = format!("{prefix}{}", self.uids.ending());
        }
        let causes = validate::create(&lease);
        if !causes.is_empty() {
            return Err(Failure::invalid(&lease.metadata.name, causes));
        }
        Ok(lease)
    }

    /// Notes who wrote what.
    fn track(&self, live: Option<&Stored>, lease: &mut Lease, writer: Writer<'_>) {
        let nothing = Lease::default();
        let old = live.map_or(&nothing, |it| &it.lease);
        let changes = Changes::between(old, lease);
        let before = live.map(|it| &it.lease.metadata.managed_fields);
        let managed = lease
            .metadata
            .managed_fields
            .updated(before, &changes, writer);
        lease.metadata.managed_fields = managed;
    }

    /// Drops what is not stored: kind and version, and the fields that this version does not know.
    fn simplify(&self, lease: &mut Lease) {
        lease.kind.clear();
        lease.api_version.clear();
        if !self.config.version.knows_strategy() {
            lease.spec.strategy = None;
            lease.spec.preferred_holder = None;
        }
    }
}

/// Reads a version; absent is 0.
///
/// # Errors
///
/// 500, which is what the real server makes of it.
fn version(text: &str) -> Result<u64, Failure> {
    if text.is_empty() {
        return Ok(0);
    }
    super::parse_version(text).map_err(Failure::internal)
}

/// Fills in the namespace of the path, or refuses another.
fn check_namespace(namespace: &mut String, wanted: &str) -> Result<(), Failure> {
    if namespace.is_empty() {
        wanted.clone_into(namespace);
    }
    if namespace != wanted {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// 422 for an update that does not say of what. It names the resource where others name the kind.
fn unversioned(name: &str) -> Failure {
    let why = "must be specified for an update";
    let cause = Cause::invalid("metadata.resourceVersion", "0x0", why);
    let message = format!(
        "{RESOURCE}.{GROUP} {name:?} is invalid: metadata.resourceVersion: {}",
        cause.message
    );
    let mut failure = Failure::about(name, 422, "Invalid", message);
    failure.details = Some(Box::new(Details {
        causes: vec![cause],
        ..Details::lease(name)
    }));
    failure
}
