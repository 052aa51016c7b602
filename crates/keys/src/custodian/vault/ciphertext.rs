//! The two forms of a ciphertext of the transit engine: as the service writes it,
//! `vault:vN:BASE64`, and as it is stored, the key's version as 4 bytes, big-endian, followed by
//! the decoded Base64. The mapping is one-to-one: nothing can be changed unnoticed.

use base64_simd::STANDARD;

const VERSION_LEN: usize = 4;
/// More than any kind of key produces from 64 bytes.
const MAX_LEN: usize = 4096;

/// The text of stored bytes; `None` if this custodian did not produce them.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let (version, sealed) = bytes.split_first_chunk::<VERSION_LEN>()?;
    let version = u32::from_be_bytes(*version);
    if version == 0 || sealed.is_empty() || bytes.len() > MAX_LEN {
        return None;
    }
    Some(format!(
        "vault:v{version}:{}",
        STANDARD.encode_to_string(sealed)
    ))
}

/// The bytes of a text of the service; `None` if it is written in any other way than [`text`] does.
pub(super) fn bytes(written: &str) -> Option<Vec<u8>> {
    let (version, sealed) = written.strip_prefix("vault:v")?.split_once(':')?;
    let version: u32 = version.parse().ok()?;
    let sealed = STANDARD.decode_to_vec(sealed).ok()?;
    let bytes = [&version.to_be_bytes()[..], &sealed].concat();
    (text(&bytes)? == written).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_and_its_bytes_are_each_other() {
        for (written, kept) in [
            ("vault:v1:AQID", &[0, 0, 0, 1, 1, 2, 3][..]),
            ("vault:v258:AQI=", &[0, 0, 1, 2, 1, 2]),
            ("vault:v4294967295:/w==", &[255, 255, 255, 255, 255]),
        ] {
            assert_eq!(bytes(written).as_deref(), Some(kept), "{written}");
            assert_eq!(text(kept).as_deref(), Some(written));
        }
    }

    #[test]
    fn what_is_written_in_another_way_is_not_read() {
        for written in [
            "",
            "vault:",
            "vault:v1",
            "vault:v1:",
            "vault:v:AQID",
            "vault:v0:AQID",
            "vault:v01:AQID",
            "vault:v+1:AQID",
            "vault:v-1:AQID",
            "vault:v 1:AQID",
            "vault:v4294967296:AQID",
            "vault:1:AQID",
            "Vault:v1:AQID",
            "vault:v1:AQI",
            "vault:v1:AQJ=",
            "vault:v1:AQI==",
            "vault:v1:AQ-_",
            "vault:v1:AQID\n",
            "vault:v1: AQID",
            "vault:v1:AQID:",
            "vault:v1:AQID:AQID",
        ] {
            assert_eq!(bytes(written), None, "{written:?}");
        }
        let long = format!("vault:v1:{}", "A".repeat(8192));
        assert_eq!(bytes(&long), None);
    }

    #[test]
    fn bytes_that_no_version_made_have_no_text() {
        for kept in [&[][..], &[0, 0, 1], &[0, 0, 0, 1], &[0, 0, 0, 0, 1]] {
            assert_eq!(text(kept), None, "{kept:?}");
        }
        assert_eq!(text(&[1; MAX_LEN + 1]), None);
    }
}
