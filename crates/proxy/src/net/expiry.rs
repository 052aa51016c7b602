//! When a certificate expires: the one date of it (RFC 5280, 4.1.2.5) that is not used for connecting but told
//! beforehand. Reads certificates of this process's own configuration, and verifies nothing.

use rustls::pki_types::CertificateDer;

const SEQUENCE: u8 = 0x30;
/// The version, which may be left out.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The last second of a certificate's validity, since the Unix epoch; `None` where it is not well formed.
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
            let (year, rest) = number(text, 2)?;
            seconds(if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = number(text, 4)?;
            seconds(year, rest)
        }
        _ => None,
    }
}

/// Elements in DER, one after another.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The tag and the content of the next element.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            0x81..=0x84 => {
                let (digits, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
                rest = after;
                digits
                    .iter()
                    .fold(0usize, |sum, digit| (sum << 8) | usize::from(*digit))
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some((tag, content))
    }

    /// The elements in the next one, which has this tag.
    fn of(&mut self, tag: u8) -> Option<Self> {
        let (found, content) = self.next()?;
        (found == tag).then_some(Self(content))
    }
}

/// A decimal number of so many digits, and what follows it.
fn number(text: &str, digits: usize) -> Option<(i64, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    Some((is_number.then(|| number.parse().ok())??, rest))
}

/// Seconds since the Unix epoch of a year and `MMDDHHMMSS`.
fn seconds(year: i64, rest: &str) -> Option<i64> {
    let (month, rest) = number(rest, 2)?;
    let (day, rest) = number(rest, 2)?;
    let (hour, rest) = number(rest, 2)?;
    let (minute, rest) = number(rest, 2)?;
    let (second, rest) = number(rest, 2)?;
    if !rest.is_empty() || !(1..=12).contains(&month) {
        return None;
    }
    // Years that begin in March end with the day that leap years have more.
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
    fn the_end_of_a_certificate_is_read_in_both_notations() {
        let directory = tempfile::tempdir().unwrap();
        let made = Certificates::create_in(directory.path());
        for (year, end) in [
            (2031, 1_956_441_600),
            (2049, 2_524_521_600),
            (2050, 2_556_057_600),
        ] {
            let (path, _) = made.self_signed(&["localhost"], false, year);
            let certificate = CertificateDer::from_pem_file(path).unwrap();
            assert_eq!(not_after(&certificate), Some(end), "{year}");
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (year, rest, expected) in [
            (1970, "0101000000", Some(0)),
            (2000, "0229235959", Some(951_868_799)),
            (2024, "0301000000", Some(1_709_251_200)),
            (2026, "1301000000", None),
            (2026, "0101", None),
        ] {
            assert_eq!(seconds(year, rest), expected, "{year} {rest}");
        }
    }

    #[test]
    fn no_truncated_certificate_is_read_as_another() {
        let directory = tempfile::tempdir().unwrap();
        let made = Certificates::create_in(directory.path());
        let whole = CertificateDer::from_pem_file(made.server_certificate()).unwrap();
        assert!(not_after(&whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(
                not_after(&CertificateDer::from_slice(&whole[..length])),
                None
            );
        }
    }
}
