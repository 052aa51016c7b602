//! Shares on paper: printed, typed, and mistyped.

use waxseal_keys::{Backup, BackupError, Share};

use super::{about, assert_is_whole, refused, ring, split};

/// The lines that must be typed.
fn needed(sheet: &str) -> Vec<String> {
    let words = ["Share:", "Backup:", "1:", "2:", "3:", "4:", "Whole:"];
    let is_needed = |line: &&str| words.iter().any(|word| line.starts_with(word));
    sheet.lines().filter(is_needed).map(str::to_owned).collect()
}

async fn sheet() -> String {
    let (_, shares) = split(2, 3).await;
    shares[1].sheet(&about()).to_string()
}

/// A fixed share: of a random one, one mistyped line in 65536 would be detected by the last line alone.
fn fixed() -> Vec<String> {
    needed(include_str!("../../vectors/backup/share-1.txt"))
}

#[tokio::test]
async fn a_sheet_is_printable_and_describes_itself() {
    let sheet = sheet().await;
    assert!(
        sheet
            .bytes()
            .all(|it| it == b'\n' || (b' '..=b'~').contains(&it))
    );
    assert!(sheet.lines().all(|line| line.len() <= 80), "{sheet}");
    for text in [
        "SHARE 2 OF 3",
        "Share:       2 of 3, any 2 open it\n",
        "Ring:        0123456789abcdef\n",
        "Environment: t?st?[31m\n",
        "Date:        2027-01-15 (UTC)\n",
        "Check value: 0123 4567 89ab cdef\n",
    ] {
        assert!(sheet.contains(text), "{text}: {sheet}");
    }
    assert_eq!(needed(&sheet).len(), 7);
}

