//! Backups in shares.

use waxseal_keys::{Backup, BackupError, MAX_SHARES, Share, Split};

use super::{about, assert_is_whole, refused, ring, split};

#[tokio::test]
async fn any_three_of_five_open_it_in_any_order() {
    let (file, shares) = split(3, 5).await;
    let ring = ring().await;
    for first in 0..5 {
        for second in 0..5 {
            for third in 0..5 {
                if first == second || first == third || second == third {
                    continue;
                }
                let some = [first, second, third].map(|it: usize| shares[it].clone());
                let opened = Backup::open_with_shares(file.as_bytes(), &some).await;
                assert_is_whole(&opened.unwrap(), &ring);
            }
        }
    }
    for given in [4, 5] {
        let opened = Backup::open_with_shares(file.as_bytes(), &shares[..given]).await;
        assert_is_whole(&opened.unwrap(), &ring);
    }
}

#[tokio::test]
async fn with_too_few_shares_the_error_shows_how_many_are_missing() {
    let (file, shares) = split(3, 5).await;
    for (given, text) in [
        (1, "1 of the 3 shares that are needed: 2 more are missing"),
        (2, "2 of the 3 shares that are needed: 1 more is missing"),
    ] {
        let error = refused(Backup::open_with_shares(file.as_bytes(), &shares[..given]).await);
        assert_eq!(error.to_string(), text);
    }
    let error = refused(Backup::open_with_shares(file.as_bytes(), &[]).await);
    assert!(matches!(
        error,
        BackupError::TooFewShares { missing: 2, .. }
    ));
}

#[tokio::test]
async fn a_repeated_share_counts_once() {
    let (file, shares) = split(2, 3).await;
    let twice = [shares[1].clone(), shares[1].clone()];
    let error = refused(Backup::open_with_shares(file.as_bytes(), &twice).await);
    assert_eq!(error, BackupError::SameShare(2));
}

#[tokio::test]
async fn a_share_of_another_backup_is_detected() {
    let (file, shares) = split(2, 3).await;
    let (other_file, others) = split(2, 3).await;
    let mixed = [shares[0].clone(), others[1].clone()];
    let error = refused(Backup::open_with_shares(file.as_bytes(), &mixed).await);
    let expected = BackupError::OtherBackup {
        share: 2,
        found: Backup::id(other_file.as_bytes()).unwrap(),
        expected: Backup::id(file.as_bytes()).unwrap(),
    };
    assert_eq!(error, expected);
}

#[tokio::test]
async fn forged_shares_do_not_open_the_backup() {
    let (file, shares) = split(2, 3).await;
    let (_, others) = split(2, 3).await;
    let (_, of_four) = split(3, 4).await;
    let id = Backup::id(file.as_bytes()).unwrap();
    // A forged sheet with correct checksums.
    for other in [&others[1], &of_four[1]] {
        let mixed = [shares[0].clone(), forged(other, &id)];
        let error = refused(Backup::open_with_shares(file.as_bytes(), &mixed).await);
        assert_eq!(error, BackupError::SharesDoNotFit);
    }
    // If there are more than needed, each one counts.
    let all = [
        shares[0].clone(),
        forged(&others[1], &id),
        shares[2].clone(),
    ];
    let error = refused(Backup::open_with_shares(file.as_bytes(), &all).await);
    assert_eq!(error, BackupError::SharesDoNotFit);
}

const LETTERS: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The same share with the id of another backup.
fn forged(share: &Share, id: &str) -> Share {
    let sheet = share.sheet(&about()).to_string();
    let mut hashed = vec![share.number(), share.split().needed(), share.split().of()];
    hashed.extend_from_slice(id.as_bytes());
    for start in ["1: ", "2: ", "3: ", "4: "] {
        let line = sheet.lines().find_map(|it| it.strip_prefix(start)).unwrap();
        let letters = line.chars().filter(|it| *it != ' ');
        let number = letters.fold(0_u128, |number, letter| {
            number << 5 | LETTERS.find(letter).unwrap() as u128
        });
        hashed.extend_from_slice(&(u64::try_from(number >> 16).unwrap()).to_be_bytes());
    }
    let hash = waxseal_core::fingerprint("waxseal share v1", &hashed);
    let number = u64::from_str_radix(&hash[..10], 16).unwrap();
    let letter = |index: u64| LETTERS.as_bytes()[(number >> (5 * index) & 31) as usize];
    let whole: String = (0..8).rev().map(|it| char::from(letter(it))).collect();
    let lines = sheet.lines().map(|line| match line.split_once(':') {
        Some(("Backup", _)) => format!("Backup: {id}"),
        Some(("Whole", _)) => format!("Whole: {whole}"),
        _ => line.to_owned(),
    });
    Share::parse(&lines.collect::<Vec<_>>().join("\n")).unwrap()
}

#[tokio::test]
async fn the_largest_split_works() {
    let (file, shares) = split(MAX_SHARES, MAX_SHARES).await;
    let opened = Backup::open_with_shares(file.as_bytes(), &shares).await;
    assert_is_whole(&opened.unwrap(), &ring().await);
    for share in &shares {
        let again = Share::parse(&share.sheet(&about())).unwrap();
        assert_eq!(again.number(), share.number());
    }
}

#[test]
fn impossible_splits_are_refused() {
    for (needed, of) in [(0, 0), (1, 1), (1, 5), (3, 2), (2, 33), (255, 255)] {
        let most = MAX_SHARES;
        let error = refused(Split::new(needed, of));
        assert_eq!(error, BackupError::Split { needed, of, most });
    }
    assert!(Split::new(2, 2).is_ok());
}
