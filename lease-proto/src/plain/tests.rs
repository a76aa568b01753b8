//! What is asked, and what each answer means.

use super::*;

#[test]
fn requests_ask_for_what_they_say() {
    let (namespace, name) = names();
    let mut lease = Lease::new("elsewhere", "one");
    lease.metadata.uid = Some("u".to_owned());
    lease.metadata.resource_version = Some(ResourceVersion::new("7"));
    let base = "/apis/coordination.k8s.io/v1/namespaces/team/leases";
    let created = create(&namespace, &lease);
    let body = String::from_utf8(created.body().clone()).unwrap();
    assert_eq!(
        created.uri().to_string(),
        format!("{base}?fieldManager=lease-plain")
    );
    assert!(
        !body.contains("uid") && !body.contains("resourceVersion"),
        "{body}"
    );
    assert!(body.contains(r#""namespace":"team""#), "{body}");
    let updated = update(&namespace, &name, &lease).unwrap();
    let body = String::from_utf8(updated.body().clone()).unwrap();
    assert_eq!(
        updated.uri().to_string(),
        format!("{base}/one?fieldManager=lease-plain")
    );
    assert!(
        body.contains(r#""uid":"u""#) && body.contains(r#""resourceVersion":"7""#),
        "{body}"
    );
    let deleted = delete(&namespace, &name, &Preconditions::unchanged(&lease));
    let body = String::from_utf8(deleted.body().clone()).unwrap();
    assert!(
        body.contains(r#""preconditions":{"resourceVersion":"7","uid":"u"}"#),
        "{body}"
    );
    assert!(
        !delete(&namespace, &name, &Preconditions::none())
            .body()
            .windows(4)
            .any(|part| part == b"cond")
    );
    let page = list(Some(&namespace), Some("a+b/c=&x"));
    assert_eq!(
        page.uri().to_string(),
        format!("{base}?limit=250&continue=a%2Bb%2Fc%3D%26x")
    );
}

#[test]
fn an_update_without_what_was_read_is_not_sent() {
    let (namespace, name) = names();
    let mut lease = Lease::new("team", "one");
    lease.metadata.resource_version = Some(ResourceVersion::new("7"));
    assert_eq!(
        update(&namespace, &name, &lease).unwrap_err(),
        ApiError::NotRead
    );
}

#[test]
fn a_404_that_is_not_about_leases_is_no_absence() {
    let (namespace, name) = names();
    for body in [
        "<html>not found</html>",
        "404 page not found\n",
        r#"{"kind":"Status","details":{}}"#,
    ] {
        let error = read_get(&namespace, &name, &answer(404, body)).unwrap_err();
        assert!(matches!(error, ApiError::NotFound(_)), "{error:?}");
        assert!(error.advice().unwrap().contains("API server"));
        assert!(read_delete(&namespace, &name, &answer(404, body)).is_err());
    }
    let absent = answer(404, r#"{"details":{"kind":"leases","name":"one"}}"#);
    assert_eq!(read_get(&namespace, &name, &absent), Ok(None));
    assert_eq!(read_delete(&namespace, &name, &absent), Ok(false));
}

#[test]
fn an_answer_that_is_no_lease_is_unreadable() {
    let (namespace, name) = names();
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "<html>",
        r#"{"kind":"Pod","metadata":{"name":"one"}}"#,
    ] {
        let error = read_get(&namespace, &name, &answer(200, body)).unwrap_err();
        let expected = ApiError::Unreadable {
            status: StatusCode::OK,
        };
        assert_eq!(error, expected, "{body}");
        assert!(read_update(&namespace, &name, &answer(200, body)).is_err());
        assert!(read_create(&namespace, &name, &answer(201, body)).is_err());
    }
    assert!(read_list(Some(&namespace), &answer(200, "<html>")).is_err());
}

#[test]
fn a_201_to_an_update_is_no_update() {
    let (namespace, name) = names();
    let body = r#"{"metadata":{"name":"one","resourceVersion":"9"}}"#;
    assert!(read_update(&namespace, &name, &answer(200, body)).is_ok());
    let error = read_update(&namespace, &name, &answer(201, body)).unwrap_err();
    assert!(matches!(error, ApiError::Unexpected(_)), "{error:?}");
}

#[test]
fn status_and_reason_make_the_error() {
    type Check = fn(&ApiError) -> bool;
    let (namespace, name) = names();
    let cases: [(u16, &str, Check); 11] = [
        (400, "BadRequest", |error| {
            matches!(error, ApiError::Invalid(_))
        }),
        (401, "Unauthorized", |error| {
            matches!(error, ApiError::Unauthorized(_))
        }),
        (403, "Forbidden", |error| {
            matches!(error, ApiError::Forbidden(_))
        }),
        (409, "AlreadyExists", |error| {
            matches!(error, ApiError::AlreadyExists(_))
        }),
        (409, "Conflict", |error| {
            matches!(error, ApiError::Conflict(_))
        }),
        (409, "", |error| matches!(error, ApiError::Conflict(_))),
        (422, "Invalid", |error| {
            matches!(error, ApiError::Invalid(_))
        }),
        (429, "", |error| {
            matches!(error, ApiError::TooManyRequests(_))
        }),
        (500, "InternalError", |error| {
            matches!(error, ApiError::Server(_))
        }),
        (504, "Timeout", |error| matches!(error, ApiError::Server(_))),
        (302, "", |error| matches!(error, ApiError::Unexpected(_))),
    ];
    for (status, reason, check) in cases {
        let body = format!(r#"{{"reason":"{reason}","message":"because"}}"#);
        let error = read_create(&namespace, &name, &answer(status, &body)).unwrap_err();
        assert!(check(&error), "{status} {reason}: {error:?}");
        assert!(error.to_string().contains("because"), "{error}");
    }
    let missing = answer(404, r#"{"details":{"kind":"namespaces","name":"team"}}"#);
    let error = read_create(&namespace, &name, &missing).unwrap_err();
    assert!(matches!(error, ApiError::NamespaceMissing(_)), "{error:?}");
}

#[test]
fn a_page_names_the_next_one() {
    let (namespace, _) = names();
    let body = r#"{"metadata":{"continue":"abc"},"items":[{"metadata":{"name":"one"}}]}"#;
    let (leases, next) = read_list(Some(&namespace), &answer(200, body)).unwrap();
    assert_eq!((leases.len(), next.as_deref()), (1, Some("abc")));
    let last = r#"{"metadata":{"continue":""},"items":[]}"#;
    assert_eq!(
        read_list(Some(&namespace), &answer(200, last)).unwrap().1,
        None
    );
}

fn names() -> (Namespace, LeaseName) {
    (
        Namespace::new("team").unwrap(),
        LeaseName::new("one").unwrap(),
    )
}

fn answer(status: u16, body: &str) -> Response<Vec<u8>> {
    Response::builder()
        .status(status)
        .body(body.as_bytes().to_vec())
        .unwrap()
}
