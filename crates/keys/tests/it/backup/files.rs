//! Backups to recipients, and files that are not backups or were changed.

use std::sync::Arc;

use age::x25519::Identity;
use waxseal_core::{Binding, Format, Mode, Sealer};
use waxseal_keys::{Backup, BackupError, Identities, Recipients, Ring};

use super::{another_custodian, assert_is_whole, backup, identities, recipients, refused, ring};
use crate::rings::with;

#[tokio::test]
async fn each_recipient_opens_it_alone() {
    let (first, second) = (Identity::generate(), Identity::generate());
    let file = backup()
        .await
        .seal(&recipients(&[&first, &second]))
        .unwrap();
    assert!(file.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
    for identity in [&first, &second] {
        let opened = Backup::open(file.as_bytes(), &identities(identity)).await;
        assert_is_whole(&opened.unwrap(), &ring().await);
    }
    let other = Backup::open(file.as_bytes(), &identities(&Identity::generate())).await;
    assert_eq!(refused(other), BackupError::WrongIdentity);
}

#[tokio::test]
async fn earlier_values_open_under_other_custodians() {
    let old = ring().await;
    let sealer = Sealer::new(Arc::new(old.keyring().unwrap()), Mode::On, Format::Sealed);
    let sealed = sealer.seal(b"a state", Binding::record(b"wa:1")).unwrap();
    let identity = Identity::generate();
    let file = backup().await.seal(&recipients(&[&identity])).unwrap();
    let opened = Backup::open(file.as_bytes(), &identities(&identity)).await;
    let custodian = another_custodian();
    let wrapped = opened
        .unwrap()
        .wrapped_by(std::slice::from_ref(&custodian))
        .await;
    let wrapped = wrapped.unwrap();
    assert_eq!(wrapped.version(), old.version() + 1);
    assert_eq!(wrapped.custodians().collect::<Vec<_>>(), [custodian.url()]);
    let bytes = wrapped.to_bytes();
    let new = Ring::open(&bytes, "there", "test", &with(&custodian), None).await;
    let new = new.unwrap();
    assert_eq!(new.erasures(), old.erasures());
    assert_ne!(new.check_value(), old.check_value());
    let sealer = Sealer::new(Arc::new(new.keyring().unwrap()), Mode::On, Format::Sealed);
    let found = sealer
        .open(&sealed, Binding::record(b"wa:1"))
        .unwrap()
        .unwrap();
    assert_eq!(&found.value[..], b"a state");
}

#[tokio::test]
async fn no_flipped_byte_opens() {
    let identity = Identity::generate();
    let file = backup().await.seal(&recipients(&[&identity])).unwrap();
    let identities = identities(&identity);
    let last = file.trim_end().len();
    for at in 0..last {
        for flip in [0x01, 0x20, 0x80] {
            let mut changed = file.clone().into_bytes();
            changed[at] ^= flip;
            let error = refused(Backup::open(&changed, &identities).await);
            let is_named = matches!(
                error,
                BackupError::NotAge | BackupError::Damaged(_) | BackupError::WrongIdentity
            );
            assert!(is_named, "{at}: {error}");
        }
    }
    for end in [0, 10, 100, file.len() / 2, last - 40, last - 1] {
        refused(Backup::open(&file.as_bytes()[..end], &identities).await);
    }
}

#[tokio::test]
async fn changed_line_ends_are_not_damage() {
    let identity = Identity::generate();
    let file = backup().await.seal(&recipients(&[&identity])).unwrap();
    let mailed = format!("\r\n\r\n{}\r\n", file.replace('\n', "\r\n"));
    let opened = Backup::open(mailed.as_bytes(), &identities(&identity)).await;
    assert_is_whole(&opened.unwrap(), &ring().await);
    assert_eq!(Backup::id(mailed.as_bytes()), Backup::id(file.as_bytes()));
}

#[tokio::test]
async fn other_files_are_not_backups() {
    let identities = identities(&Identity::generate());
    for file in [&b""[..], b"{}", b"AGE-SECRET-KEY-1", &[0xff; 100]] {
        let error = refused(Backup::open(file, &identities).await);
        assert_eq!(error, BackupError::NotAge);
    }
    let large = vec![b'\n'; 40 << 20];
    let error = refused(Backup::open(&large, &identities).await);
    assert_eq!(error, BackupError::TooLarge(16));
}

#[test]
fn recipients_and_identities_are_read_from_files_and_never_shown() {
    let identity = Identity::generate();
    let secret = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    let public = identity.to_public().to_string();
    let mut recipients = Recipients::default();
    recipients
        .add_lines(&format!("# ours\n\n{public}\n"))
        .unwrap();
    let file = format!("# created: 2027\n# public key: {public}\n{secret}\n");
    assert!(Identities::parse(&file).is_ok());
    assert_eq!(
        refused(recipients.add_lines("# no\n")),
        BackupError::NoRecipient
    );
    let error = refused(recipients.add_lines(&format!("{public}\nage1x")));
    let place = "line 2".to_owned();
    assert_eq!(
        error,
        BackupError::Recipient {
            place: place.clone()
        }
    );
    for secret in [secret.clone(), secret.to_lowercase()] {
        let error = refused(recipients.add_lines(&format!("#\n{secret}")));
        assert_eq!(
            error,
            BackupError::SecretRecipient {
                place: place.clone()
            }
        );
    }
    for file in ["", "# no", &public, &secret[..40], &format!("{secret}x")] {
        let error = refused(Identities::parse(file));
        assert_eq!(error, BackupError::NoIdentity);
        assert!(!format!("{error} {error:?}").contains(&secret[16..30]));
    }
}

#[tokio::test]
async fn an_empty_list_of_recipients_is_refused() {
    let error = refused(backup().await.seal(&Recipients::default()));
    assert_eq!(error, BackupError::NoRecipient);
}
