//! Values that are replaced or deleted only if they compare with others as is asked: `SET` with `IFEQ`, `IFNE`, `IFDEQ`,
//! `IFDNE`, `DELIFEQ`, `DELEX` with the same conditions, and `DIGEST`, by which values are compared.

use xxhash_rust::xxh3::xxh3_64;

use crate::arguments::{Request, integer, is_keyword};
use crate::commands::Computation;
use crate::dialect::Dialect;
use crate::error::{ApplyError, Rejected, ServerError};
use crate::operation::{Context, Outcome, Write, length};
use crate::reply::Reply;

/// The hexadecimal digits of a digest.
const DIGEST_LEN: usize = 16;

/// Milliseconds in a second.
const SECOND: i64 = 1_000;

/// The time to live of a value that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// As it is, of a record and of a field; a record that is created has none.
    Keep,
    /// None.
    Clear,
    /// As with this option of `SET`. The number is positive; that it is not too large for the server's clock is left to
    /// the server.
    Set(ExpiryOption, i64),
}

/// An option of `SET` that says when a record expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiryOption {
    /// Seconds from now.
    Ex,
    /// Milliseconds from now.
    Px,
    /// Seconds since 1970.
    ExAt,
    /// Milliseconds since 1970.
    PxAt,
}

impl ExpiryOption {
    const ALL: [Self; 4] = [Self::Ex, Self::Px, Self::ExAt, Self::PxAt];

    /// The option in a request.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ex => "EX",
            Self::Px => "PX",
            Self::ExAt => "EXAT",
            Self::PxAt => "PXAT",
        }
    }

    fn is_in_seconds(self) -> bool {
        matches!(self, Self::Ex | Self::ExAt)
    }
}

/// A comparison of the value with an argument.
#[derive(Clone)]
pub(crate) struct Condition {
    other: Vec<u8>,
    is_digest: bool,
    is_negated: bool,
}

/// A computation that compares.
#[derive(Clone)]
pub(crate) enum Conditional {
    Set {
        value: Vec<u8>,
        condition: Condition,
        replies_old: bool,
        expiry: Expiry,
    },
    Delete(Condition),
    /// `DELEX`, whose condition servers read after they have looked up the record.
    DeleteLate(Result<Condition, ServerError>),
    Digest,
}

impl Condition {
    /// The condition under a keyword that this server has.
    fn of(keyword: &[u8], other: &[u8], dialect: Dialect) -> Option<Self> {
        let (_, is_digest, is_negated) = [
            ("IFEQ", false, false),
            ("IFNE", false, true),
            ("IFDEQ", true, false),
            ("IFDNE", true, true),
        ]
        .into_iter()
        .find(|(name, ..)| is_keyword(keyword, name))?;
        let is_known = dialect.has_digests() || !(is_digest || is_negated);
        is_known.then(|| Self {
            other: other.to_vec(),
            is_digest,
            is_negated,
        })
    }

    fn holds(&self, value: Option<&[u8]>) -> Result<bool, ServerError> {
        let Some(value) = value else {
            return Ok(self.is_negated);
        };
        let is_equal = if self.is_digest {
            if self.other.len() != DIGEST_LEN {
                return Err(ServerError::DigestLength);
            }
            self.other.eq_ignore_ascii_case(digest(value).as_bytes())
        } else {
            self.other == value
        };
        Ok(is_equal != self.is_negated)
    }
}

impl Conditional {
    pub(crate) fn parse_set(request: &Request<'_>) -> Result<Computation, Rejected> {
        Ok(Computation::Conditional(SetOptions::parse(request)?))
    }

    pub(crate) fn parse_delete_if_equal(request: &Request<'_>) -> Result<Computation, Rejected> {
        let condition = Condition {
            other: request.at(2).to_vec(),
            is_digest: false,
            is_negated: false,
        };
        Ok(Computation::Conditional(Self::Delete(condition)))
    }

    pub(crate) fn parse_delete(request: &Request<'_>) -> Result<Computation, Rejected> {
        match request.len() {
            2 => return Err(Rejected::NotComputed),
            4 => {}
            // Found when the command runs: the table of commands gives only a minimum.
            _ => return Err(Rejected::Arguments(ServerError::Arity("delex"))),
        }
        let condition = Condition::of(request.at(2), request.at(3), request.dialect)
            .ok_or(ServerError::UnknownCondition);
        Ok(Computation::Conditional(Self::DeleteLate(condition)))
    }

    pub(crate) fn parse_digest(_: &Request<'_>) -> Result<Computation, Rejected> {
        Ok(Computation::Conditional(Self::Digest))
    }

    pub(crate) fn can_write(&self) -> bool {
        !matches!(self, Self::Digest)
    }

    pub(crate) fn expiry(&self) -> Expiry {
        match self {
            Self::Set { expiry, .. } => *expiry,
            _ => Expiry::Keep,
        }
    }

    pub(crate) fn wrong_type(&self) -> ServerError {
        match self {
            Self::DeleteLate(_) => ServerError::ConditionOnOtherType,
            _ => ServerError::WrongType,
        }
    }

