//! Watches.

use std::time::Duration;

use serde_json::{Value, json};

use super::{A, LEASES, World};
use crate::server::{ApiServer, WatchOutput};

#[test]
fn labels_move_objects_in_and_out_of_a_watch() {
    let mut world = World::new();
    let watch = world.watch("labelSelector=on");
    world.post(&json!({"metadata": {"name": "a"}}));
    world.patch(A, &json!({"metadata": {"labels": {"on": ""}}}));
    world.patch(A, &json!({"spec": {"holderIdentity": "x"}}));
    world.patch(A, &json!({"metadata": {"labels": null}}));
    world.delete(A);
    assert_eq!(
        world.events(watch),
        ["ADDED a 3", "MODIFIED a 4", "DELETED a 5"]
    );
}

#[test]
fn a_watch_begins_where_it_is_told_to() {
    let mut world = World::new();
    world.post(&json!({"metadata": {"name": "a"}}));
    world.post(&json!({"metadata": {"name": "b"}}));
    world.delete(A);
    let watches = [
        (world.watch(""), vec!["ADDED b 3"]),
        (world.watch("resourceVersion=0"), vec!["ADDED b 3"]),
        (
            world.watch("resourceVersion=2"),
            vec!["ADDED b 3", "DELETED a 4"],
        ),
        (world.watch("resourceVersion=4"), vec![]),
        (world.watch("resourceVersion=9"), vec![]),
        (
            world.watch("fieldSelector=metadata.name%3Da&resourceVersion=1"),
            vec!["ADDED a 2", "DELETED a 4"],
        ),
    ];
    for (watch, expected) in watches {
        assert_eq!(world.events(watch), expected);
    }
}

#[test]
fn a_watch_from_before_a_compaction_is_told_so_and_ends() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.post(&json!({"metadata": {"name": name}}));
    }
    world.server.compact(3);
    let old = world.watch("resourceVersion=2");
    let new = world.watch("resourceVersion=3");
    assert_eq!(world.events(old), ["ERROR - -"]);
    assert_eq!(world.server.poll_watch(old, world.wall), WatchOutput::End);
    assert_eq!(world.events(new), ["ADDED c 4"]);
}

#[test]
fn a_watch_that_is_never_read_loses_its_place() {
    let mut world = World::with(ApiServer::builder().history(3));
    let watch = world.watch("");
    for index in 0..5 {
        world.post(&json!({"metadata": {"name": format!("l{index}")}}));
    }
    assert_eq!(world.events(watch), ["ERROR - -"]);
}

#[test]
fn a_watch_names_the_time_when_it_has_something_to_say() {
    let mut world = World::new();
    let watch = world.watch("timeoutSeconds=90&allowWatchBookmarks=true");
    let start = world.wall;
    let mut seen = Vec::new();
    loop {
        match world.server.poll_watch(watch, world.wall) {
            WatchOutput::Chunk(_) => seen.push(world.wall.duration_since(start).unwrap().as_secs()),
            WatchOutput::Wait { until } => {
                let until = until.unwrap();
                assert!(until > world.wall);
                world.wall = until;
            }
            WatchOutput::End => break,
        }
    }
    assert_eq!(seen, [60, 88]);
    assert_eq!(world.wall, start + Duration::from_secs(90));
    assert_eq!(world.server.watches().count(), 0);
}

#[test]
fn a_watch_that_was_closed_is_over() {
    let mut world = World::new();
    let watch = world.watch("");
    world.server.close_watch(watch);
    assert_eq!(world.server.poll_watch(watch, world.wall), WatchOutput::End);
}

#[test]
fn a_table_is_watched_row_by_row() {
    let mut world = World::new();
    let mut request = world.request("GET", &format!("{LEASES}?watch=1"), "", "");
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    request
        .headers_mut()
        .insert("accept", accept.parse().unwrap());
    let crate::server::Answer::Watch(_, watch) = world.server.handle(&request, world.wall) else {
        panic!("no watch");
    };
    world.post(&json!({"metadata": {"name": "a"}, "spec": {"holderIdentity": "x"}}));
    world.pass(5);
    world.patch(A, &json!({"spec": {"holderIdentity": "y"}}));
    let WatchOutput::Chunk(chunk) = world.server.poll_watch(watch, world.wall) else {
        panic!("nothing said");
    };
    let lines: Vec<Value> = chunk
        .split(|it| *it == b'\n')
        .filter(|it| !it.is_empty())
        .map(|it| serde_json::from_slice(it).unwrap())
        .collect();
    assert_eq!(
        lines[0]["object"]["columnDefinitions"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert!(lines[1]["object"]["columnDefinitions"].is_null());
    assert_eq!(
        lines[1]["object"]["rows"][0]["cells"],
        json!(["a", "y", "5s"])
    );
    request
        .headers_mut()
        .insert("accept", "text/html".parse().unwrap());
    let crate::server::Answer::Whole(refused) = world.server.handle(&request, world.wall) else {
        panic!("a watch");
    };
    assert_eq!(refused.status(), 406);
}
