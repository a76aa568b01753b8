//! Reads: one Lease, or many, as they are or as they were.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    ApiServer, Outcome, base64,
    go_time::Stamp,
    object::Stored,
    route::Query,
    selector::{Filter, LabelSelector},
    status::{API_VERSION, Cause, Details, Failure},
    store::Store,
    submission::Write,
    table::Form,
    write::Deletion,
};

/// Where a list that was cut goes on.
#[derive(Debug, Deserialize, Serialize)]
struct Continue {
    v: String,
    rv: u64,
    start: String,
}

/// One page of a list.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) version: u64,
    pub(super) items: &'a [&'a Arc<Stored>],
    pub(super) next: Option<String>,
    pub(super) remaining: Option<usize>,
}

impl ApiServer {
    /// GET of one.
    pub(super) fn get(
        &self,
        namespace: &str,
        name: &str,
        query: &Query<'_>,
    ) -> Result<Arc<Stored>, Failure> {
        self.wanted_version(query)?;
        let found = self.store.get(namespace, name);
        found.cloned().ok_or_else(|| Failure::not_found(name))
    }

    /// GET of many.
    pub(super) fn list(
        &self,
        namespace: Option<&str>,
        query: &Query<'_>,
        form: Form,
        now: Stamp,
    ) -> Result<Outcome, Failure> {
        let filter = filter(namespace, query)?;
        let limit = limit(query)?;
        let token = query.get("continue").map(read_token).transpose()?;
        let past = self.past(query, limit, token.as_ref())?;
        let store = past.as_ref().unwrap_or(&self.store);
        let mut items = store.list(&filter);
        if let Some(token) = &token {
            let start = token.start.trim_end_matches('\0');
            items.retain(|it| key(it, namespace).as_str() > start);
        }
        let total = items.len();
        let shown = limit.map_or(total, |it| it.min(total));
        let (items, rest) = items.split_at(shown);
        let next = items.last().filter(|_| !rest.is_empty()).map(|it| {
            let token = Continue {
                v: "meta.k8s.io/v1".to_owned(),
                rv: store.version(),
                start: format!("{}\0", key(it, namespace)),
            };
            base64::encode(&super::status::json(&token))
        });
        let has_selector = ["fieldSelector", "labelSelector"]
            .iter()
            .any(|it| query.get(it).is_some());
        let page = Page {
            version: store.version(),
            items,
            remaining: next.as_ref().filter(|_| !has_selector).map(|_| rest.len()),
            next,
        };
        Ok(Outcome::Json(200, form.many(&page, query, now)))
    }

    /// DELETE of many.
    pub(super) fn remove_all(&mut self, write: &Write<'_>) -> Result<Outcome, Failure> {
        let filter = filter(Some(write.namespace), write.query)?;
        let is_dry_run = write.query.is_dry_run("DeleteOptions")?;
        let found: Vec<_> = self.store.list(&filter).into_iter().cloned().collect();
        let mut items = Vec::with_capacity(found.len());
        for live in found {
            items.push(match self.expunge(&live, write.now, is_dry_run) {
                Deletion::Gone(_) => live,
                Deletion::Pending(marked) => marked,
            });
        }
        let page = Page {
            version: self.store.version(),
            items: &items.iter().collect::<Vec<_>>(),
            next: None,
            remaining: None,
        };
        Ok(Outcome::Json(200, page.list()))
    }

    /// The version that a read asks for; nothing if any will do.
    ///
    /// # Errors
    ///
    /// 500 if it is no number; 504 if this server has not got that far, which happens to servers whose
    /// store was restored from a backup.
    pub(super) fn wanted_version(&self, query: &Query<'_>) -> Result<Option<u64>, Failure> {
        let Some(text) = query.get("resourceVersion") else {
            return Ok(None);
        };
        let version = super::parse_version(text).map_err(|why| {
            Failure::internal(format!("resourceVersion: Invalid value: {text:?}: {why}"))
        })?;
        if version > self.store.version() && !query.is_set("watch") {
            return Err(self.too_large(version));
        }
        Ok((version > 0).then_some(version))
    }

