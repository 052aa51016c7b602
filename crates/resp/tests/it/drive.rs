//! Feeds the scanners in pieces, as sockets do, and returns their results. Asserts only the
//! properties that hold for every input.

use waxseal_resp::{
    Progress, ReplyError, ReplyScanner, RequestError, RequestLimits, RequestScanner, RequestTail,
    Scan, write_bulk, write_request_head,
};

/// The state of a request scanner at the end of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) scan: Result<Scan, RequestError>,
    pub(crate) arguments: Vec<Vec<u8>>,
    pub(crate) announced: usize,
    pub(crate) inline: bool,
    pub(crate) position: usize,
}

impl Request {
    /// The length of a complete request.
    pub(crate) fn complete(&self) -> Option<usize> {
        match self.scan {
            Ok(Scan::Complete { len }) => Some(len),
            _ => None,
        }
    }
}

/// Scans a buffer that grows at these places, and lastly to its whole length.
pub(crate) fn request(bytes: &[u8], cuts: &[usize], limits: RequestLimits) -> Request {
    let mut scanner = RequestScanner::new(limits);
    let mut scan = Ok(Scan::Incomplete { at_least: 1 });
    let mut seen = &bytes[..0];
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        seen = &bytes[..cut.min(bytes.len()).max(seen.len())];
        scan = scanner.scan(seen);
        assert_eq!(scanner.scan(seen), scan, "scanned twice");
        match scan {
            Ok(Scan::Incomplete { at_least }) => assert!(at_least > seen.len()),
            Ok(Scan::Complete { len } | Scan::Nothing { len }) => assert!(len <= seen.len()),
            Ok(Scan::Large { .. }) | Err(_) => {}
        }
        if !matches!(scan, Ok(Scan::Incomplete { .. })) {
            break;
        }
    }
    for (start, end) in scanner.spans() {
        assert!(start <= end && *end <= seen.len());
    }
    let arguments = scanner.arguments(seen);
    Request {
        scan,
        arguments: arguments.iter().map(|it| it.to_vec()).collect(),
        announced: scanner.announced(),
        // After an error these are unspecified.
        inline: scan.is_ok() && scanner.is_inline(),
        position: scan.map_or(0, |_| scanner.position()),
    }
}

/// Scans a reply in pieces cut at these positions. Bytes that are not consumed are passed again.
pub(crate) fn reply(bytes: &[u8], cuts: &[usize]) -> Result<Progress, ReplyError> {
    let mut scanner = ReplyScanner::new();
    in_pieces(bytes, cuts, |piece| {
        let progress = scanner.scan(piece)?;
        Ok((progress.used, progress.done))
    })
}

/// Scans the remainder of a large request in the same way.
pub(crate) fn tail(
    mut tail: RequestTail,
    bytes: &[u8],
    cuts: &[usize],
) -> Result<Progress, RequestError> {
    in_pieces(bytes, cuts, |piece| {
        let progress = tail.scan(piece)?;
        Ok((progress.used, progress.done))
    })
}

fn in_pieces<E>(
    bytes: &[u8],
    cuts: &[usize],
    mut take: impl FnMut(&[u8]) -> Result<(usize, bool), E>,
) -> Result<Progress, E> {
    let (mut start, mut end) = (0, 0);
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        end = cut.min(bytes.len()).max(end);
        let piece = &bytes[start..end];
        let (used, done) = take(piece)?;
        assert!(used <= piece.len());
        // A scanner leaves at most the incomplete head of one element.
        assert!(
            done || piece.len() - used <= 40,
            "{} left",
            piece.len() - used
        );
        start += used;
        if done {
            return Ok(Progress {
                used: start,
                done: true,
            });
        }
    }
    Ok(Progress {
        used: start,
        done: false,
    })
}

/// Encodes a request as clients do.
pub(crate) fn encode<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut out = Vec::new();
    write_request_head(&mut out, arguments.len());
    for argument in arguments {
        write_bulk(&mut out, argument.as_ref());
    }
    out
}

/// Limits under which every argument is held.
pub(crate) fn hold_everything() -> RequestLimits {
    RequestLimits {
        held: u64::MAX,
        ..RequestLimits::default()
    }
}
