//! Tests of `.env` as it is read for one variable: what it is set to, and what is refused.

use super::*;

fn file(text: impl AsRef<[u8]>) -> Result<DotEnv, Failure> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("env");
    std::fs::write(&path, text).unwrap();
    DotEnv::read(&Source::of(Some(&path)))
}

fn set(text: impl AsRef<[u8]>, name: &str) -> Option<String> {
    let value = file(text).ok().unwrap().get(name);
    value.ok().unwrap().map(|value| (*value).clone())
}

/// The error behind the name of the file.
fn refusal(text: impl AsRef<[u8]>) -> String {
    let refused = file(text).and_then(|file| file.get("REDIS_URL").map(drop));
    let failure = refused.expect_err("it is refused");
    let text = failure.text();
    text.split_once(" cannot be read: ").unwrap().1.to_owned()
}

#[test]
fn a_line_means_what_it_means_to_an_application() {
    let password = "redis://:pa$$w0rd@h";
    for text in [
        "REDIS_URL=\"redis://:pa$$w0rd@h\" # the bot's Redis",
        "export\tREDIS_URL = redis://:pa$$w0rd@h # the bot's Redis",
        "\u{feff}REDIS_URL=redis://:pa$$w0rd@h\r\n",
        "A=1 # it's\r\nREDIS_URL='redis://:pa$$w0rd@h' # it's\r\nB=\"2\"\r\n",
        "\u{a0}REDIS_URL\u{a0}=\u{a0}`redis://:pa$$w0rd@h`\u{a0}",
        "REDIS_URL=redis://old\nREDIS_URL: redis://:pa$$w0rd@h",
        "# REDIS_URL=redis://old\n// REDIS_URL=older\nREDIS_URL=redis://:pa$$w0rd@h",
    ] {
        assert_eq!(
            set(text, "REDIS_URL").as_deref(),
            Some(password),
            "{text:?}"
        );
    }
    let latin = b"# caf\xe9\nNAME=caf\xe9 # caf\xe9\nREDIS_URL=redis://h # caf\xe9";
    assert_eq!(set(latin, "REDIS_URL").as_deref(), Some("redis://h"));
    let other = "MY_REDIS_URL=1\nREDIS_URL_OLD=2\nX='REDIS_URL=3'\nREDIS_URL.x=4\nY=REDIS_URL=5";
    assert_eq!(set(other, "REDIS_URL"), None);
}

#[test]
fn a_line_that_an_application_skips_or_reads_otherwise_is_refused() {
    for line in [
        "REDIS_URL redis://h",
        "REDIS_URL",
        "export REDIS_URL",
        "REDIS_URL:redis://h",
        "set REDIS_URL=redis://h",
        "$env:REDIS_URL = 'redis://h'",
        "\"REDIS_URL\": \"redis://h\",",
        "REDIS_URL += x",
    ] {
        let refused = refusal(format!("A=1\n{line}\nB=2"));
        assert_eq!(refused, "line 2 is malformed", "{line}");
    }
    for line in [
        "REDIS_URL='redis://h",
        "REDIS_URL=\"",
        "REDIS_URL=`redis://h` x",
    ] {
        let refused = refusal(format!("A=1\n{line}\nB=2"));
        assert_eq!(refused, "line 2 has a quote that is not closed", "{line}");
    }
    let swallowed = "A='it\nREDIS_URL=redis://h\nB=2'";
    let told = "line 2 is in a value that begins on line 1";
    assert_eq!(refusal(swallowed), told);
    assert_eq!(refusal("A:\nREDIS_URL=redis://h"), told);
    let latin = refusal(b"A=1\nREDIS_URL=redis://:caf\xe9@h");
    assert_eq!(latin, "line 2 is not valid UTF-8");
}

#[test]
fn another_encoding_is_refused_by_its_name() {
    let text = "REDIS_URL=redis://h\n";
    let units = |text: &str| text.encode_utf16().collect::<Vec<_>>();
    let little: Vec<_> = units(text).iter().flat_map(|it| it.to_le_bytes()).collect();
    let big: Vec<_> = units(text).iter().flat_map(|it| it.to_be_bytes()).collect();
    let marked: Vec<_> = [b"\xff\xfe", &little[..]].concat();
    assert_eq!(refusal(marked), "it is UTF-16LE");
    assert_eq!(refusal([b"\xfe\xff", &big[..]].concat()), "it is UTF-16BE");
    assert_eq!(refusal(little), "it is UTF-16LE");
    assert_eq!(refusal(big), "it is UTF-16BE");
    let zero = refusal(format!("{text}A=\0"));
    assert_eq!(zero, "it is not text: it holds zero bytes");
}
