//! What clients read to know how a Lease is written: OpenAPI, as far as kubectl asks for it.

use serde_json::{Value, json};

/// What `/openapi/v3` answers: where the documents are.
pub(super) fn index() -> Value {
    json!({"paths": {PATH: {"serverRelativeURL": format!("/openapi/v3/{PATH}")}}})
}

/// The document of Leases. That writes take `fieldValidation` tells kubectl to leave that to the server.
pub(super) fn leases() -> Value {
    let text = |name: &str| json!({"in": "query", "name": name, "schema": {"type": "string", "uniqueItems": true}});
    let write = |action: &str| {
        json!({
            "parameters": PARAMETERS.map(text),
            "responses": {"200": {"description": "OK", "content": {"application/json": {
                "schema": {"$ref": format!("#/components/schemas/{LEASE}")},
            }}}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind(),
        })
    };
    let all = all();
    let schemas: serde_json::Map<_, _> = schemas("#/components/schemas/")
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect();
    json!({
        "openapi": "3.0.0",
        "info": {"title": TITLE, "version": "v1"},
        "paths": {
            format!("{all}/{{name}}"): {"put": write("put"), "patch": write("patch")},
            all: {"post": write("post")},
        },
        "components": {"schemas": schemas},
    })
}

/// The older document, as Protocol Buffers: the only form in which kubectl up to v1.26 reads it, which checks by it what it
/// sends, and asks for no dry run unless it says that a PATCH takes that.
pub(super) fn version_2() -> Vec<u8> {
    let mut definitions = Message::default();
    for (name, schema) in schemas("#/definitions/") {
        definitions.put(1, named(name, encoded(&schema)));
    }
    let mut info = Message::default();
    info.put(1, TITLE).put(2, "v1");
    let mut document = Message::default();
    document
        .put(1, "2.0")
        .put(2, info)
        .put(8, paths())
        .put(9, definitions);
    document.0
}

/// What can be written where. The numbers are those of gnostic's OpenAPIv2.proto, from `Paths` down.
fn paths() -> Message {
    let (put, post, patch) = (3, 4, 8);
    let mut one = Message::default();
    one.put(put, operation()).put(patch, operation());
    let mut several = Message::default();
    several.put(post, operation());
    let mut paths = Message::default();
    paths
        .put(2, named(&format!("{}/{{name}}", all()), one))
        .put(2, named(&all(), several));
    paths
}

fn operation() -> Message {
    let mut operation = Message::default();
    for name in PARAMETERS {
        let mut query = Message::default();
        query.put(2, "query").put(4, name).put(6, "string");
        // One that is not the body, a parameter and no reference to one, and an item of the list.
        let nested = [3, 2, 1].into_iter().fold(query, |inner, field| {
            let mut outer = Message::default();
            outer.put(field, inner);
            outer
        });
        operation.put(8, nested);
    }
    operation.put(13, extension(&kind()));
    operation
}

/// Where the Leases of a namespace are.
fn all() -> String {
    format!("/{PATH}/namespaces/{{namespace}}/leases")
}

/// How a Lease is written, and its parts. References begin with `root`.
fn schemas(root: &str) -> [(&'static str, Value); 3] {
    let text = |description: &str| json!({"type": "string", "description": description});
    let number = |description: &str| json!({"type": "integer", "format": "int32", "description": description});
    let time = |description: &str| json!({"type": "string", "format": "date-time", "description": description});
    let lease = json!({
        "type": "object",
        "description": "Lease defines a lease concept.",
        "properties": {
            "apiVersion": text("The version of this representation: coordination.k8s.io/v1."),
            "kind": text("What it is: Lease."),
            "metadata": {"$ref": format!("{root}{META}")},
            "spec": {"$ref": format!("{root}{SPEC}")},
        },
        "x-kubernetes-group-version-kind": [kind()],
    });
    let spec = json!({
        "type": "object",
        "description": "Who holds a Lease, and for how long.",
        "properties": {
            "acquireTime": time("When its holder acquired it."),
            "holderIdentity": text("Who holds it; nobody if that is empty."),
            "leaseDurationSeconds": number("For how long after they saw it renewed others wait."),
            "leaseTransitions": number("How often it went from one holder to another."),
            "preferredHolder": text("Who is to hold it next, of those that a controller chooses from."),
            "renewTime": time("When its holder renewed it last."),
            "strategy": text("How a controller chooses the holder, if one does."),
        },
    });
    let texts = |description: &str| {
        let texts = json!({"type": "string"});
        json!({"type": "object", "additionalProperties": texts, "description": description})
    };
    let objects = |description: &str| {
        let object = json!({"type": "object"});
        json!({"type": "array", "items": object, "description": description})
    };
    let names = json!({"type": "array", "items": {"type": "string"}, "description": "Who must agree before it is deleted."});
    let meta = json!({
        "type": "object",
        "description": "Which Lease it is, and what is attached to it.",
        "properties": {
            "annotations": texts("What programs attach to it."),
            "clusterName": text("Of no use."),
            "creationTimestamp": time("When it was created."),
            "deletionGracePeriodSeconds": number("Of no use for Leases."),
            "deletionTimestamp": time("When it was asked to be deleted."),
            "finalizers": names,
            "generateName": text("What its name is to begin with, where it is to get one."),
            "generation": number("Of no use for Leases."),
            "labels": texts("What it can be selected by."),
            "managedFields": objects("Who has written which fields."),
            "name": text("Its name, of which there is one in a namespace."),
            "namespace": text("Its namespace."),
            "ownerReferences": objects("With which objects it is deleted."),
            "resourceVersion": text("Its version, for a compare-and-swap."),
            "selfLink": text("Of no use."),
            "uid": text("Which of the Leases of that name that there have been."),
        },
    });
    [(LEASE, lease), (META, meta), (SPEC, spec)]
}

fn kind() -> Value {
    json!({"group": "coordination.k8s.io", "kind": "Lease", "version": "v1"})
}

/// A message as Protocol Buffers has it, of fields that have lengths.
#[derive(Default)]
struct Message(Vec<u8>);

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Message {
    fn put(&mut self, field: u8, value: impl AsRef<[u8]>) -> &mut Self {
        let value = value.as_ref();
        // Length-delimited, which is wire type 2.
        self.varint(usize::from(field) << 3 | 2);
        self.varint(value.len());
        self.0.extend(value);
        self
    }

    fn varint(&mut self, mut number: usize) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }
}

fn named(name: &str, value: Message) -> Message {
    let mut named = Message::default();
    named.put(1, name).put(2, value);
    named
}

/// Encodes a schema. The numbers are those of `openapi_v2.Schema` in gnostic's OpenAPIv2.proto.
fn encoded(schema: &Value) -> Message {
    let mut message = Message::default();
    for (key, field) in [("$ref", 1), ("format", 2), ("description", 4)] {
        if let Some(text) = schema[key].as_str() {
            message.put(field, text);
        }
    }
    if let Some(name) = schema["type"].as_str() {
        let mut names = Message::default();
        names.put(1, name);
        message.put(22, names);
    }
    if let Some(members) = schema["properties"].as_object() {
        let mut properties = Message::default();
        for (name, member) in members {
            properties.put(1, named(name, encoded(member)));
        }
        message.put(25, properties);
    }
    if let Some(value) = schema.get("additionalProperties") {
        let mut item = Message::default();
        item.put(1, encoded(value));
        message.put(21, item);
    }
    if let Some(value) = schema.get("items") {
        let mut item = Message::default();
        item.put(1, encoded(value));
        message.put(23, item);
    }
    if let Some(kinds) = schema.get(KINDS) {
        message.put(31, extension(kinds));
    }
    message
}

/// Which kinds something is about, as a vendor's extension.
fn extension(kinds: &Value) -> Message {
    // JSON is YAML.
    let mut any = Message::default();
    any.put(2, kinds.to_string());
    named(KINDS, any)
}

const PATH: &str = "apis/coordination.k8s.io/v1";
/// What writes take.
const PARAMETERS: [&str; 3] = ["dryRun", "fieldManager", "fieldValidation"];
const KINDS: &str = "x-kubernetes-group-version-kind";
const TITLE: &str = "Kubernetes";
const LEASE: &str = "io.k8s.api.coordination.v1.Lease";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const SPEC: &str = "io.k8s.api.coordination.v1.LeaseSpec";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_groups_of_seven_bits() {
        let mut message = Message::default();
        message.put(31, "x".repeat(300));
        // 31 << 3 | 2 = 250, and 300.
        assert_eq!(message.0[..4], [0xfa, 0x01, 0xac, 0x02]);
        assert_eq!(message.0.len(), 4 + 300);
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document = leases();
        let text = document.to_string();
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(
                document["components"]["schemas"][name].is_object(),
                "{name}"
            );
        }
        assert_eq!(text.matches("#/components/schemas/").count(), 5);
    }

    /// All fields of that number in a message of fields that have lengths.
    fn fields(mut message: &[u8], number: usize) -> Vec<&[u8]> {
        fn varint(message: &mut &[u8]) -> usize {
            let mut value = 0;
            for shift in (0..).step_by(7) {
                let (byte, rest) = message.split_first().unwrap();
                *message = rest;
                value |= usize::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            value
        }
        let mut found = Vec::new();
        while !message.is_empty() {
            let key = varint(&mut message);
            let length = varint(&mut message);
            let (value, rest) = message.split_at(length);
            message = rest;
            if key >> 3 == number {
                found.push(value);
            }
        }
        found
    }

    fn within<'a>(message: &'a [u8], path: &[usize]) -> &'a [u8] {
        path.iter()
            .fold(message, |message, number| fields(message, *number)[0])
    }

    #[test]
    fn the_older_document_says_that_a_patch_of_a_lease_may_be_tried() {
        let document = version_2();
        let item = fields(within(&document, &[8]), 2)[0];
        assert!(within(item, &[1]).ends_with(b"/leases/{name}"));
        let patch = within(item, &[2, 8]);
        let names: Vec<_> = fields(patch, 8)
            .iter()
            .map(|parameter| within(parameter, &[1, 2, 3, 4]))
            .collect();
        assert_eq!(names, PARAMETERS.map(str::as_bytes));
        assert_eq!(within(patch, &[13, 1]), KINDS.as_bytes());
        let kinds: Value = serde_json::from_slice(within(patch, &[13, 2, 2])).unwrap();
        assert_eq!(kinds, kind());
    }
}
