//! Hints about files in the working directory that were not named and that others could have written.

use waxseal_files::Untrusted;

/// Returns the hint about a file that was not named and does not count.
pub(crate) fn hint(untrusted: &Untrusted, flag: &str, file: &str) -> String {
    let user = rustix::process::geteuid().as_raw();
    let named = format!("if you trust what is in it, name it: {flag} {file}");
    match untrusted {
        Untrusted::Foreign(_) => format!("{named}; if it is yours: chown {user} {file}"),
        Untrusted::Writable(_) => {
            format!("chmod go-w {file}, once you know what is in it; {named}")
        }
        Untrusted::ForeignDirectory(_) | Untrusted::Link => {
            format!("run this in a directory of your own; {named}")
        }
        Untrusted::WritableDirectory(_) => {
            format!("chmod go-w . (the working directory), once you know what is in it; {named}")
        }
        _ => format!("remove it, or make it readable for this user; {named}"),
    }
}