    pub(crate) fn apply(
        &self,
        old: Option<&[u8]>,
        context: &Context,
    ) -> Result<Outcome, ApplyError> {
        match self {
            Self::Set {
                value,
                condition,
                replies_old,
                ..
            } => {
                let is_set = condition.holds(old)?;
                let reply = match (replies_old, old) {
                    (true, Some(old)) => Reply::Bulk(old.to_vec()),
                    (true, None) => Reply::Null,
                    (false, _) if is_set => Reply::Ok,
                    (false, _) => Reply::Null,
                };
                if !is_set {
                    return Ok(Outcome::keep(reply));
                }
                context.fits(length(value))?;
                Ok(Outcome::put(reply, value.clone()))
            }
            Self::Delete(condition) => delete(old, Ok(condition)),
            Self::DeleteLate(condition) => delete(old, condition.as_ref().map_err(|it| *it)),
            Self::Digest => {
                let digest = old.map(|value| Reply::Bulk(digest(value).into_bytes()));
                Ok(Outcome::keep(digest.unwrap_or(Reply::Null)))
            }
        }
    }
}

/// Deletes a record that exists if its value fulfils the condition.
fn delete(
    old: Option<&[u8]>,
    condition: Result<&Condition, ServerError>,
) -> Result<Outcome, ApplyError> {
    let is_deleted = old.is_some() && condition?.holds(old)?;
    Ok(Outcome {
        reply: Reply::flag(is_deleted),
        write: if is_deleted {
            Write::Delete
        } else {
            Write::Keep
        },
    })
}

/// XXH3 of a value, in lower case and with leading zeros.
fn digest(value: &[u8]) -> String {
    format!("{:0DIGEST_LEN$x}", xxh3_64(value))
}

/// The options of `SET` as far as they are read.
#[derive(Default)]
struct SetOptions<'a> {
    condition: Option<Condition>,
    has_existence: Option<Existence>,
    replies_old: bool,
    keeps_expiry: bool,
    expiry: Option<(ExpiryOption, &'a [u8])>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Existence {
    Absent,
    Present,
}

impl<'a> SetOptions<'a> {
    /// A `SET` without a comparison is none of this crate.
    fn parse(request: &Request<'a>) -> Result<Conditional, Rejected> {
        let mut options = Self::default();
        let mut rest = request.from(3);
        while let [option, after @ ..] = rest {
            rest = options
                .read(option, after, request.dialect)
                .ok_or_else(|| syntax_error(request))?;
        }
        let condition = options.condition.ok_or(Rejected::NotComputed)?;
        let expiry = match options.expiry {
            Some((option, amount)) => expiry(option, amount).map_err(Rejected::Arguments)?,
            None if options.keeps_expiry => Expiry::Keep,
            None => Expiry::Clear,
        };
        Ok(Conditional::Set {
            value: request.at(2).to_vec(),
            condition,
            replies_old: options.replies_old,
            expiry,
        })
    }

    /// Reads one option; returns the arguments after it. `None` is an error.
    fn read(
        &mut self,
        option: &[u8],
        after: &'a [&'a [u8]],
        dialect: Dialect,
    ) -> Option<&'a [&'a [u8]]> {
        let is = |keyword| is_keyword(option, keyword);
        if is("GET") {
            self.replies_old = true;
            return Some(after);
        }
        if is("KEEPTTL") {
            self.keeps_expiry = true;
            return self.expiry.is_none().then_some(after);
        }
        let existence = match (is("NX"), is("XX")) {
            (true, _) => Some(Existence::Absent),
            (_, true) => Some(Existence::Present),
            _ => None,
        };
        if let Some(existence) = existence {
            let other = self.has_existence.replace(existence);
            let is_alone = other.is_none_or(|other| other == existence);
            return (is_alone && self.condition.is_none()).then_some(after);
        }
        let (argument, after) = after.split_first()?;
        if let Some(option) = ExpiryOption::ALL.into_iter().find(|it| is(it.as_str())) {
            let other = self.expiry.replace((option, *argument));
            let is_alone = other.is_none_or(|(other, _)| other == option);
            return (is_alone && !self.keeps_expiry).then_some(after);
        }
        let condition = Condition::of(option, argument, dialect)?;
        let other = self.condition.replace(condition);
        (other.is_none() && self.has_existence.is_none()).then_some(after)
    }
}

/// An error in the options, if one of them was meant to compare.
fn syntax_error(request: &Request<'_>) -> Rejected {
    let is_condition = |it: &&[u8]| Condition::of(it, b"", request.dialect).is_some();
    match request.from(3).iter().any(is_condition) {
        true => Rejected::Arguments(ServerError::Syntax),
        false => Rejected::NotComputed,
    }
}

fn expiry(option: ExpiryOption, amount: &[u8]) -> Result<Expiry, ServerError> {
    let amount = integer(amount).ok_or(ServerError::NotAnInteger)?;
    let most = match option.is_in_seconds() {
        true => i64::MAX.div_euclid(SECOND),
        false => i64::MAX,
    };
    if !(1..=most).contains(&amount) {
        return Err(ServerError::ExpireTime);
    }
    Ok(Expiry::Set(option, amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_leading_zeros() {
        // Published with the fix that brought them.
        let value = b"v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd";
        assert_eq!(digest(value), "00006c38adf31777");
    }
}
