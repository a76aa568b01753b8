//! What is read is written as it was, and times mean what jiff says that they mean.

use jiff::{Timestamp, tz::Offset};
use lease_proto::wire::{
    Identity, Lease, LeaseList, LeaseName, LeaseSpec, Members, MicroTime, Namespace, ObjectMeta,
    RawTime, ResourceVersion, Status,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::cases;

/// Any JSON, three levels deep at most.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Eighths, since comparing as floats is not exact for all.
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// An object with some of the fields given, and others that nobody knows.
fn object(known: Vec<(&'static str, BoxedStrategy<Value>)>) -> impl Strategy<Value = Value> {
    let known: Vec<_> = known
        .into_iter()
        .map(|(name, value)| prop::option::of(value).prop_map(move |value| (name, value)))
        .collect();
    let unknown = prop::collection::btree_map("x[a-zA-Z0-9\u{e4}]{0,8}", any_json(), 0..4);
    (known, unknown).prop_map(|(known, unknown)| {
        let mut map: Map<String, Value> = unknown.into_iter().collect();
        for (name, value) in known {
            if let Some(value) = value {
                map.insert(name.to_owned(), value);
            }
        }
        Value::Object(map)
    })
}

fn text() -> BoxedStrategy<Value> {
    ".{1,12}".prop_map(Value::from).boxed()
}

fn number() -> BoxedStrategy<Value> {
    any::<i64>().prop_map(Value::from).boxed()
}

fn spec() -> impl Strategy<Value = Value> {
    object(vec![
        ("holderIdentity", text()),
        ("leaseDurationSeconds", number()),
        ("acquireTime", text()),
        ("renewTime", text()),
        ("leaseTransitions", number()),
        ("strategy", text()),
        ("preferredHolder", text()),
    ])
}

fn meta() -> impl Strategy<Value = Value> {
    object(vec![
        ("name", text()),
        ("namespace", text()),
        ("uid", text()),
        ("resourceVersion", text()),
        ("labels", any_json().boxed()),
        ("annotations", any_json().boxed()),
    ])
}

fn lease() -> impl Strategy<Value = Value> {
    let unknown = prop::collection::btree_map("x[a-z]{0,6}", any_json(), 0..3);
    (spec(), meta(), unknown).prop_map(|(spec, meta, unknown)| {
        let mut map: Map<String, Value> = unknown.into_iter().collect();
        map.insert("apiVersion".to_owned(), json!("coordination.k8s.io/v1"));
        map.insert("kind".to_owned(), json!("Lease"));
        map.insert("metadata".to_owned(), meta);
        map.insert("spec".to_owned(), spec);
        Value::Object(map)
    })
}

/// A time in each of the forms that RFC 3339 allows, with the time that it means.
fn rfc_3339() -> impl Strategy<Value = (String, Timestamp)> {
    (
        -62_167_000_000_i64..253_402_100_000,
        0_i32..1_000_000_000,
        0_usize..=9,
        prop::option::of((-23_i32..=23, 0_i32..60)),
        any::<(bool, bool)>(),
    )
        .prop_map(|(second, nanos, digits, offset, (small_t, small_z))| {
            let cut = 10_i32.pow(u32::try_from(9 - digits).expect("at most 9"));
            let nanos = nanos / cut * cut;
            let time = Timestamp::new(second, nanos).expect("inside the calendar");
            let (hours, minutes) = offset.unwrap_or_default();
            let minutes = hours * 60 + if hours < 0 { -minutes } else { minutes };
            let shown = Offset::from_seconds(minutes * 60)
                .expect("less than a day")
                .to_datetime(time);
            let fraction = format!("{:09}", shown.subsec_nanosecond());
            let fraction = match digits {
                0 => String::new(),
                digits => format!(".{}", fraction.get(..digits).unwrap_or_default()),
            };
            let t = if small_t { 't' } else { 'T' };
            let zone = match offset {
                None if small_z => "z".to_owned(),
                None => "Z".to_owned(),
                Some(_) => {
                    let sign = if minutes < 0 { '-' } else { '+' };
                    let minutes = minutes.abs();
                    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
                }
            };
            let text = format!(
                "{:04}-{:02}-{:02}{t}{:02}:{:02}:{:02}{fraction}{zone}",
                shown.year(),
                shown.month(),
                shown.day(),
                shown.hour(),
                shown.minute(),
                shown.second(),
            );
            (text, time)
        })
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn a_lease_is_written_as_it_was_read(value in lease()) {
        let lease: Lease = serde_json::from_value(value.clone()).expect("a Lease");
        let written = serde_json::to_string(&lease).expect("it has a form");
        let read: Value = serde_json::from_str(&written).expect("it is JSON");
        prop_assert_eq!(&read, &value);
        let again: Lease = serde_json::from_str(&written).expect("still a Lease");
        prop_assert_eq!(serde_json::to_string(&again).expect("it has a form"), written);
        prop_assert_eq!(again, lease);
    }

    #[test]
    fn each_part_of_a_lease_is_written_as_it_was_read(spec in spec(), meta in meta(), any in any_json()) {
        let part: LeaseSpec = serde_json::from_value(spec.clone()).expect("a spec");
        prop_assert_eq!(serde_json::to_value(&part).expect("it has a form"), spec.clone());
        let part: ObjectMeta = serde_json::from_value(meta.clone()).expect("metadata");
        prop_assert_eq!(serde_json::to_value(&part).expect("it has a form"), meta);
        let is_object = any.is_object();
        let part = serde_json::from_value::<Members>(any.clone());
        prop_assert_eq!(part.is_ok(), is_object);
        if let Ok(part) = part {
            prop_assert_eq!(serde_json::to_value(&part).expect("it has a form"), any);
        }
        let list = json!({"kind": "LeaseList", "metadata": {"continue": "c"}, "items": [{"spec": spec}]});
        let list: LeaseList = serde_json::from_value(list).expect("a list");
        prop_assert_eq!(serde_json::to_value(&list.items[0].spec).expect("it has a form"), spec);
        prop_assert!(list.metadata.get("continue").is_some());
    }

    #[test]
    fn managed_fields_are_read_and_never_written(mut value in lease(), fields in any_json()) {
        value["metadata"]["managedFields"] = fields.clone();
        let lease: Lease = serde_json::from_value(value.clone()).expect("a Lease");
        let written = serde_json::to_value(&lease).expect("it has a form");
        prop_assert!(written["metadata"].get("managedFields").is_none());
        let read: Option<Value> = lease.metadata.managed_fields.and_then(|fields| fields.read());
        prop_assert_eq!(read.unwrap_or_default(), fields);
    }

    #[test]
    fn one_label_is_set_and_all_else_stays(meta in meta(), key in ".{0,8}", value in ".{0,8}") {
        let mut changed: ObjectMeta = serde_json::from_value(meta.clone()).expect("metadata");
        changed.set_label(key.clone(), value.clone());
        let before: ObjectMeta = serde_json::from_value(meta).expect("metadata");
        let mut expected = before.labels();
        expected.insert(key, value);
        prop_assert_eq!(changed.labels(), expected);
        prop_assert_eq!(changed.annotations(), before.annotations());
        prop_assert_eq!((&changed.name, &changed.uid), (&before.name, &before.uid));
    }

    #[test]
    fn any_bytes_and_any_json_have_a_status(value in any_json(), bytes in any::<Vec<u8>>(), word in "[a-zA-Z]{1,20}") {
        let _ = Status::read(&bytes);
        let body = json!({"reason": word, "message": value, "details": {"kind": value, "retryAfterSeconds": value}});
        let status = Status::read(body.to_string().as_bytes());
        prop_assert_eq!(status.reason, word);
        prop_assert_eq!(status.message, value.as_str().unwrap_or_default());
        prop_assert_eq!(status.details.retry_after_seconds, value.as_u64().unwrap_or_default());
    }

    #[test]
    fn every_form_of_a_time_means_what_jiff_says((text, time) in rfc_3339()) {
        let read: MicroTime = text.parse().expect(&text);
        let micros = time.as_nanosecond().div_euclid(1_000);
        prop_assert_eq!(i128::from(read.as_micros()), micros, "{}", text);
        prop_assert_eq!(RawTime::new(text.as_str()).time(), Some(read));
        let written = read.to_string();
        let again: Timestamp = written.parse().expect("jiff reads it");
        prop_assert_eq!(again.as_nanosecond(), micros * 1_000, "{}", written);
    }

    #[test]
    fn every_number_of_microseconds_comes_back(micros in any::<i64>()) {
        let time = MicroTime::from_micros(micros);
        prop_assert_eq!(time.to_string().parse(), Ok(time));
        prop_assert_eq!(time.to_string().len(), 27);
    }

    #[test]
    fn versions_are_numbers_exactly_if_they_are_written_like_one(number in any::<u128>(), text in "[0-9a+-]{0,40}") {
        let version = ResourceVersion::new(number.to_string());
        prop_assert_eq!(version.number(), Some(number).filter(|number| *number > 0));
        let parsed = text.parse::<u128>().ok().filter(|parsed| parsed.to_string() == text && *parsed > 0);
        prop_assert_eq!(ResourceVersion::new(text).number(), parsed);
    }

    #[test]
    fn names_that_the_server_takes_are_taken(
        label in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
        more in "[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?",
        any in "[a-z0-9A-Z.-]{0,6}",
    ) {
        prop_assert!(Namespace::new(label.as_str()).is_ok());
        let name = format!("{label}.{more}");
        prop_assert!(LeaseName::new(name.as_str()).is_ok() && Namespace::new(name).is_err());
        let is_label = |text: &str| {
            let inner = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            !text.is_empty() && inner && !text.starts_with('-') && !text.ends_with('-')
        };
        prop_assert_eq!(Namespace::new(any.as_str()).is_ok(), is_label(&any));
        prop_assert_eq!(LeaseName::new(any.as_str()).is_ok(), any.split('.').all(is_label));
        let long = "a".repeat(300);
        let long = |length: usize| long.get(..length).unwrap_or_default().to_owned();
        prop_assert!(Namespace::new(long(63)).is_ok() && Namespace::new(long(64)).is_err());
        prop_assert!(LeaseName::new(long(253)).is_ok() && LeaseName::new(long(254)).is_err());
        prop_assert!(Identity::new(long(253)).is_ok() && Identity::new(long(254)).is_err());
    }

    #[test]
    fn any_line_of_text_is_an_identity(text in "\\PC{1,60}") {
        let is_plain = text.trim() == text && text.len() <= 253 && !text.is_empty();
        prop_assert_eq!(Identity::new(text.as_str()).is_ok(), is_plain);
        let with_bell = format!("a{text}\u{7}");
        prop_assert!(Identity::new(with_bell).is_err());
    }
}
