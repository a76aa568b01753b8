//! The plain calls, against the API server of the core.

use std::sync::Mutex;
use std::time::SystemTime;

use lease_proto::access::{Access, Secret, ServerUrl};
use lease_proto::plain::{ApiError, Preconditions};
use lease_proto::server::{self, ApiServer, Rule};
use lease_proto::wire::Lease;

use crate::driver::{Driver, Failure};
use crate::server::{Answer, Server, rendered};

crate::scenarios! {
    a_lease_is_created_read_updated_and_deleted,
    a_missing_namespace_is_told_from_a_missing_lease,
    a_missing_verb_is_named_with_the_role_that_grants_it,
    a_name_that_cannot_be_one_is_not_sent,
    a_refused_token_is_read_again_before_the_call_fails,
    an_unknown_token_is_no_missing_verb,
    deletion_can_be_bound_to_what_was_read,
    long_lists_come_page_by_page,
    what_others_put_into_a_lease_stays,
}

fn a_lease_is_created_read_updated_and_deleted<D: Driver>() {
    let server = serve(ApiServer::new());
    let client = client::<D>(&server, None);
    assert!(client.lease("one").unwrap().is_none());
    let created = client.create(&named("one")).unwrap();
    assert_eq!(created.metadata.namespace, "team");
    assert!(matches!(
        api::<D, _>(client.create(&named("one"))),
        ApiError::AlreadyExists(_)
    ));
    let mut read = client.lease("one").unwrap().unwrap();
    assert_eq!(
        read.metadata.resource_version,
        created.metadata.resource_version
    );
    read.spec.holder_identity = Some("me".to_owned());
    let updated = client.update(&read).unwrap();
    assert_ne!(
        updated.metadata.resource_version,
        read.metadata.resource_version
    );
    read.spec.holder_identity = Some("late".to_owned());
    assert!(matches!(
        api::<D, _>(client.update(&read)),
        ApiError::Conflict(_)
    ));
    assert_eq!(
        client.lease("one").unwrap().unwrap().spec.holder(),
        Some("me")
    );
    assert!(client.delete("one", &Preconditions::none()).unwrap());
    assert!(!client.delete("one", &Preconditions::none()).unwrap());
    assert!(matches!(
        api::<D, _>(client.update(&updated)),
        ApiError::Conflict(_)
    ));
    assert!(
        client.lease("one").unwrap().is_none(),
        "an update does not bring a deleted Lease back"
    );
    assert_eq!(api::<D, _>(client.update(&named("one"))), ApiError::NotRead);
}

fn what_others_put_into_a_lease_stays<D: Driver>() {
    let server = serve(ApiServer::new());
    let client = client::<D>(&server, None);
    let mut lease = named("one");
    lease.metadata.set_label("app", "x");
    let mut read = client.create(&lease).unwrap();
    read.spec.lease_duration_seconds = Some(15);
    client.update(&read).unwrap();
    let stored = client.lease("one").unwrap().unwrap();
    assert_eq!(stored.metadata.labels()["app"], "x");
    assert_eq!(stored.spec.lease_duration_seconds, Some(15));
    let writes = server
        .seen()
        .into_iter()
        .filter(|seen| !seen.line.starts_with("GET"));
    for write in writes {
        assert!(
            write.line.contains("fieldManager=lease-plain"),
            "{}",
            write.line
        );
        assert!(
            !String::from_utf8(write.body)
                .unwrap()
                .contains("managedFields")
        );
    }
}

fn deletion_can_be_bound_to_what_was_read<D: Driver>() {
    let server = serve(ApiServer::new());
    let client = client::<D>(&server, None);
    let first = client.create(&named("one")).unwrap();
    client.delete("one", &Preconditions::none()).unwrap();
    let second = client.create(&named("one")).unwrap();
    let stale = Preconditions::unchanged(&first);
    assert!(matches!(
        api::<D, _>(client.delete("one", &stale)),
        ApiError::Conflict(_)
    ));
    assert!(
        client
            .delete("one", &Preconditions::unchanged(&second))
            .unwrap()
    );
}

fn long_lists_come_page_by_page<D: Driver>() {
    let server = serve(ApiServer::new());
    let client = client::<D>(&server, None);
    assert_eq!(client.list().unwrap().len(), 0);
    for index in 0..3 {
        client.create(&named(&format!("lease-{index}"))).unwrap();
    }
    let names: Vec<_> = client
        .list()
        .unwrap()
        .into_iter()
        .map(|lease| lease.metadata.name)
        .collect();
    assert_eq!(names, ["lease-0", "lease-1", "lease-2"]);
    let paged = Server::start(|seen| {
        let body = match seen.line.contains("continue=next") {
            true => r#"{"metadata":{},"items":[{"metadata":{"name":"b"}}]}"#,
            false => r#"{"metadata":{"continue":"next"},"items":[{"metadata":{"name":"a"}}]}"#,
        };
        Answer::Keep(crate::server::answer("200 OK", body))
    });
    let leases = self::client::<D>(&paged, None).list().unwrap();
    let names: Vec<_> = leases
        .into_iter()
        .map(|lease| lease.metadata.name)
        .collect();
    assert_eq!(names, ["a", "b"]);
}

