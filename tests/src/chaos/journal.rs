//! Where everything that becomes known of a run is written down while it goes on.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    boot::{self, Micros},
    chaos::log::{Entry, Harm, Process, Version, What},
};

/// Where everything that becomes known of a run is written down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal(Arc<Mutex<Pages>>);

/// What it holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages {
    pub(crate) entries: Vec<Entry>,
    pub(crate) versions: Vec<Version>,
    /// What was done to claimants and servers.
    pub(crate) harms: Vec<Harm>,
    /// What went wrong that no log shows, and when.
    pub(crate) failures: Vec<(Micros, String)>,
}

impl Journal {
    pub(crate) fn enter(&self, at: Micros, process: &Process, what: What) {
        let process = process.clone();
        self.with(|pages| pages.entries.push(Entry { at, process, what }));
    }

    pub(crate) fn enter_version(&self, version: Version) {
        self.with(|pages| pages.versions.push(version));
    }

    pub(crate) fn enter_harm(&self, harm: Harm) {
        self.with(|pages| pages.harms.push(harm));
    }

    pub(crate) fn fail(&self, what: String) {
        self.with(|pages| pages.failures.push((boot::now(), what)));
    }

    pub(crate) fn read(&self) -> Pages {
        self.with(|pages| pages.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Pages) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
