//! Secrets in a file of variables that others can read.

use super::{Location, USER, program, write};
use crate::program::KEY;

#[test]
fn a_file_of_variables_that_others_can_read_is_refused_as_a_key_file_is() {
    let place = Location::new();
    let own = place.directory("own", USER, 0o755);
    let user = program(USER, &own);
    let secrets = [
        format!("REDIS_ENCRYPTION_KEY={KEY}\n"),
        "REDIS_URL=redis://u:s3cret@127.0.0.1:1\n".to_owned(),
    ];
    for text in &secrets {
        for mode in [0o644, 0o640, 0o604, 0o444] {
            write(&own.join(".env"), text, USER, mode);
            for flags in [&[][..], &["--env-file", ".env"]] {
                let words = [&["audit"], flags].concat();
                let output = user.run(&words).with_status(64);
                let told = format!("(mode {mode:03o})");
                assert!(output.stderr.contains(&told), "{}", output.stderr);
                assert!(
                    output.stderr.contains("hint: chmod 600 .env"),
                    "{}",
                    output.stderr
                );
                assert!(!output.stderr.contains("s3cret"));
            }
        }
    }
    write(&own.join(".env"), &secrets[0], USER, 0o600);
    user.run_with(&["seal"], b"{}").done();
    // What is not a secret may be read, and so may an application's own lines.
    let open = "PORT=3000\nREDIS_URL=file:states.waxseal\nENABLE_REDIS_ENCRYPTION=off\n";
    write(&own.join(".env"), open, USER, 0o644);
    user.run(&["audit"]).done();
    user.run(&["audit", "--env-file", "missing"])
        .failed(64, "missing cannot be read");
}
