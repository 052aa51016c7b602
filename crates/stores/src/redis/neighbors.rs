//! Surveys the other databases of the server, on a separate connection: `SELECT` on a shared one
//! would affect every other call.

use std::time::{Duration, Instant};

use redis::{Pipeline, Value, cmd};

use super::RedisStore;
use super::reply;
use super::wire::Wire;
use crate::error::StoreError;
use crate::neighbors::{Matches, Neighbor, Neighbors};
use crate::pattern::RecordPattern;

/// Further databases are not surveyed.
const MAX_DATABASES: usize = 64;
/// Names that one request examines.
const PAGE_SIZE: usize = 1000;
/// Requests for one pattern in one database: 100,000 names.
const MAX_PAGES: usize = 100;
/// The time limit of the survey; the rest is reported as unknown.
const SURVEY_TIMEOUT: Duration = Duration::from_secs(3);

impl RedisStore {
    pub(super) async fn survey_neighbors(
        &self,
        patterns: &[RecordPattern],
    ) -> Result<Neighbors, StoreError> {
        let info = match self
            .link
            .send_uncontended(cmd("INFO").arg("keyspace"))
            .await
        {
            Ok(answer) => reply::text(answer)?,
            Err(error @ StoreError::Unavailable { .. }) => return Err(error),
            // An ACL may deny it, and a service may not have it.
            Err(_) => return Ok(Neighbors::Unknown),
        };
        let here = self.link.database();
        let others =
            databases(&info).filter(|(database, records)| *database != here && *records > 0);
        let others: Vec<_> = others.take(MAX_DATABASES).collect();
        let wire = self.link.another();
        let deadline = Instant::now() + SURVEY_TIMEOUT;
        let mut is_allowed = true;
        let mut known = Vec::with_capacity(others.len());
        for (database, records) in others {
            let mut matches = Vec::with_capacity(patterns.len());
            for pattern in patterns {
                matches.push(match is_allowed && Instant::now() < deadline {
                    true => {
                        self.survey_database(&wire, database, pattern, deadline, &mut is_allowed)
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

    async fn survey_database(
        &self,
        wire: &Wire,
        database: u32,
        pattern: &RecordPattern,
        deadline: Instant,
        is_allowed: &mut bool,
    ) -> Result<Matches, StoreError> {
        let mut at = "0".to_owned();
        for _ in 0..MAX_PAGES {
            // In one pipeline: the connection may be a different one than for the previous page.
            let mut request = Pipeline::new();
            request.cmd("SELECT").arg(database);
            let scan = request.cmd("SCAN").arg(&at);
            scan.arg("MATCH")
                .arg(pattern.glob())
                .arg("COUNT")
                .arg(PAGE_SIZE);
            let answers = wire.send_all(&request, 0).await;
            let answers = answers.map_err(|failure| self.link.explain_failure(failure))?;
            let Ok([selected, page]) = <[Value; 2]>::try_from(answers) else {
                return Err(reply::unexpected());
            };
            // If `SELECT` failed, the page is of another database. A denied user does not try again
            // for each database: servers log it.
            let (Ok(_), Ok(page)) = (selected.extract_error(), page.extract_error()) else {
                *is_allowed = false;
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
            if Instant::now() >= deadline {
                break;
            }
            at = next;
        }
        Ok(Matches::Unknown)
    }
}

/// Parses the lines `db0:keys=3,expires=1,avg_ttl=0` of `INFO keyspace`: database numbers, and the
/// number of records in each.
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
    fn reads_the_databases_that_a_server_reports() {
        let info = "# Keyspace\r\ndb0:keys=4012,expires=3,avg_ttl=0\r\ndb3:keys=2,expires=0,avg_ttl=0,subexpiry=0\r\n\
                    dbx:keys=1\r\ndb5:nothing\r\n";
        assert_eq!(databases(info).collect::<Vec<_>>(), [(0, 4012), (3, 2)]);
    }
}