    /// The store as it was, where a list asks for that.
    fn past(
        &self,
        query: &Query<'_>,
        limit: Option<usize>,
        token: Option<&Continue>,
    ) -> Result<Option<Store>, Failure> {
        let version = self.wanted_version(query)?;
        let rule = query.get("resourceVersionMatch");
        if rule.is_some() && query.get("resourceVersion").is_none() {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            let cause = Cause::forbidden("resourceVersionMatch", why);
            return Err(Failure::invalid_options("ListOptions", vec![cause]));
        }
        let is_exact = rule == Some("Exact") || rule.is_none() && limit.is_some();
        let (version, too_old) = match (token, version) {
            (Some(token), _) => (
                token.rv,
                Failure::new(
                    410,
                    "Expired",
                    "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.",
                ),
            ),
            (None, Some(version)) if is_exact => (version, Failure::expired("list")),
            (None, _) => return Ok(None),
        };
        if version == self.store.version() {
            return Ok(None);
        }
        self.store.at(version).map(Some).ok_or(too_old)
    }

    /// 504 for a version that lies ahead.
    fn too_large(&self, version: u64) -> Failure {
        let details = Details {
            causes: vec![Cause {
                reason: "ResourceVersionTooLarge",
                message: "Too large resource version".to_owned(),
                field: String::new(),
            }],
            retry_after_seconds: Some(1),
            ..Details::default()
        };
        let current = self.store.version();
        let message = format!("Too large resource version: {version}, current: {current}");
        Failure {
            details: Some(Box::new(details)),
            ..Failure::new(504, "Timeout", format!("Timeout: {message}"))
        }
    }
}

impl Page<'_> {
    /// The page as a list of Leases.
    pub(super) fn list(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(256 + self.items.len() * 768);
        let opening = format!(
            r#"{{"kind":"LeaseList","apiVersion":"{API_VERSION}","metadata":{},"items":["#,
            self.metadata()
        );
        body.extend_from_slice(opening.as_bytes());
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            item.write_item(&mut body);
        }
        body.extend_from_slice(b"]}\n");
        body
    }

    /// The metadata of the list.
    pub(super) fn metadata(&self) -> String {
        let mut metadata = format!(r#"{{"resourceVersion":"{}""#, self.version);
        if let Some(next) = &self.next {
            metadata.push_str(&format!(r#","continue":"{next}""#));
        }
        if let Some(remaining) = self.remaining {
            metadata.push_str(&format!(r#","remainingItemCount":{remaining}"#));
        }
        metadata.push('}');
        metadata
    }
}

/// What a list or a watch asks for.
///
/// # Errors
///
/// 400 for selectors that cannot be read.
pub(super) fn filter(namespace: Option<&str>, query: &Query<'_>) -> Result<Filter, Failure> {
    Ok(Filter {
        namespace: namespace.map(str::to_owned),
        fields: query.fields()?,
        labels: query
            .get("labelSelector")
            .map_or_else(|| Ok(LabelSelector::default()), LabelSelector::parse)?,
    })
}

/// How many items are wanted at most.
fn limit(query: &Query<'_>) -> Result<Option<usize>, Failure> {
    let Some(text) = query.get("limit") else {
        return Ok(None);
    };
    let limit: usize = text.parse().map_err(|_| {
        Failure::bad_request(format!(
            "strconv.ParseInt: parsing {text:?}: invalid syntax"
        ))
    })?;
    Ok((limit > 0).then_some(limit))
}

/// Where a Lease stands in a list.
fn key(object: &Stored, namespace: Option<&str>) -> String {
    let metadata = &object.lease.metadata;
    match namespace {
        Some(_) => metadata.name.clone(),
        // A slash sorts after the characters '-' and '.'; the store sorts by namespaces first.
        None => format!("{}\u{1}{}", metadata.namespace, metadata.name),
    }
}

fn read_token(text: &str) -> Result<Continue, Failure> {
    base64::decode(text)
        .and_then(|it| serde_json::from_slice(&it).ok())
        .ok_or_else(|| Failure::bad_request("continue key is not valid"))
}
