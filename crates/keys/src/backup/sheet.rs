//! A share as a sheet of text: to be printed, kept, and typed again. Each line carries check
//! characters that reveal whether it was mistyped. The share itself is in `shares`.

use std::fmt::Write as _;

use waxseal_core::fingerprint;
use zeroize::Zeroizing;

use super::BackupError;
use super::age_file::ID_LEN;
use super::shares::{Share, Split};

const FORMAT: u32 = 1;
/// The number of numbered lines, and the bytes of the share in each.
const LINES: u8 = 4;
const LINE_BYTES: usize = 8;
/// 8 bytes and 2 of the check are 80 bits: exactly 16 characters of 5 bits.
const LINE_CHARS: usize = 16;
const WHOLE_CHARS: usize = 8;
const LINE: &str = "waxseal share line v1";
const WHOLE: &str = "waxseal share v1";
/// Crockford's alphabet: no letter that can be mistaken for a digit.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Information for people on a sheet. Not needed to open the backup.
#[derive(Clone, Debug)]
pub struct About {
    /// The ring.
    pub ring: String,
    /// Its environment.
    pub environment: String,
    /// The day, in UTC.
    pub date: String,
    /// The keyring's check value.
    pub check_value: String,
}

impl Share {
    /// The sheet.
    #[must_use]
    pub fn sheet(&self, about: &About) -> Zeroizing<String> {
        let (number, of, needed) = (self.number, self.split.of(), self.split.needed());
        let (backup, value) = (&self.backup, in_fours(&about.check_value));
        let (ring, environment) = (ascii(&about.ring), ascii(&about.environment));
        let date = ascii(&about.date);
        // Never grown: that would leave an unwiped copy behind.
        let mut text = Zeroizing::new(String::with_capacity(4096));
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "WAXSEAL KEYRING BACKUP, SHARE {number} OF {of}\n\n\
             Any {needed} of these {of} shares open the file backup.age, fewer tell nothing of it.\n\
             Keep this sheet where nobody sees it, away from the other shares and from\n\
             the file. It opens nothing without the file.\n\n\
             Format:      {FORMAT}\n\
             Share:       {number} of {of}, any {needed} open it\n\
             Backup:      {backup}\n\
             Ring:        {ring}\n\
             Environment: {environment}\n\
             Date:        {date} (UTC)\n\
             Check value: {}\n\n",
            *value
        );
        for line in 1..=LINES {
            let letters = self.line(line).map(|it| encode(&it)).unwrap_or_default();
            let _ = writeln!(text, "{line}: {}", *in_fours(&letters));
        }
        let _ = write!(
            text,
            "Whole: {}\n\n\
             To open it, type the lines \"Share\", \"Backup\", 1 to {LINES} and \"Whole\" into a file for\n\
             each share. Capitals, spaces and hyphens do not matter. Then:\n\n\
             \x20 waxseal keyring rehearse backup.age --share FILE --share FILE ...\n\
             \x20 waxseal keyring import   backup.age --share FILE --share FILE ...\n",
            *in_fours(&self.whole())
        );
        text
    }

    /// Parses a sheet as a person types it again: the required lines, in any order, ignoring
    /// everything else.
    pub fn parse(text: &str) -> Result<Self, BackupError> {
        let typed = Typed::read(text)?;
        let mut value = Zeroizing::new([0; LINE_BYTES * LINES as usize]);
        for (line, part) in (1..=LINES).zip(value.chunks_exact_mut(LINE_BYTES)) {
            part.copy_from_slice(&*typed.line(line)?);
        }
        let share = Self {
            number: typed.number,
            split: typed.split,
            backup: typed.backup,
            value,
        };
        match typed.whole == share.whole() {
            true => Ok(share),
            false => Err(BackupError::ShareWhole),
        }
    }

    /// The bytes of one line, with its check.
    fn line(&self, line: u8) -> Option<Zeroizing<[u8; LINE_BYTES + 2]>> {
        let mut parts = self.value.chunks_exact(LINE_BYTES);
        let part = parts.nth(usize::from(line.checked_sub(1)?))?;
        Some(checked(line, part.try_into().ok()?))
    }

    /// The check over everything that is required.
    fn whole(&self) -> String {
        let mut bytes = Zeroizing::new(Vec::with_capacity(64));
        bytes.extend_from_slice(&[self.number, self.split.needed(), self.split.of()]);
        bytes.extend_from_slice(self.backup.as_bytes());
        bytes.extend_from_slice(&*self.value);
        let hash = first_bytes(&fingerprint(WHOLE, &bytes));
        let letters = encode(&hash);
        letters.get(..WHOLE_CHARS).unwrap_or_default().to_owned()
    }
}

