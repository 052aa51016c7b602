//! The longest common subsequence of two values: `LCS`.

use crate::arguments::{Request, integer, is_keyword};
use crate::commands::Computation;
use crate::error::{ApplyError, Rejected, ServerError};
use crate::operation::{Context, Outcome, length};
use crate::reply::Reply;

/// The bytes of one entry of the table that servers keep.
const ENTRY: u64 = 4;

/// The largest table of a server with the default limit. A larger limit of a server is not followed: a comparison of two
/// values of 11 kB each already takes tenths of a second, and 16 MB here.
const MAX_TABLE: u64 = waxseal_resp::MAX_BULK_LEN;

/// A comparison of two values, or the error in its options, which servers find after they have looked up both.
#[derive(Clone, Copy)]
pub(crate) struct Lcs {
    options: Result<Options, ServerError>,
}

#[derive(Clone, Copy, Default)]
struct Options {
    has_length: bool,
    has_indexes: bool,
    has_match_lengths: bool,
    min_match: u64,
}

impl Lcs {
    pub(crate) fn parse(request: &Request<'_>) -> Result<Computation, Rejected> {
        let options = options(request.from(3));
        Ok(Computation::Lcs(Self { options }))
    }

    pub(crate) fn apply(
        &self,
        first: Option<&[u8]>,
        second: Option<&[u8]>,
        context: &Context,
    ) -> Result<Outcome, ApplyError> {
        let (a, b) = (first.unwrap_or_default(), second.unwrap_or_default());
        let options = self.options?;
        let cells = length(a)
            .saturating_add(1)
            .saturating_mul(length(b).saturating_add(1));
        let bytes = cells.saturating_mul(ENTRY);
        if bytes > context.dialect.max_bulk() {
            return Err(ServerError::LcsMemory.into());
        }
        if bytes > MAX_TABLE {
            let limit = MAX_TABLE;
            return Err(ApplyError::TooLarge { bytes, limit });
        }
        let has_path = options.has_indexes || !options.has_length;
        let table = Table::fill(a, b, has_path);
        let reply = if options.has_indexes {
            let mut matches = Vec::new();
            let common = Reply::Integer(table.length);
            table.walk(a, b, |found| {
                if found.length() >= options.min_match {
                    matches.push(found.reply(options.has_match_lengths));
                }
            });
            Reply::Map(vec![("matches", Reply::Array(matches)), ("len", common)])
        } else if options.has_length {
            Reply::Integer(table.length)
        } else {
            // From behind, as the path goes.
            let mut text = Vec::new();
            table.walk(a, b, |found| {
                let part = a.get(found.a..=found.a_end).unwrap_or_default();
                text.extend(part.iter().rev());
            });
            text.reverse();
            Reply::Bulk(text)
        };
        Ok(Outcome::keep(reply))
    }
}

fn options(mut rest: &[&[u8]]) -> Result<Options, ServerError> {
    let mut options = Options::default();
    while let [option, after @ ..] = rest {
        rest = after;
        if is_keyword(option, "IDX") {
            options.has_indexes = true;
        } else if is_keyword(option, "LEN") {
            options.has_length = true;
        } else if is_keyword(option, "WITHMATCHLEN") {
            options.has_match_lengths = true;
        } else if let ([number, after @ ..], true) = (after, is_keyword(option, "MINMATCHLEN")) {
            let number = integer(number).ok_or(ServerError::NotAnInteger)?;
            options.min_match = u64::try_from(number).unwrap_or_default();
            rest = after;
        } else {
            return Err(ServerError::Syntax);
        }
    }
    if options.has_length && options.has_indexes {
        return Err(ServerError::LcsLengthAndIndexes);
    }
    Ok(options)
}

/// The length of the longest common subsequence, and where the path to it goes.
struct Table {
    length: i64,
    /// One bit for each pair of bytes: whether leaving out the first value's byte is better than leaving out the second's.
    /// Empty where no path is wanted.
    leaves_first: Vec<u8>,
    width: usize,
}

/// A common part of both values: its first and last places.
struct Match {
    a: usize,
    a_end: usize,
    b: usize,
    b_end: usize,
}

impl Match {
    fn length(&self) -> u64 {
        let length = self.a_end.saturating_sub(self.a).saturating_add(1);
        u64::try_from(length).unwrap_or(u64::MAX)
    }

    fn reply(&self, with_length: bool) -> Reply {
        let range = |first, last| Reply::Array(vec![Reply::length(first), Reply::length(last)]);
        let mut items = vec![range(self.a, self.a_end), range(self.b, self.b_end)];
        if with_length {
            items.push(Reply::Integer(
                i64::try_from(self.length()).unwrap_or(i64::MAX),
            ));
        }
        Reply::Array(items)
    }
}

impl Table {
    /// Computes row by row; of the lengths only the row above is kept.
    fn fill(a: &[u8], b: &[u8], has_path: bool) -> Self {
        let width = b.len();
        let cells = if has_path {
            a.len().saturating_mul(width)
        } else {
            0
        };
        let mut leaves_first = vec![0_u8; cells.div_ceil(8)];
        let mut above = vec![0_u32; width];
        for (row, a_byte) in a.iter().enumerate() {
            // What is above the place, and what is above and left of it.
            let (mut left, mut diagonal) = (0_u32, 0_u32);
            let start = row.saturating_mul(width);
            for (column, (b_byte, cell)) in b.iter().zip(&mut above).enumerate() {
                let over = *cell;
                left = if a_byte == b_byte {
                    diagonal.saturating_add(1)
                } else if over > left {
                    set_flag(&mut leaves_first, start.saturating_add(column));
                    over
                } else {
                    left
                };
                diagonal = over;
                *cell = left;
            }
        }
        Self {
            length: above.last().copied().unwrap_or_default().into(),
            leaves_first,
            width,
        }
    }

    /// Follows the path from the ends of both values to the beginning of one, and calls `found` with each common part.
    fn walk(&self, a: &[u8], b: &[u8], mut found: impl FnMut(Match)) {
        // Places behind the bytes that are compared.
        let (mut i, mut j) = (a.len(), b.len());
        let mut current: Option<Match> = None;
        while let (Some(above), Some(left)) = (i.checked_sub(1), j.checked_sub(1)) {
            if a.get(above) == b.get(left) {
                let (a_end, b_end) = match &current {
                    Some(part) => (part.a_end, part.b_end),
                    None => (above, left),
                };
                current = Some(Match {
                    a: above,
                    a_end,
                    b: left,
                    b_end,
                });
                (i, j) = (above, left);
                continue;
            }
            current.take().into_iter().for_each(&mut found);
            let cell = above.saturating_mul(self.width).saturating_add(left);
            if flag(&self.leaves_first, cell) {
                i = above;
            } else {
                j = left;
            }
        }
        current.into_iter().for_each(found);
    }
}

fn flag_place(number: usize) -> (usize, u8) {
    let shift = u32::try_from(number.rem_euclid(8)).unwrap_or_default();
    (number.div_euclid(8), 1_u8.wrapping_shl(shift))
}

fn flag(flags: &[u8], number: usize) -> bool {
    let (byte, mask) = flag_place(number);
    flags.get(byte).is_some_and(|byte| byte & mask != 0)
}

fn set_flag(flags: &mut [u8], number: usize) {
    let (byte, mask) = flag_place(number);
    if let Some(byte) = flags.get_mut(byte) {
        *byte |= mask;
    }
}
