//! Records that get other names, if these are free: `RENAMENX`, pipelined.

use redis::{Cmd, RedisError, Value};

use super::{RedisStore, command, reply};
use crate::error::StoreError;
use crate::record::RecordName;
use crate::store::RenameOutcome;

impl RedisStore {
    pub(super) async fn rename_all(
        &self,
        renames: &[(RecordName, RecordName)],
    ) -> Result<Vec<RenameOutcome>, StoreError> {
        let commands = renames
            .iter()
            .map(|(from, to)| command("RENAMENX", &[from.as_bytes(), to.as_bytes()]));
        let commands: Vec<_> = commands.collect();
        let Some(first) = commands.first().cloned() else {
            return Ok(Vec::new());
        };
        let answers = self.link.send_all(commands).await?.into_iter();
        let outcomes = answers.map(|answer| self.rename_outcome(answer, &first));
        outcomes.collect()
    }

    fn rename_outcome(
        &self,
        answer: Result<Value, RedisError>,
        command: &Cmd,
    ) -> Result<RenameOutcome, StoreError> {
        match answer {
            Ok(moved) => Ok(match reply::number(&moved)? {
                0 => RenameOutcome::Occupied,
                _ => RenameOutcome::Moved,
            }),
            Err(error) if is_absent(&error) => Ok(RenameOutcome::Absent),
            Err(error) => Err(self.link.explain_of(&error, command)),
        }
    }
}

/// True if there is no record under the old name.
fn is_absent(error: &RedisError) -> bool {
    error.code() == Some("ERR") && error.detail() == Some("no such key")
}