#[tokio::test]
async fn variations_in_typing_are_accepted() {
    let (file, shares) = split(2, 3).await;
    let ring = ring().await;
    let typed = |change: &dyn Fn(String) -> String| -> Vec<Share> {
        let sheets = shares[..2].iter().map(|it| it.sheet(&about()));
        let texts = sheets.map(|it| change(needed(&it).join("\n")));
        texts.map(|text| Share::parse(&text).unwrap()).collect()
    };
    let ways: [&dyn Fn(String) -> String; 8] = [
        &|text| text,
        &|text| text.to_lowercase(),
        &|text| text.to_uppercase(),
        &|text| text.replace('\n', "\r\n\r\n  "),
        &|text| text.replace(' ', "  "),
        &|text| text.replace(' ', "-"),
        &|text| text.lines().rev().collect::<Vec<_>>().join("\n"),
        &|text| {
            text.replace("1:", "1.")
                .replace("2:", "2)")
                .replace("3:", "3 ")
        },
    ];
    for way in ways {
        let opened = Backup::open_with_shares(file.as_bytes(), &typed(way)).await;
        assert_is_whole(&opened.unwrap(), &ring);
    }
    // Letters that look like digits.
    let confused = typed(&|text| {
        let lines = text.lines().map(|line| match line.split_once(':') {
            Some((number @ ("1" | "2" | "3" | "4" | "Whole"), rest)) => {
                format!("{number}:{}", rest.replace('0', "o").replace('1', "l"))
            }
            _ => line.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    let opened = Backup::open_with_shares(file.as_bytes(), &confused).await;
    assert_is_whole(&opened.unwrap(), &ring);
}

#[test]
fn a_mistyped_line_is_named() {
    let lines = fixed();
    for at in 2..6 {
        let line = u8::try_from(at - 1).unwrap();
        for place in 3..lines[at].len() {
            let mut changed = lines.clone();
            let letter = changed[at].as_bytes()[place];
            if letter == b' ' {
                continue;
            }
            let other = if letter == b'7' { "8" } else { "7" };
            changed[at].replace_range(place..=place, other);
            let error = refused(Share::parse(&changed.join("\n")));
            assert_eq!(error, BackupError::ShareLine(line));
            let mut shorter = lines.clone();
            shorter[at].remove(place);
            let error = refused(Share::parse(&shorter.join("\n")));
            assert_eq!(error, BackupError::ShareLine(line));
        }
        let mut without = lines.clone();
        without.remove(at);
        let error = refused(Share::parse(&without.join("\n")));
        assert_eq!(error, BackupError::ShareLineMissing(line));
        let twice = [lines.join("\n"), lines[at].clone()].join("\n");
        let error = refused(Share::parse(&twice));
        assert_eq!(error, BackupError::ShareLine(line));
    }
}

#[test]
fn swapped_lines_are_named() {
    let mut lines = fixed();
    let (second, third) = (lines[3].replace("2:", "3:"), lines[4].replace("3:", "2:"));
    (lines[3], lines[4]) = (third, second);
    let error = refused(Share::parse(&lines.join("\n")));
    assert_eq!(error, BackupError::ShareLine(2));
}

#[tokio::test]
async fn a_mistyped_head_is_detected() {
    let text = needed(&sheet().await).join("\n");
    let change = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        refused(Share::parse(&text.replacen(from, to, 1)))
    };
    for (to, expected) in [
        ("3 of 3, any 2", BackupError::ShareWhole),
        ("2 of 4, any 2", BackupError::ShareWhole),
        ("2 of 3, any 3", BackupError::ShareWhole),
        ("4 of 3, any 2", BackupError::ShareField("Share")),
        ("0 of 3, any 2", BackupError::ShareField("Share")),
        ("2 of 3, any 1", BackupError::ShareField("Share")),
        ("2 of 300, any 2", BackupError::ShareField("Share")),
        ("2 of 3, some", BackupError::ShareField("Share")),
    ] {
        assert_eq!(change("2 of 3, any 2", to), expected, "{to}");
    }
    assert_eq!(change("Share:", "Shore:"), BackupError::ShareField("Share"));
    assert_eq!(
        change("Backup:", "Back:"),
        BackupError::ShareField("Backup")
    );
    assert_eq!(
        change("Whole:", "Whole: 7"),
        BackupError::ShareField("Whole")
    );
    assert_eq!(change("Whole:", "Whale:"), BackupError::ShareField("Whole"));
    let backup = text.lines().nth(1).unwrap().to_owned();
    let other = match backup.pop_last() {
        (start, 'a') => format!("{start}b"),
        (start, _) => format!("{start}a"),
    };
    assert_eq!(change(&backup, &other), BackupError::ShareWhole);
    assert_eq!(
        change("Backup:", "Backup: z"),
        BackupError::ShareField("Backup")
    );
    let newer = format!("Format: 2\n{text}");
    assert_eq!(refused(Share::parse(&newer)), BackupError::ShareFormat(2));
}

trait PopLast {
    fn pop_last(&self) -> (&str, char);
}

impl PopLast for String {
    fn pop_last(&self) -> (&str, char) {
        let last = self.chars().next_back().unwrap();
        (&self[..self.len() - last.len_utf8()], last)
    }
}

#[tokio::test]
async fn a_line_of_another_share_is_detected() {
    let (_, shares) = split(2, 3).await;
    let sheets: Vec<_> = shares
        .iter()
        .map(|it| needed(&it.sheet(&about())))
        .collect();
    let mut mixed = sheets[0].clone();
    mixed[3].clone_from(&sheets[1][3]);
    let error = refused(Share::parse(&mixed.join("\n")));
    assert_eq!(error, BackupError::ShareWhole);
}

#[test]
fn other_texts_are_not_shares() {
    for text in [
        "",
        "hello",
        "-----BEGIN AGE ENCRYPTED FILE-----",
        "a: b\nc: d",
    ] {
        assert_eq!(refused(Share::parse(text)), BackupError::NoShare);
    }
}

#[tokio::test]
async fn no_error_shows_a_part_of_a_share() {
    let lines = needed(&sheet().await);
    for at in 0..lines.len() {
        let mut changed = lines.clone();
        changed[at].push('7');
        let error = refused(Share::parse(&changed.join("\n")));
        let shown = format!("{error} {error:?}");
        for line in &lines[2..] {
            for group in line.split(' ').skip(1) {
                assert!(!shown.contains(group), "{shown}");
            }
        }
    }
}