/// The parts found in a text.
struct Typed<'a> {
    number: u8,
    split: Split,
    backup: String,
    whole: String,
    lines: Vec<(u8, &'a str)>,
}

impl<'a> Typed<'a> {
    fn read(text: &'a str) -> Result<Self, BackupError> {
        let lines: Vec<_> = text.lines().filter_map(numbered).collect();
        let fields: Vec<_> = text.lines().filter_map(|it| it.split_once(':')).collect();
        let field = |name: &'static str| {
            let is = |(found, _): &&(&str, &str)| found.trim().eq_ignore_ascii_case(name);
            let mut found = fields.iter().filter(is).map(|(_, value)| value.trim());
            match (found.next(), found.next()) {
                (Some(value), None) => Ok(value),
                _ => Err(BackupError::ShareField(name)),
            }
        };
        let is_any = |name| field(name).is_ok();
        if lines.is_empty() && !is_any("Share") && !is_any("Backup") && !is_any("Whole") {
            return Err(BackupError::NoShare);
        }
        // Without it, the first format is assumed.
        if let Ok(format) = field("Format")
            && format != FORMAT.to_string()
        {
            let format = format.parse();
            let unknown = format.map_err(|_| BackupError::ShareField("Format"))?;
            return Err(BackupError::ShareFormat(unknown));
        }
        let numbers = field("Share")?.split(|letter: char| !letter.is_ascii_digit());
        let numbers = numbers.filter(|it| !it.is_empty()).map(str::parse);
        let numbers: Result<Vec<u8>, _> = numbers.collect();
        let mistyped = || BackupError::ShareField("Share");
        let Ok([number, of, needed]) = numbers.as_deref() else {
            return Err(mistyped());
        };
        let split = Split::new(*needed, *of).map_err(|_| mistyped())?;
        if *number == 0 || number > of {
            return Err(mistyped());
        }
        let backup = hexadecimal(field("Backup")?).ok_or(BackupError::ShareField("Backup"))?;
        let whole = letters(field("Whole")?, WHOLE_CHARS);
        Ok(Self {
            number: *number,
            split,
            backup,
            whole: whole.ok_or(BackupError::ShareField("Whole"))?.to_string(),
            lines,
        })
    }

    /// The bytes of a line, if they are as they were printed.
    fn line(&self, line: u8) -> Result<Zeroizing<[u8; LINE_BYTES]>, BackupError> {
        let damaged = BackupError::ShareLine(line);
        let mut found = self.lines.iter().filter(|(number, _)| *number == line);
        let text = match (found.next(), found.next()) {
            (Some((_, text)), None) => text,
            (None, _) => return Err(BackupError::ShareLineMissing(line)),
            _ => return Err(damaged),
        };
        let letters = letters(text, LINE_CHARS).ok_or(damaged.clone())?;
        let bytes = decode(&letters).ok_or(damaged.clone())?;
        let Some(part) = bytes.first_chunk::<LINE_BYTES>() else {
            return Err(damaged);
        };
        match *checked(line, part) == *bytes {
            true => Ok(Zeroizing::new(*part)),
            false => Err(damaged),
        }
    }
}