fn a_missing_verb_is_named_with_the_role_that_grants_it<D: Driver>() {
    let reader = Rule::new("reader")
        .verbs([server::Verb::Get])
        .namespace("team");
    let server = serve(
        ApiServer::builder()
            .user("abc", "reader")
            .rule(reader)
            .build(),
    );
    let client = client::<D>(&server, Some("abc"));
    assert!(client.lease("one").unwrap().is_none());
    for (error, verb) in [
        (api::<D, _>(client.create(&named("one"))), "create"),
        (
            api::<D, _>(client.delete("one", &Preconditions::none())),
            "delete",
        ),
        (api::<D, _>(client.list()), "list"),
    ] {
        assert!(matches!(error, ApiError::Forbidden(_)), "{error:?}");
        let advice = error.advice().unwrap();
        assert!(
            advice.contains(&format!("lacks the verb \"{verb}\"")),
            "{advice}"
        );
        assert!(
            advice.contains("kind: Role") && advice.contains("namespace: team"),
            "{advice}"
        );
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

fn an_unknown_token_is_no_missing_verb<D: Driver>() {
    let server = serve(ApiServer::builder().user("abc", "somebody").build());
    let error = api::<D, _>(client::<D>(&server, Some("wrong")).lease("one"));
    assert!(matches!(error, ApiError::Unauthorized(_)), "{error:?}");
    assert!(error.advice().unwrap().contains("expired"));
}

fn a_refused_token_is_read_again_before_the_call_fails<D: Driver>() {
    let server = serve(ApiServer::builder().admin("new", "admin").build());
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("token");
    std::fs::write(&path, "old").unwrap();
    let mut access = access(&server);
    access.auth.token = Some(path.clone().into());
    let client = D::from_access(&access).unwrap();
    let error = api::<D, _>(client.lease("one"));
    assert!(matches!(error, ApiError::Unauthorized(_)), "{error:?}");
    // Another token of the same length and time: only the refusal tells.
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::write(&path, "new").unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(modified).unwrap();
    client.create(&named("one")).unwrap();
    assert!(client.lease("one").unwrap().is_some());
}

fn a_missing_namespace_is_told_from_a_missing_lease<D: Driver>() {
    let server = serve(ApiServer::builder().namespaces(["default"]).build());
    let client = client::<D>(&server, None);
    assert!(
        client.lease("one").unwrap().is_none(),
        "a read does not tell"
    );
    let error = api::<D, _>(client.create(&named("one")));
    assert!(matches!(error, ApiError::NamespaceMissing(_)), "{error:?}");
    assert!(
        error
            .advice()
            .unwrap()
            .contains("kubectl create namespace team")
    );
}

fn a_name_that_cannot_be_one_is_not_sent<D: Driver>() {
    let server = serve(ApiServer::new());
    let client = client::<D>(&server, None);
    for name in ["", "UPPER", "a/b", "..", &"x".repeat(254)] {
        let failure = client.lease(name).unwrap_err();
        assert!(
            D::api_error(&failure).is_none() && failure.to_string().contains("it must be 1 to 253"),
            "{failure}"
        );
        assert!(
            client.create(&named(name)).is_err()
                && client.delete(name, &Preconditions::none()).is_err()
        );
    }
    let mut elsewhere = named("one");
    elsewhere.metadata.namespace = "a/b".to_owned();
    assert!(
        client
            .create(&elsewhere)
            .unwrap_err()
            .to_string()
            .contains("namespace")
    );
    assert_eq!(server.seen().len(), 0);
}

fn api<D: Driver, T: std::fmt::Debug>(result: Result<T, Failure>) -> ApiError {
    let failure = result.unwrap_err();
    D::api_error(&failure)
        .unwrap_or_else(|| panic!("{failure:?}"))
        .clone()
}

fn named(name: &str) -> Lease {
    Lease::new("", name)
}

fn client<D: Driver>(server: &Server, token: Option<&str>) -> D {
    let mut access = access(server);
    access.auth.token = token.map(|token| Secret::from(token).into());
    D::from_access(&access).unwrap()
}

fn access(server: &Server) -> Access {
    let mut access = Access::new(ServerUrl::parse(&server.url()).unwrap());
    access.namespace = Some("team".to_owned());
    access
}

/// Puts the API server of the core on a port.
fn serve(api: ApiServer) -> Server {
    let api = Mutex::new(api);
    Server::start(move |seen| {
        let mut api = api.lock().unwrap();
        Answer::Keep(rendered(api.handle(&seen.request(), SystemTime::now())))
    })
}
