//! The conditional changes for servers that run no scripts: the expected bytes are compared here,
//! between `WATCH` and `EXEC`, on a connection that nothing else uses meanwhile. The server carries
//! out the change only if no watched record was written in between.
//!
//! ```text
//! WATCH name, GET name            one request
//! compare; differs: UNWATCH, done
//! MULTI                           one request; refused: UNWATCH, return the error
//! SET name … KEEPTTL, EXEC        one request; nil: written by others, retry
//! ```

use redis::{Cmd, Pipeline, RedisError, Value, cmd};

use super::changes::{batches, is_plain_swap};
use super::commands::are_all_text;
use super::reply::{self, unexpected};
use super::slots::not_written;
use super::wire::Session;
use super::{RedisStore, command};
use crate::error::StoreError;
use crate::record::{Expiry, Slot};
use crate::store::{Change, Move, MoveOutcome, Outcome};

/// How often a change is tried while others write the same record.
const MAX_ATTEMPTS: usize = 8;

/// The decision after reading.
enum Step<T> {
    /// Change nothing.
    Keep(T),
    /// Send these writes, all or none.
    Write(Vec<Cmd>, T),
}

/// The replies read while the records were watched.
type Answers = Vec<Result<Value, RedisError>>;

impl RedisStore {
    /// Replaces each slot that still holds the expected bytes.
    pub(super) async fn swap_watched(
        &self,
        changes: &[Change<'_>],
    ) -> Result<Vec<Outcome>, StoreError> {
        let mut outcomes = Vec::with_capacity(changes.len());
        for part in batches(changes) {
            let together = match part.iter().all(is_plain_swap) {
                true => self.swap_together(part).await?,
                false => None,
            };
            if let Some(together) = together {
                outcomes.extend(together);
                continue;
            }
            // One by one: a record that others keep writing must not block the rest.
            for change in part {
                outcomes.push(self.swap_one_watched(change).await?);
            }
        }
        Ok(outcomes)
    }

    /// Replaces several whole records in one transaction; `None` if others keep writing one.
    async fn swap_together(
        &self,
        changes: &[Change<'_>],
    ) -> Result<Option<Vec<Outcome>>, StoreError> {
        let names: Vec<_> = changes
            .iter()
            .map(|change| change.name.as_bytes())
            .collect();
        let ask = names.iter().map(|name| command("GET", &[name])).collect();
        let decide = |answers: Answers| {
            let (mut sets, mut outcomes) = (Vec::new(), Vec::with_capacity(changes.len()));
            let mut answers = answers.into_iter();
            for change in changes {
                let value = self.read_reply(answers.next())?;
                let is_unchanged = matches!(value, Some(Value::BulkString(value)) if Some(&*value) == change.expected);
                outcomes.push(if is_unchanged {
                    Outcome::Done
                } else {
                    Outcome::Changed
                });
                if is_unchanged {
                    sets.extend(writes(change, None));
                }
            }
            Ok(match sets.is_empty() {
                true => Step::Keep(Some(outcomes)),
                false => Step::Write(sets, Some(outcomes)),
            })
        };
        let bytes = changes.iter().map(|change| change.value.len()).sum();
        self.watched(&names, ask, bytes, None, decide).await
    }

    async fn swap_one_watched(&self, change: &Change<'_>) -> Result<Outcome, StoreError> {
        let name = change.name.as_bytes();
        let mut ask = vec![match change.slot {
            Slot::Whole => command("GET", &[name]),
            Slot::Field(field) => command("HGET", &[name, field]),
            Slot::Element(index) => command("LINDEX", &[name, index.to_string().as_bytes()]),
            Slot::Member(_) => return self.swap_member_watched(change).await,
            Slot::StreamField(_) => return Err(not_written()),
        }];
        match change.slot {
            Slot::Whole if change.expected.is_none() => ask = vec![command("EXISTS", &[name])],
            Slot::Field(field)
                if !self
                    .lacks("HPEXPIRETIME", are_all_text([name, field.as_slice()]))
                    .await? =>
            {
                let mut expires_at = command("HPEXPIRETIME", &[name]);
                ask.push(expires_at.arg("FIELDS").arg(1).arg(field).clone());
            }
            _ => {}
        }
        let decide = |answers: Answers| {
            let mut answers = answers.into_iter();
            let first = self.read_reply(answers.next())?;
            let is_unchanged = match change.expected {
                None => matches!(first, Some(Value::Int(0))),
                Some(expected) => {
                    matches!(&first, Some(Value::BulkString(value)) if value == expected)
                }
            };
            if !is_unchanged {
                return Ok(Step::Keep(Outcome::Changed));
            }
            let expires_at = match answers.next() {
                Some(answer) => self.field_expiry(answer)?,
                None => None,
            };
            Ok(Step::Write(writes(change, expires_at), Outcome::Done))
        };
        let bytes = change.expected.map_or(0, <[u8]>::len) + change.value.len();
        self.watched(&[name], ask, bytes, Outcome::Changed, decide)
            .await
    }

    /// Replaces a member of a set or sorted set: which of them it is, the replies show.
    async fn swap_member_watched(&self, change: &Change<'_>) -> Result<Outcome, StoreError> {
        let (name, new) = (change.name.as_bytes(), change.value);
        let Some(old) = change.expected else {
            return Ok(Outcome::Changed);
        };
        let ask = vec![
            command("SISMEMBER", &[name, old]),
            command("ZSCORE", &[name, old]),
        ];
        let decide = |answers: Answers| {
            let mut answers = answers.into_iter();
            let is_member = self.read_reply(answers.next())?;
            let score = self.read_reply(answers.next())?;
            let writes = match (is_member, score) {
                (Some(Value::Int(1)), _) => {
                    [command("SADD", &[name, new]), command("SREM", &[name, old])]
                }
                (_, Some(score)) if score != Value::Nil => {
                    let score = score_argument(score)?;
                    [
                        command("ZADD", &[name, b"NX", &score, new]),
                        command("ZREM", &[name, old]),
                    ]
                }
                _ => return Ok(Step::Keep(Outcome::Changed)),
            };
            Ok(Step::Write(writes.into(), Outcome::Done))
        };
        if old == new {
            let has_member = self.get_slot(change.name, change.slot).await?;
            return Ok(match has_member {
                Some(_) => Outcome::Done,
                None => Outcome::Changed,
            });
        }
        let bytes = old.len() + new.len();
        self.watched(&[name], ask, bytes, Outcome::Changed, decide)
            .await
    }

    pub(super) async fn delete_watched(
        &self,
        name: &[u8],
        expected: &[u8],
    ) -> Result<Outcome, StoreError> {
        let ask = vec![command("GET", &[name])];
        let decide = |answers: Answers| {
            Ok(match self.read_reply(answers.into_iter().next())? {
                Some(Value::BulkString(value)) if value == expected => {
                    Step::Write(vec![command("DEL", &[name])], Outcome::Done)
                }
                _ => Step::Keep(Outcome::Changed),
            })
        };
        self.watched(&[name], ask, expected.len(), Outcome::Changed, decide)
            .await
    }

    pub(super) async fn transfer_watched(
        &self,
        change: Move<'_>,
    ) -> Result<MoveOutcome, StoreError> {
        let (from, to) = (change.from.as_bytes(), change.to.as_bytes());
        let ask = vec![
            command("GET", &[from]),
            command("EXISTS", &[to]),
            command("PTTL", &[from]),
        ];
        let decide = |answers: Answers| {
            let mut answers = answers.into_iter();
            let value = self.read_reply(answers.next())?;
            let occupied = self.read_reply(answers.next())?;
            if !matches!(value, Some(Value::BulkString(value)) if value == change.expected) {
                return Ok(Step::Keep(MoveOutcome::Changed));
            }
            if occupied != Some(Value::Int(0)) {
                return Ok(Step::Keep(MoveOutcome::Occupied));
            }
            let mut set = command("SET", &[to, change.value]);
            match change.expiry {
                Expiry::Keep => {
                    let remaining = self.read_reply(answers.next())?.ok_or_else(unexpected)?;
                    if let remaining @ 1.. = reply::number(&remaining)? {
                        set.arg("PX").arg(remaining);
                    }
                }
                expiry => super::set_expiry(&mut set, expiry),
            }
            Ok(Step::Write(
                vec![set, command("DEL", &[from])],
                MoveOutcome::Done,
            ))
        };
        let bytes = change.expected.len() + change.value.len();
        self.watched(&[from, to], ask, bytes, MoveOutcome::Changed, decide)
            .await
    }

    /// Reads under `WATCH`, decides, and writes unless a watched record was written meanwhile.
    /// Returns `contended` after too many attempts.
    async fn watched<T>(
        &self,
        names: &[&[u8]],
        ask: Vec<Cmd>,
        bytes: usize,
        contended: T,
        decide: impl Fn(Answers) -> Result<Step<T>, StoreError>,
    ) -> Result<T, StoreError> {
        let wire = self.link.exclusive().await;
        for _ in 0..MAX_ATTEMPTS {
            // All on one connection: watches of another one protect nothing.
            let mut session = self.link.session(&wire, 2 * bytes as u64).await?;
            let mut request = Pipeline::new();
            request.add_command(command("WATCH", names));
            ask.iter().for_each(|it| {
                request.add_command(it.clone());
            });
            let answers = self.send_request(&mut session, &request).await?;
            let mut answers = answers.into_iter().map(Value::extract_error);
            self.check_reply("WATCH", answers.next())?;
            let (commands, done) = match decide(answers.collect()) {
                Ok(Step::Write(commands, done)) => (commands, done),
                decided => {
                    self.unwatch(&mut session).await?;
                    match decided? {
                        Step::Keep(answer) => return Ok(answer),
                        Step::Write(..) => return Err(unexpected()),
                    }
                }
            };
            self.begin(&mut session).await?;
            if self.execute(&mut session, commands).await? {
                return Ok(done);
            }
        }
        Ok(contended)
    }

    /// Begins a transaction. Its writes are sent only once the server has confirmed `MULTI`: where
    /// that is refused, they would be carried out individually, whatever others wrote meanwhile.
    async fn begin(&self, session: &mut Session) -> Result<(), StoreError> {
        let refusal = match self.send_one(session, "MULTI").await? {
            Ok(Value::Okay) => return Ok(()),
            Ok(_) => unexpected(),
            Err(error) => self.link.explain_of(&error, &cmd("MULTI")),
        };
        self.unwatch(session).await?;
        Err(refusal)
    }

    /// Sends the writes of a transaction that has begun. Returns whether they were carried out.
    async fn execute(&self, session: &mut Session, writes: Vec<Cmd>) -> Result<bool, StoreError> {
        let mut request = Pipeline::new();
        for it in writes {
            request.add_command(it);
        }
        request.add_command(cmd("EXEC"));
        let answers = self.send_request(session, &request).await?;
        if let Some(Value::ServerError(error)) = answers.last()
            && error.code() != "EXECABORT"
        {
            // A server without `EXEC` keeps queueing whatever it is sent.
            session.abandon();
        }
        self.is_executed(answers)
    }

    async fn send_request(
        &self,
        session: &mut Session,
        request: &Pipeline,
    ) -> Result<Vec<Value>, StoreError> {
        match session.send_all(request).await {
            Ok(answers) => Ok(answers),
            Err(failure) => Err(self.link.explain_unread(failure, request.cmd_iter()).await),
        }
    }

    async fn unwatch(&self, session: &mut Session) -> Result<(), StoreError> {
        // If that is refused, the watch ends with the next transaction or the connection.
        self.send_one(session, "UNWATCH").await.map(drop)
    }

    /// Sends one command without arguments, and returns its reply.
    async fn send_one(
        &self,
        session: &mut Session,
        name: &str,
    ) -> Result<Result<Value, RedisError>, StoreError> {
        let mut request = Pipeline::new();
        request.add_command(cmd(name));
        let answers = session.send_all(&request).await;
        let answers = answers.map_err(|failure| self.link.explain_failure(failure))?;
        let answer = answers.into_iter().next().ok_or_else(unexpected)?;
        Ok(answer.extract_error())
    }

    /// True if the transaction was carried out; false if a watched record was written.
    fn is_executed(&self, answers: Vec<Value>) -> Result<bool, StoreError> {
        let mut executed = Value::Nil;
        for answer in answers {
            // The first error is the cause; the discarded transaction only follows from it.
            executed = answer
                .extract_error()
                .map_err(|error| self.link.explain(&error))?;
        }
        match executed {
            Value::Nil => Ok(false),
            Value::Array(answers) => {
                for answer in answers {
                    answer
                        .extract_error()
                        .map_err(|error| self.link.explain(&error))?;
                }
                Ok(true)
            }
            _ => Err(unexpected()),
        }
    }

    /// The reply to a read command; `None` where the record is of another type.
    fn read_reply(
        &self,
        answer: Option<Result<Value, RedisError>>,
    ) -> Result<Option<Value>, StoreError> {
        match answer.ok_or_else(unexpected)? {
            Ok(value) => Ok(Some(value)),
            Err(error) => match self.link.explain(&error) {
                StoreError::WrongType => Ok(None),
                error => Err(error),
            },
        }
    }

    fn check_reply(
        &self,
        command: &str,
        answer: Option<Result<Value, RedisError>>,
    ) -> Result<(), StoreError> {
        let error = match answer.ok_or_else(unexpected)? {
            Ok(_) => return Ok(()),
            Err(error) => self.link.explain_of(&error, &cmd(command)),
        };
        Err(error)
    }

    /// The expiry of a field, on servers where fields have one.
    fn field_expiry(&self, answer: Result<Value, RedisError>) -> Result<Option<i64>, StoreError> {
        match answer.map_err(|error| self.link.explain(&error)) {
            Ok(answer) => {
                let expires_at = reply::array(answer)?.into_iter().next();
                let expires_at = expires_at.map_or(Ok(0), |end| reply::number(&end))?;
                Ok((expires_at > 0).then_some(expires_at))
            }
            Err(StoreError::NoCommand { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A score as it is sent back.
fn score_argument(score: Value) -> Result<Vec<u8>, StoreError> {
    match score {
        // Rust writes as many digits as tell a number from all others.
        Value::Double(score) => Ok(score.to_string().into_bytes()),
        score => reply::bytes(score)?.ok_or_else(unexpected),
    }
}

/// The commands of a change whose condition holds.
fn writes(change: &Change<'_>, expires_at: Option<i64>) -> Vec<Cmd> {
    let name = change.name.as_bytes();
    match change.slot {
        Slot::Whole => {
            let mut set = command("SET", &[name, change.value]);
            super::set_expiry(&mut set, change.expiry);
            vec![set]
        }
        Slot::Element(index) => {
            vec![command(
                "LSET",
                &[name, index.to_string().as_bytes(), change.value],
            )]
        }
        // Not replaced in their place.
        Slot::Member(_) | Slot::StreamField(_) => Vec::new(),
        Slot::Field(field) => {
            let mut writes = vec![command("HSET", &[name, field, change.value])];
            // Writing a field removes its own expiry.
            if let Some(expires_at) = expires_at {
                let mut expire = command("HPEXPIREAT", &[name]);
                expire
                    .arg(expires_at)
                    .arg("FIELDS")
                    .arg(1)
                    .arg(field.as_slice());
                writes.push(expire);
            }
            writes
        }
    }
}