/// A line that starts with a number of one digit and something that is neither letter nor digit.
fn numbered(line: &str) -> Option<(u8, &str)> {
    let line = line.trim();
    let digit = line.chars().next()?.to_digit(10)?;
    let tail = line.get(1..)?;
    let is_apart = tail.starts_with([':', '.', ')', ' ', '\t']);
    let tail = tail.trim_start_matches([':', '.', ')', ' ', '\t']);
    is_apart.then_some((u8::try_from(digit).ok()?, tail))
}

/// 8 bytes and the first 2 of a hash over them and the line's number.
fn checked(line: u8, part: &[u8; LINE_BYTES]) -> Zeroizing<[u8; LINE_BYTES + 2]> {
    let mut hashed = Zeroizing::new([0; LINE_BYTES + 1]);
    let mut bytes = Zeroizing::new([0; LINE_BYTES + 2]);
    let [first, tail @ ..] = &mut *hashed;
    *first = line;
    tail.copy_from_slice(part);
    let hash = first_bytes(&fingerprint(LINE, &*hashed));
    let all = part.iter().chain(&hash);
    bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
    bytes
}

/// The first 10 bytes of a hash in hexadecimal characters.
fn first_bytes(hex: &str) -> [u8; LINE_BYTES + 2] {
    let number = hex.get(..20).map(|hex| u128::from_str_radix(hex, 16));
    let [.., b0, b1, b2, b3, b4, b5, b6, b7, b8, b9] = number
        .and_then(Result::ok)
        .unwrap_or_default()
        .to_be_bytes();
    [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9]
}

fn encode(bytes: &[u8; LINE_BYTES + 2]) -> Zeroizing<String> {
    let number = bytes
        .iter()
        .fold(0, |all, byte| all << 8 | u128::from(*byte));
    let mut text = Zeroizing::new(String::with_capacity(LINE_CHARS));
    for index in (0..LINE_CHARS).rev() {
        let value = usize::try_from(number >> (5 * index) & 31).unwrap_or(0);
        text.push(char::from(ALPHABET.get(value).copied().unwrap_or(b'0')));
    }
    text
}

fn decode(letters: &str) -> Option<Zeroizing<[u8; LINE_BYTES + 2]>> {
    let mut number = 0_u128;
    for letter in letters.bytes() {
        let value = ALPHABET.iter().position(|it| *it == letter)?;
        number = number << 5 | u128::try_from(value).ok()?;
    }
    let bytes = number.to_be_bytes();
    bytes.last_chunk().copied().map(Zeroizing::new)
}

/// The `len` letters as they were printed, from the typed text.
fn letters(typed: &str, len: usize) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(len));
    for letter in typed.chars().filter(|it| !is_between(*it)) {
        let letter = match letter.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            letter => letter,
        };
        let is_one = u8::try_from(letter).is_ok_and(|it| ALPHABET.contains(&it));
        if !is_one || text.len() == len {
            return None;
        }
        text.push(letter);
    }
    (text.len() == len).then_some(text)
}

fn hexadecimal(typed: &str) -> Option<String> {
    let letters = typed.chars().filter(|it| !is_between(*it));
    let letters = letters.map(|letter| match letter.to_ascii_lowercase() {
        'o' => '0',
        'i' | 'l' => '1',
        letter => letter,
    });
    let text: String = letters.collect();
    let is_whole = text.len() == ID_LEN && text.bytes().all(|it| it.is_ascii_hexdigit());
    is_whole.then_some(text)
}

fn is_between(letter: char) -> bool {
    // Also what word processors turn a hyphen into.
    letter.is_whitespace() || matches!(letter, '-' | '\u{2010}'..='\u{2015}')
}

fn in_fours(text: &str) -> Zeroizing<String> {
    let mut apart = Zeroizing::new(String::with_capacity(text.len().saturating_mul(2)));
    for (index, letter) in text.chars().enumerate() {
        if index > 0 && index.is_multiple_of(4) {
            apart.push(' ');
        }
        apart.push(letter);
    }
    apart
}

/// Characters that every printer has.
fn ascii(text: &str) -> String {
    let shown = |letter: char| match letter {
        ' '..='~' => letter,
        _ => '?',
    };
    text.chars().take(200).map(shown).collect()
}
