//! The remainder of a request that is too large to hold: it is counted and checked, and none of it is kept.

use crate::error::RequestError;
use crate::number::{Line, line};
use crate::progress::Progress;
use crate::request::RequestLimits;

/// Finds the end of a large request without holding it, and checks its syntax.
#[derive(Debug)]
pub struct RequestTail {
    pub(crate) limits: RequestLimits,
    /// Arguments whose head has not been scanned.
    pub(crate) arguments: usize,
    /// Bytes of the argument under way, its CR LF included.
    pub(crate) body: u64,
}

impl RequestTail {
    /// Scans the next chunk.
    pub fn scan(&mut self, chunk: &[u8]) -> Result<Progress, RequestError> {
        let mut used: usize = 0;
        loop {
            let remaining = chunk.get(used..).unwrap_or_default();
            if self.body > 0 {
                let taken =
                    body_part(&mut self.body, remaining).ok_or(RequestError::ArgumentEnd)?;
                used = used.saturating_add(taken);
                if self.body > 0 {
                    return Ok(Progress { used, done: false });
                }
            } else if self.arguments == 0 {
                return Ok(Progress { used, done: true });
            } else {
                let Some((length, len)) = argument_head(remaining, &self.limits)? else {
                    return Ok(Progress { used, done: false });
                };
                used = used.saturating_add(len);
                self.arguments = self.arguments.saturating_sub(1);
                self.body = length.saturating_add(2);
            }
        }
    }
}

/// Takes the available bytes of a body of `left` bytes that ends in CR LF. Returns `None` if it ends otherwise.
#[inline]
pub(crate) fn body_part(left: &mut u64, bytes: &[u8]) -> Option<usize> {
    let text = usize::try_from(left.saturating_sub(2)).unwrap_or(usize::MAX);
    let mut taken = text.min(bytes.len());
    *left = left.saturating_sub(u64::try_from(taken).ok()?);
    while *left <= 2 && *left > 0 {
        let Some(byte) = bytes.get(taken) else {
            break;
        };
        let expected = if *left == 2 { b'\r' } else { b'\n' };
        if *byte != expected {
            return None;
        }
        *left = left.saturating_sub(1);
        taken = taken.saturating_add(1);
    }
    Some(taken)
}

/// Reads the length of the argument that begins here. Returns it with the length of its line.
#[inline]
pub(crate) fn argument_head(
    bytes: &[u8],
    limits: &RequestLimits,
) -> Result<Option<(u64, usize)>, RequestError> {
    let Some((first, remaining)) = bytes.split_first() else {
        return Ok(None);
    };
    if *first != b'$' {
        return Err(RequestError::Dollar(*first));
    }
    match line(remaining) {
        Line::Open => Ok(None),
        Line::Invalid => Err(RequestError::Length),
        Line::Endless => Err(RequestError::LengthLine),
        Line::Number(length, len) => u64::try_from(length)
            .ok()
            .filter(|length| *length <= limits.argument)
            .map(|length| Some((length, len.saturating_add(1))))
            .ok_or(RequestError::Length),
    }
}
