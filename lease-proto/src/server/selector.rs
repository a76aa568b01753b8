//! Which objects a list or a watch is about: field selectors and label selectors.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    object::{Lease, Metadata},
    status::Failure,
};

/// Fields that an object must have.
#[derive(Clone, Debug, Default)]
pub(super) struct FieldSelector(Vec<(Field, bool, String)>);

/// The fields that can be selected by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Field {
    Name,
    Namespace,
}

/// Labels that an object must have.
#[derive(Clone, Debug, Default)]
pub(super) struct LabelSelector(Vec<Requirement>);

#[derive(Clone, Debug)]
enum Requirement {
    Exists(String),
    In(String, BTreeSet<String>),
    Missing(String),
    NotIn(String, BTreeSet<String>),
}

/// All that a list or a watch asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) namespace: Option<String>,
    pub(super) fields: FieldSelector,
    pub(super) labels: LabelSelector,
}

impl Filter {
    /// Whether an object is asked for.
    pub(super) fn matches(&self, lease: &Lease) -> bool {
        let metadata = &lease.metadata;
        self.namespace
            .as_ref()
            .is_none_or(|it| *it == metadata.namespace)
            && self.fields.matches(metadata)
            && self.labels.matches(&metadata.labels)
    }
}

impl FieldSelector {
    /// Reads `metadata.name=a,metadata.namespace!=b`.
    ///
    /// # Errors
    ///
    /// 400 for what cannot be read, or for a field that cannot be selected by.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let mut terms = Vec::new();
        for term in text.split(',').filter(|it| !it.is_empty()) {
            let parts = term
                .split_once("!=")
                .map(|(field, value)| (field, false, value))
                .or_else(|| {
                    term.split_once("==")
                        .map(|(field, value)| (field, true, value))
                })
                .or_else(|| {
                    term.split_once('=')
                        .map(|(field, value)| (field, true, value))
                });
            let Some((field, equal, value)) = parts else {
                return Err(Failure::bad_request(format!(
                    "invalid selector: '{text}'; can't understand '{term}'"
                )));
            };
            let field = match field {
                "metadata.name" => Field::Name,
                "metadata.namespace" => Field::Namespace,
                _ => {
                    return Err(Failure::bad_request(format!(
                        "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    )));
                }
            };
            terms.push((field, equal, value.to_owned()));
        }
        Ok(Self(terms))
    }

    /// The one name that is asked for, if there is one.
    pub(super) fn name(&self) -> Option<&str> {
        self.0
            .iter()
            .find(|it| it.0 == Field::Name && it.1)
            .map(|it| it.2.as_str())
            .filter(|it| !it.is_empty())
    }

    fn matches(&self, metadata: &Metadata) -> bool {
        self.0.iter().all(|(field, equal, value)| {
            let actual = match field {
                Field::Name => &metadata.name,
                Field::Namespace => &metadata.namespace,
            };
            (actual == value) == *equal
        })
    }
}

impl LabelSelector {
    /// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
    ///
    /// # Errors
    ///
    /// 400 for what cannot be read.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let mut requirements = Vec::new();
        for term in terms(text) {
            let requirement = requirement(term.trim()).ok_or_else(|| {
                Failure::bad_request(format!("unable to parse requirement: {term:?}"))
            })?;
            requirements.push(requirement);
        }
        Ok(Self(requirements))
    }

    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|it| match it {
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::In(key, values) => labels.get(key).is_some_and(|it| values.contains(it)),
            Requirement::Missing(key) => !labels.contains_key(key),
            Requirement::NotIn(key, values) => {
                labels.get(key).is_none_or(|it| !values.contains(it))
            }
        })
    }
}

/// Splits at the commas that are not inside of brackets.
fn terms(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|it| {
        match it {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        it == ',' && depth == 0
    })
    .filter(|it| !it.trim().is_empty())
    .collect()
}

fn requirement(term: &str) -> Option<Requirement> {
    let key = |it: &str| {
        let it = it.trim();
        let is_key = !it.is_empty() && !it.contains([' ', '(', ')', '=', '!']);
        is_key.then(|| it.to_owned())
    };
    let one = |it: &str| BTreeSet::from([it.trim().to_owned()]);
    let many = |it: &str| -> Option<BTreeSet<String>> {
        let inner = it.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inner.split(',').map(|it| it.trim().to_owned()).collect())
    };
    if let Some((left, right)) = term.split_once(" notin ") {
        return Some(Requirement::NotIn(key(left)?, many(right)?));
    }
    if let Some((left, right)) = term.split_once(" in ") {
        return Some(Requirement::In(key(left)?, many(right)?));
    }
    if let Some((left, right)) = term.split_once("!=") {
        return Some(Requirement::NotIn(key(left)?, one(right)));
    }
    if let Some((left, right)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Some(Requirement::In(key(left)?, one(right)));
    }
    if let Some(missing) = term.strip_prefix('!') {
        return Some(Requirement::Missing(key(missing)?));
    }
    Some(Requirement::Exists(key(term)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        LabelSelector::parse(selector).unwrap().matches(&labels)
    }

    #[test]
    fn labels_are_selected_by_every_kind_of_term() {
        let labels = [("app", "a"), ("tier", "db")];
        assert!(selects("app=a,tier==db", &labels));
        assert!(!selects("app=b", &labels));
        assert!(selects("app!=b,other!=c", &labels));
        assert!(selects("app in (a, b),tier notin (web,api)", &labels));
        assert!(selects("tier,!other", &labels));
        assert!(!selects("!tier", &labels));
        assert!(LabelSelector::parse("a in b").is_err());
    }

    #[test]
    fn unknown_fields_are_refused() {
        let failure = FieldSelector::parse("spec.holderIdentity=a").unwrap_err();
        assert_eq!(failure.code, 400);
        let selector = FieldSelector::parse("metadata.name=a,metadata.namespace!=b").unwrap();
        assert_eq!(selector.name(), Some("a"));
    }
}
