//! The Lua scripts that Waxseal runs on servers, and how they are written as requests. Each takes its record names as
//! `KEYS`, so that it also runs in a cluster.
//!
//! Texts only: nothing here is sent, and nothing knows what the bytes mean that a script compares or writes.

use waxseal_resp::{write_bulk, write_request_head};

mod computed;
mod members;
mod moves;
mod records;
mod sorting;
mod streams;

pub use computed::{READ_TWO, REPLACE_FIELD, REPLACE_STRING};
pub use members::{GIVE_FORM, MAX_ELEMENTS, RUN_WITH_FORM, TOO_MANY_ELEMENTS};
pub use moves::{LARGE, MOVE_ELEMENT, MOVE_RECORD, READ_RECORD};
pub use records::{
    PROBE, SWAP_MEMBERS, create, delete, swap, swap_element, swap_field, swap_many, transfer,
};
pub use sorting::{read_sorted, store_sorted};
pub use streams::{BEGIN_STREAM_COPY, REPLACE_STREAM};

/// Appends the request that runs a script by its text. The case of the command's word tells the proxy's own requests from
/// those of clients, where a server shows them.
pub fn write_eval(out: &mut Vec<u8>, text: &str, names: &[&[u8]], arguments: &[&[u8]]) {
    let len = names.len().saturating_add(arguments.len());
    write_request_head(out, len.saturating_add(3));
    write_bulk(out, b"eVAL");
    write_bulk(out, text.as_bytes());
    write_bulk(out, names.len().to_string().as_bytes());
    for argument in names.iter().chain(arguments) {
        write_bulk(out, argument);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_written_with_its_names_and_arguments() {
        let mut out = Vec::new();
        write_eval(&mut out, "return 1", &[b"k"], &[b"a", b""]);
        let expected =
            "*6\r\n$4\r\neVAL\r\n$8\r\nreturn 1\r\n$1\r\n1\r\n$1\r\nk\r\n$1\r\na\r\n$0\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
