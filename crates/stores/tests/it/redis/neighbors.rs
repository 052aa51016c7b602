//! Other databases of the same server: which of them hold records that match.

use waxseal_stores::{Matches, Neighbor, Neighbors, RecordPattern, RecordStore};
use waxseal_testing::{Flavor, RedisServer};

use super::{generous_limits, server, try_connect};

fn patterns() -> Vec<RecordPattern> {
    let parse = |text| RecordPattern::parse(text).unwrap();
    vec![parse("wa:*"), parse("sess:*:v2")]
}

fn fill(server: &RedisServer, database: &str, names: &[&str]) {
    let mut client = server.client();
    assert_eq!(client.cmd(&["SELECT", database]).to_text(), "OK");
    for name in names {
        assert_eq!(client.cmd(&["SET", name, "1"]).to_text(), "OK");
    }
}

#[tokio::test]
async fn databases_with_matches_are_reported_and_the_own_one_stays_selected() {
    for flavor in [Flavor::System, Flavor::Redis62, Flavor::Valkey] {
        let server = server(flavor);
        fill(&server, "0", &["wa:here"]);
        fill(&server, "3", &["wa:1", "sess:1:v1"]);
        fill(&server, "8", &["sess:1:v2", "waxseal:canary"]);
        let url = format!("redis://127.0.0.1:{}/2", server.port());
        let store = try_connect(&url, generous_limits()).await.unwrap();
        let neighbor = |database, records, matches: [Matches; 2]| Neighbor {
            database,
            records,
            matches: matches.to_vec(),
        };
        let found = store.neighbors(&patterns()).await.unwrap();
        assert_eq!(
            found,
            Neighbors::Known(vec![
                neighbor(0, 1, [Matches::Some, Matches::None]),
                neighbor(3, 2, [Matches::Some, Matches::None]),
                neighbor(8, 2, [Matches::None, Matches::Some]),
            ])
        );
        assert_eq!(store.status().await.unwrap().records, 0);
    }
}

#[tokio::test]
async fn a_user_without_select_does_not_report_its_own_database() {
    let server = server(Flavor::System);
    fill(&server, "0", &["wa:here"]);
    fill(&server, "3", &["other"]);
    let rules = "ACL SETUSER few reset on >s3cret ~* -@all +ping +info +scan";
    let rules: Vec<_> = rules.split(' ').collect();
    assert_eq!(server.cli(&rules), "OK");
    let url = format!("redis://few:s3cret@127.0.0.1:{}/", server.port());
    let store = try_connect(&url, generous_limits()).await.unwrap();
    let found = store.neighbors(&patterns()).await.unwrap();
    let [third] = found.known() else {
        panic!("{found:?}");
    };
    assert_eq!(third.matches, [Matches::Unknown, Matches::Unknown]);
    server.cli(&["ACL", "SETUSER", "few", "-info"]);
    let found = store.neighbors(&patterns()).await.unwrap();
    assert_eq!(found, Neighbors::Unknown);
}
