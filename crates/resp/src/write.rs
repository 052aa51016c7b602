//! Writes RESP: heads with their lengths, and the few replies that are not forwarded from a server.

/// Writes `*<count>CRLF`, the head of a request or of an array.
#[inline]
pub fn write_array_head(out: &mut Vec<u8>, count: usize) {
    head(out, b'*', count);
}

/// Writes the head of a request.
#[inline]
pub fn write_request_head(out: &mut Vec<u8>, arguments: usize) {
    write_array_head(out, arguments);
}

/// Writes `$<length>CRLF`, the head of a bulk string. Its bytes and CR LF follow.
#[inline]
pub fn write_bulk_head(out: &mut Vec<u8>, length: usize) {
    head(out, b'$', length);
}

/// Writes a complete bulk string.
#[inline]
pub fn write_bulk(out: &mut Vec<u8>, text: &[u8]) {
    // The vector grows once.
    out.reserve(text.len().saturating_add(24));
    write_bulk_head(out, text.len());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// Writes an error. The text is one line: anything that would end it is written as a space.
pub fn write_error(out: &mut Vec<u8>, text: &str) {
    one_line(out, b'-', text.as_bytes());
}

/// Writes an error whose text need not be UTF-8.
pub fn write_error_bytes(out: &mut Vec<u8>, text: &[u8]) {
    one_line(out, b'-', text);
}

/// Writes a simple string, which is one line like an error.
pub fn write_simple(out: &mut Vec<u8>, text: &str) {
    one_line(out, b'+', text.as_bytes());
}

/// Writes an integer.
pub fn write_integer(out: &mut Vec<u8>, number: i64) {
    out.push(b':');
    out.extend_from_slice(number.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of a map, which RESP2 does not have. `count` keys follow, each with its value.
#[inline]
pub fn write_map_head(out: &mut Vec<u8>, count: usize) {
    head(out, b'%', count);
}

/// Writes null, which RESP2 does not have.
pub fn write_null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"_\r\n");
}

/// Writes a null bulk string, which is null in RESP2.
pub fn write_null_bulk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"$-1\r\n");
}

fn one_line(out: &mut Vec<u8>, first: u8, text: &[u8]) {
    out.push(first);
    out.extend(text.iter().map(|byte| match byte {
        b'\r' | b'\n' => b' ',
        byte => *byte,
    }));
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn head(out: &mut Vec<u8>, first: u8, number: usize) {
    // The digits of a u64, from the last to the first.
    let mut digits = [0u8; 20];
    let mut left = number;
    let mut start = digits.len();
    for place in digits.iter_mut().rev() {
        *place = u8::try_from(left.rem_euclid(10)).unwrap_or_default() | b'0';
        start = start.saturating_sub(1);
        left = left.div_euclid(10);
        if left == 0 {
            break;
        }
    }
    out.push(first);
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_heads_lengths_and_short_replies() {
        let mut out = Vec::new();
        write_request_head(&mut out, 10);
        write_bulk(&mut out, b"a\r\nb");
        write_bulk(&mut out, b"");
        write_error(&mut out, "ERR no\r\nmore");
        write_integer(&mut out, -7);
        write_simple(&mut out, "OK");
        write_bulk_head(&mut out, usize::MAX);
        write_map_head(&mut out, 2);
        write_null(&mut out);
        write_null_bulk(&mut out);
        let expected = "*10\r\n$4\r\na\r\nb\r\n$0\r\n\r\n-ERR no  more\r\n:-7\r\n+OK\r\n\
                        $18446744073709551615\r\n%2\r\n_\r\n$-1\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
