//! The changes of the scripts for servers that run none: what is expected is compared here, between `WATCH`
//! and `EXEC`, on a connection that nobody else uses meanwhile. The server makes the change only if nobody
//! wrote a watched record in between.
//!
//! ```text
//! WATCH name, GET name            one request
//! compare; differs: UNWATCH, done
//! MULTI                           one request; refused: UNWATCH, the refusal
//! SET name … KEEPTTL, EXEC        one request; nil: written by others, once more
//! ```

use redis::{Cmd, Pipeline, RedisError, Value, cmd};

use super::changes::{is_plain_swap, parts};
use super::commands::are_text;
use super::reply::{self, unexpected};
use super::wire::Session;
use super::{RedisStore, command};
use crate::error::StoreError;
use crate::record::{Expiry, Slot};
use crate::store::{Change, Move, MoveOutcome, Outcome};

/// How often a change is tried while others write the same record.
const ATTEMPTS: usize = 8;

/// What follows from what was read.
enum Step<T> {
    /// Nothing is to be changed.
    Answer(T),
    /// These changes are to be made, all or none.
    Write(Vec<Cmd>, T),
}

/// What was read while the records were watched.
type Answers = Vec<Result<Value, RedisError>>;

impl RedisStore {
    /// Replaces each slot that still holds the expected bytes.
    pub(super) async fn swap_watched(
        &self,
        changes: &[Change<'_>],
    ) -> Result<Vec<Outcome>, StoreError> {
        let mut outcomes = Vec::with_capacity(changes.len());
        for part in parts(changes) {
            let together = match part.iter().all(is_plain_swap) {
                true => self.swap_together(part).await?,
                false => None,
            };
            if let Some(together) = together {
                outcomes.extend(together);
                continue;
            }
            // One by one: the record that others keep writing stands in nobody's way.
            for change in part {
                outcomes.push(self.swap_one_watched(change).await?);
            }
        }
        Ok(outcomes)
    }

    /// Replaces the whole of several records in one transaction; `None` where others keep writing one.
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
                let held = self.told(answers.next())?;
                let holds = matches!(held, Some(Value::BulkString(held)) if Some(&*held) == change.expected);
                outcomes.push(if holds {
                    Outcome::Done
                } else {
                    Outcome::Changed
                });
                if holds {
                    sets.extend(writes(change, None));
                }
            }
            Ok(match sets.is_empty() {
                true => Step::Answer(Some(outcomes)),
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
        }];
        match change.slot {
            Slot::Whole if change.expected.is_none() => ask = vec![command("EXISTS", &[name])],
            Slot::Field(field)
                if !self
                    .lacks("HPEXPIRETIME", are_text([name, field.as_slice()]))
                    .await? =>
            {
                let mut ends = command("HPEXPIRETIME", &[name]);
                ask.push(ends.arg("FIELDS").arg(1).arg(field).clone());
            }
            _ => {}
        }
        let decide = |answers: Answers| {
            let mut answers = answers.into_iter();
            let first = self.told(answers.next())?;
            let holds = match change.expected {
                None => matches!(first, Some(Value::Int(0))),
                Some(expected) => {
                    matches!(&first, Some(Value::BulkString(held)) if held == expected)
                }
            };
            if !holds {
                return Ok(Step::Answer(Outcome::Changed));
            }
            let ends = match answers.next() {
                Some(answer) => self.end_of_field(answer)?,
                None => None,
            };
            Ok(Step::Write(writes(change, ends), Outcome::Done))
        };
        let bytes = change.expected.map_or(0, <[u8]>::len) + change.value.len();
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
            Ok(match self.told(answers.into_iter().next())? {
                Some(Value::BulkString(held)) if held == expected => {
                    Step::Write(vec![command("DEL", &[name])], Outcome::Done)
                }
                _ => Step::Answer(Outcome::Changed),
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
            let held = self.told(answers.next())?;
            let occupied = self.told(answers.next())?;
            if !matches!(held, Some(Value::BulkString(held)) if held == change.expected) {
                return Ok(Step::Answer(MoveOutcome::Changed));
            }
            if occupied != Some(Value::Int(0)) {
                return Ok(Step::Answer(MoveOutcome::Occupied));
            }
            let mut set = command("SET", &[to, change.value]);
            match change.expiry {
                Expiry::Keep => {
                    let left = self.told(answers.next())?.ok_or_else(unexpected)?;
                    if let left @ 1.. = reply::number(&left)? {
                        set.arg("PX").arg(left);
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

    /// Reads under `WATCH`, decides, and writes if nobody wrote meanwhile; `contended` after too many
    /// attempts.
    async fn watched<T>(
        &self,
        names: &[&[u8]],
        ask: Vec<Cmd>,
        bytes: usize,
        contended: T,
        decide: impl Fn(Answers) -> Result<Step<T>, StoreError>,
    ) -> Result<T, StoreError> {
        let wire = self.link.exclusive().await;
        for _ in 0..ATTEMPTS {
            // Of one connection: what another one watches protects nothing.
            let mut session = self.link.session(&wire, 2 * bytes as u64).await?;
            let mut request = Pipeline::new();
            request.add_command(command("WATCH", names));
            ask.iter().for_each(|it| {
                request.add_command(it.clone());
            });
            let answers = self.answers_of(&mut session, &request).await?;
            let mut answers = answers.into_iter().map(Value::extract_error);
            self.told_of("WATCH", answers.next())?;
            let (commands, done) = match decide(answers.collect()) {
                Ok(Step::Write(commands, done)) => (commands, done),
                decided => {
                    self.unwatch(&mut session).await?;
                    match decided? {
                        Step::Answer(answer) => return Ok(answer),
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

    /// Begins a transaction. Its writes follow only once the server says that it has begun: where `MULTI` is
    /// refused, they would be made one by one, whatever others wrote meanwhile.
    async fn begin(&self, session: &mut Session) -> Result<(), StoreError> {
        let refusal = match self.one_of(session, "MULTI").await? {
            Ok(Value::Okay) => return Ok(()),
            Ok(_) => unexpected(),
            Err(error) => self.link.explain_of(&error, &cmd("MULTI")),
        };
        self.unwatch(session).await?;
        Err(refusal)
    }

    /// Makes the writes of a transaction that has begun; whether they were made.
    async fn execute(&self, session: &mut Session, writes: Vec<Cmd>) -> Result<bool, StoreError> {
        let mut request = Pipeline::new();
        for it in writes {
            request.add_command(it);
        }
        request.add_command(cmd("EXEC"));
        let answers = self.answers_of(session, &request).await?;
        if let Some(Value::ServerError(error)) = answers.last()
            && error.code() != "EXECABORT"
        {
            // A server without `EXEC` goes on collecting what it is sent.
            session.give_up();
        }
        self.is_executed(answers)
    }

    async fn answers_of(
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
        // Where that is refused, what is watched ends with the next transaction or the connection.
        self.one_of(session, "UNWATCH").await.map(drop)
    }

    /// One command without arguments, and what the server says to it.
    async fn one_of(
        &self,
        session: &mut Session,
        word: &str,
    ) -> Result<Result<Value, RedisError>, StoreError> {
        let mut request = Pipeline::new();
        request.add_command(cmd(word));
        let answers = session.send_all(&request).await;
        let answers = answers.map_err(|failure| self.link.explain_failure(failure))?;
        let answer = answers.into_iter().next().ok_or_else(unexpected)?;
        Ok(answer.extract_error())
    }

    /// Whether a transaction was carried out; not, if a watched record was written.
    fn is_executed(&self, answers: Vec<Value>) -> Result<bool, StoreError> {
        let mut executed = Value::Nil;
        for answer in answers {
            // The first error says why; that the transaction was discarded follows from it.
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

    /// What a reading command told; nothing where the record is of another type.
    fn told(&self, answer: Option<Result<Value, RedisError>>) -> Result<Option<Value>, StoreError> {
        match answer.ok_or_else(unexpected)? {
            Ok(value) => Ok(Some(value)),
            Err(error) => match self.link.explain(&error) {
                StoreError::WrongType => Ok(None),
                error => Err(error),
            },
        }
    }

    fn told_of(
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

    /// When a field expires, on servers where fields do.
    fn end_of_field(&self, answer: Result<Value, RedisError>) -> Result<Option<i64>, StoreError> {
        match answer.map_err(|error| self.link.explain(&error)) {
            Ok(answer) => {
                let ends = reply::array(answer)?.into_iter().next();
                let ends = ends.map_or(Ok(0), |end| reply::number(&end))?;
                Ok((ends > 0).then_some(ends))
            }
            Err(StoreError::NoCommand { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The commands that make a change whose condition holds.
fn writes(change: &Change<'_>, ends: Option<i64>) -> Vec<Cmd> {
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
        Slot::Field(field) => {
            let mut writes = vec![command("HSET", &[name, field, change.value])];
            // Writing a field takes its own expiry away.
            if let Some(ends) = ends {
                let mut expire = command("HPEXPIREAT", &[name]);
                expire.arg(ends).arg("FIELDS").arg(1).arg(field.as_slice());
                writes.push(expire);
            }
            writes
        }
    }
}
