//! `keyring export`, `import` and `rehearse`: backups of a keyring with its keys. The content of a backup, and how
//! it is sealed, is decided in `waxseal-keys`.

mod export;
mod files;
mod import;
mod rehearse;

use waxseal_keys::{Backup, Identities, Share};
use waxseal_service::Failure;
use waxseal_service::environment::read_secret;

use crate::args::OpeningArgs;

pub(super) use export::run as export;
pub(super) use import::run as import;
pub(super) use rehearse::run as rehearse;

/// A backup that was opened, and its id.
struct Opened {
    backup: Backup,
    id: String,
}

async fn open(args: &OpeningArgs) -> Result<Opened, Failure> {
    let shown = args.file.display().to_string();
    let about_file = |failure: Failure| failure.named(&shown);
    let file = files::read(&args.file)?;
    let id = Backup::id(&file).map_err(|error| about_file(error.into()))?;
    let opened = if args.share.is_empty() {
        let mut all = Identities::default();
        for path in &args.identity {
            let text = read_secret("--identity", path)?;
            let identities = Identities::parse(&text);
            let named = |error| Failure::from(error).named(&path.display().to_string());
            all.extend(identities.map_err(named)?);
        }
        Backup::open(&file, &all).await
    } else {
        let mut shares = Vec::new();
        for path in &args.share {
            let text = read_secret("--share", path)?;
            let named = |error| Failure::from(error).named(&path.display().to_string());
            shares.push(Share::parse(&text).map_err(named)?);
        }
        Backup::open_with_shares(&file, &shares).await
    };
    let backup = opened.map_err(|error| about_file(error.into()))?;
    Ok(Opened { backup, id })
}
