//! Reads the expiry of a certificate (RFC 5280, 4.1.2.5), for warnings ahead of time. Only for certificates of this
//! process's configuration: nothing is verified.

use rustls::pki_types::CertificateDer;

const SEQUENCE: u8 = 0x30;
/// The version, which may be left out.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Returns the last second of a certificate's validity, since the Unix epoch, or `None` if it is malformed.
pub(crate) fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    let mut outer = Der(certificate);
    let mut signed = outer.of(SEQUENCE)?.of(SEQUENCE)?;
    if signed.0.first() == Some(&VERSION) {
        signed.next()?;
    }
    // Serial number, algorithm of the signature, issuer.
    for _ in 0..3 {
        signed.next()?;
    }
    let mut validity = signed.of(SEQUENCE)?;
    validity.next()?;
    let (tag, text) = validity.next()?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    match tag {
        UTC_TIME => {
            let (year, remaining) = number(text, 2)?;
            seconds(if year < 50 { 2000 + year } else { 1900 + year }, remaining)
        }
        GENERALIZED_TIME => {
            let (year, remaining) = number(text, 4)?;
            seconds(year, remaining)
        }
        _ => None,
    }
}

/// Elements in DER, one after another.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Reads the tag and the content of the next element.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, remaining) = self.0.split_first()?;
        let (&first, mut remaining) = remaining.split_first()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            0x81..=0x84 => {
                let (digits, after) = remaining.split_at_checked(usize::from(first & 0x7f))?;
                remaining = after;
                digits
                    .iter()
                    .fold(0usize, |sum, digit| (sum << 8) | usize::from(*digit))
            }
            _ => return None,
        };
        let (content, after) = remaining.split_at_checked(length)?;
        self.0 = after;
        Some((tag, content))
    }

    /// Enters the next element, which has this tag.
    fn of(&mut self, tag: u8) -> Option<Self> {
        let (found, content) = self.next()?;
        (found == tag).then_some(Self(content))
    }
}

/// Reads a decimal number of this many digits. Returns it with the remaining text.
fn number(text: &str, digits: usize) -> Option<(i64, &str)> {
    let (number, remaining) = text.split_at_checked(digits)?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    Some((is_number.then(|| number.parse().ok())??, remaining))
}

/// Converts a year and `MMDDHHMMSS` to seconds since the Unix epoch.
fn seconds(year: i64, remaining: &str) -> Option<i64> {
    let (month, remaining) = number(remaining, 2)?;
    let (day, remaining) = number(remaining, 2)?;
    let (hour, remaining) = number(remaining, 2)?;
    let (minute, remaining) = number(remaining, 2)?;
    let (second, remaining) = number(remaining, 2)?;
    if !remaining.is_empty() || !(1..=12).contains(&month) {
        return None;
    }
    // A year that begins in March has the leap day at its end.
    let (year, month) = match month {
        3.. => (year, month - 3),
        _ => (year - 1, month + 9),
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;
    use waxseal_testing::Certificates;

    use super::*;

    #[test]
    fn the_expiry_of_a_certificate_is_read_in_both_notations() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Certificates::create_in(directory.path());
        for (year, end) in [
            (2031, 1_956_441_600),
            (2049, 2_524_521_600),
            (2050, 2_556_057_600),
        ] {
            let (path, _) = authority.self_signed(&["localhost"], false, year);
            let certificate = CertificateDer::from_pem_file(path).unwrap();
            assert_eq!(not_after(&certificate), Some(end), "{year}");
        }
    }

    #[test]
    fn dates_follow_the_calendar() {
        for (year, remaining, expected) in [
            (1970, "0101000000", Some(0)),
            (2000, "0229235959", Some(951_868_799)),
            (2024, "0301000000", Some(1_709_251_200)),
            (2026, "1301000000", None),
            (2026, "0101", None),
        ] {
            assert_eq!(seconds(year, remaining), expected, "{year} {remaining}");
        }
    }

    #[test]
    fn truncated_certificates_have_no_expiry() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Certificates::create_in(directory.path());
        let whole = CertificateDer::from_pem_file(authority.server_certificate()).unwrap();
        assert!(not_after(&whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(
                not_after(&CertificateDer::from_slice(&whole[..length])),
                None
            );
        }
    }
}
