//! Looks into the other databases of the server, on a connection of its own: `SELECT` on a shared one
//! would move everybody's calls.

use std::time::{Duration, Instant};

use redis::{Pipeline, Value, cmd};

use super::RedisStore;
use super::reply;
use super::wire::Wire;
use crate::error::StoreError;
use crate::neighbors::{Matches, Neighbor, Neighbors};
use crate::pattern::RecordPattern;

/// More databases than these are not looked into.
const MAX_DATABASES: usize = 64;
/// Names that one request looks at.
const PAGE: usize = 1000;
/// Requests for one pattern in one database: 100,000 names.
const MAX_PAGES: usize = 100;
/// What was not looked at within this time is not known.
const SURVEY_TIMEOUT: Duration = Duration::from_secs(3);

impl RedisStore {
    pub(super) async fn look_around(
        &self,
        patterns: &[RecordPattern],
    ) -> Result<Neighbors, StoreError> {
        let info = match self.link.send_aside(cmd("INFO").arg("keyspace")).await {
            Ok(answer) => reply::text(answer)?,
            Err(error @ StoreError::Unavailable { .. }) => return Err(error),
            // A user may be kept from it, and a service may not have it.
            Err(_) => return Ok(Neighbors::Unknown),
        };
        let here = self.link.database();
        let others =
            databases(&info).filter(|(database, records)| *database != here && *records > 0);
        let others: Vec<_> = others.take(MAX_DATABASES).collect();
        let wire = self.link.another();
        let until = Instant::now() + SURVEY_TIMEOUT;
        let mut may_look = true;
        let mut known = Vec::with_capacity(others.len());
        for (database, records) in others {
            let mut matches = Vec::with_capacity(patterns.len());
            for pattern in patterns {
                matches.push(match may_look && Instant::now() < until {
                    true => {
                        self.look_into(&wire, database, pattern, until, &mut may_look)
                            .await?
                    }
                    false => Matches::Unknown,
                });
            }
            known.push(Neighbor {
                database,
                records,
                matches,
            });
        }
        Ok(Neighbors::Known(known))
    }

    async fn look_into(
        &self,
        wire: &Wire,
        database: u32,
        pattern: &RecordPattern,
        until: Instant,
        may_look: &mut bool,
    ) -> Result<Matches, StoreError> {
        let mut at = "0".to_owned();
        for _ in 0..MAX_PAGES {
            // Together: the connection may be another one than that of the page before.
            let mut request = Pipeline::new();
            request.cmd("SELECT").arg(database);
            let scan = request.cmd("SCAN").arg(&at);
            scan.arg("MATCH").arg(pattern.glob()).arg("COUNT").arg(PAGE);
            let answers = wire.send_all(&request, 0).await;
            let answers = answers.map_err(|failure| self.link.explain_failure(failure))?;
            let Ok([selected, page]) = <[Value; 2]>::try_from(answers) else {
                return Err(reply::unexpected());
            };
            // Where the database was not selected, the page is of another one. Who may not is not asked for
            // each database again: servers log it.
            let (Ok(_), Ok(page)) = (selected.extract_error(), page.extract_error()) else {
                *may_look = false;
                return Ok(Matches::Unknown);
            };
            let (next, names) = reply::page(page)?;
            for name in names {
                if reply::bytes(name)?.is_some_and(|name| pattern.matches(&name)) {
                    return Ok(Matches::Some);
                }
            }
            if next == "0" {
                return Ok(Matches::None);
            }
            if Instant::now() >= until {
                break;
            }
            at = next;
        }
        Ok(Matches::Unknown)
    }
}

/// The lines `db0:keys=3,expires=1,avg_ttl=0` of `INFO keyspace`: numbers of databases, and how many
/// records each holds.
fn databases(info: &str) -> impl Iterator<Item = (u32, u64)> {
    reply::info(info).filter_map(|(name, counts)| {
        let database = name.strip_prefix("db")?.parse().ok()?;
        let records = counts.strip_prefix("keys=")?.split(',').next()?;
        Some((database, records.trim().parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::databases;

    #[test]
    fn reads_the_databases_that_a_server_tells() {
        let info = "# Keyspace\r\ndb0:keys=4012,expires=3,avg_ttl=0\r\ndb3:keys=2,expires=0,avg_ttl=0,subexpiry=0\r\n\
                    dbx:keys=1\r\ndb5:nothing\r\n";
        assert_eq!(databases(info).collect::<Vec<_>>(), [(0, 4012), (3, 2)]);
    }
}
