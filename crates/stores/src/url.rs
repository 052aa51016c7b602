//! Store URLs: the kind of store, its address, and its credentials. A URL can hold a password, so
//! it has no readable `Debug`, and [`StoreUrl::location`] omits it.

use std::fmt;
use std::path::PathBuf;

use redis::{ConnectionAddr, IntoConnectionInfo};
use url::Url;

/// A parsed store URL.
///
/// `redis://[user:password@]host[:port][/db]`, the same with `rediss://` (TLS; queries `ca`, `cert`
/// and `key` name PEM files), `unix:PATH[?db=N&user=U&pass=P]`, `file:PATH` (embedded).
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A Redis server.
    Redis(RedisUrl),
    /// An embedded file.
    File(PathBuf),
}

/// The address of one Redis server.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    pub(crate) address: String,
    pub(crate) location: String,
    pub(crate) tls: Option<TlsFiles>,
    has_password: bool,
}

/// A Redis URL taken apart, for code that connects without a store. Holds a password: it has no
/// `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrlParts {
    /// Host and port; `None` for a unix socket.
    pub host: Option<(String, u16)>,
    /// The path of the unix socket, if it is one.
    pub socket: Option<PathBuf>,
    /// True if it is reached over TLS.
    pub tls: bool,
    /// The authority to trust instead of the system's roots.
    pub ca: Option<PathBuf>,
    /// The client certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The database.
    pub database: u32,
}

/// PEM files for TLS. Without a CA the system's roots are trusted.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// A store URL that cannot be read. The URL itself is not shown: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No scheme, or an unknown one.
    #[error("a store URL starts with redis://, rediss://, unix: or file:")]
    Scheme,
    /// A kind of store that this version does not have.
    #[error("this version has no store for {0} URLs")]
    Unsupported(&'static str),
    /// It names TLS files without asking for TLS.
    #[error("the store URL cannot be read: ca, cert and key are for TLS, and redis:// is without")]
    NoTls,
    /// Something else is wrong with it.
    #[error("the store URL cannot be read: {0}")]
    Invalid(&'static str),
}

impl StoreUrl {
    /// Parses a store URL.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, tail) = text.split_once(':').ok_or(UrlError::Scheme)?;
        match scheme {
            "file" => {
                let path = tail.strip_prefix("//").unwrap_or(tail);
                if path.is_empty() {
                    return Err(UrlError::Invalid("it names no file"));
                }
                Ok(Self::File(PathBuf::from(path)))
            }
            "unix" | "redis+unix" => unix(tail).map(Self::Redis),
            "redis" | "rediss" => tcp(text, scheme == "rediss").map(Self::Redis),
            "redis+sentinel" => Err(UrlError::Unsupported("redis+sentinel")),
            "redis+cluster" => Err(UrlError::Unsupported("redis+cluster")),
            _ => Err(UrlError::Scheme),
        }
    }

    /// The URL without user, password and query.
    #[must_use]
    pub fn location(&self) -> String {
        match self {
            Self::Redis(redis) => redis.location.clone(),
            Self::File(path) => format!("file:{}", path.display()),
        }
    }

    /// True if the URL holds a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        matches!(
            self,
            Self::Redis(RedisUrl {
                has_password: true,
                ..
            })
        )
    }
}

impl RedisUrl {
    /// The URL's parts.
    pub fn parts(&self) -> Result<RedisUrlParts, UrlError> {
        let unreadable = |_| UrlError::Invalid("it is not a valid URL");
        let info = self
            .address
            .as_str()
            .into_connection_info()
            .map_err(unreadable)?;
        let (host, socket) = match info.addr() {
            ConnectionAddr::Unix(path) => (None, Some(path.clone())),
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                (Some((host.clone(), *port)), None)
            }
            _ => return Err(UrlError::Invalid("it is of a kind that is not known here")),
        };
        let settings = info.redis_settings();
        let files = self.tls.clone().unwrap_or_default();
        Ok(RedisUrlParts {
            host,
            socket,
            tls: self.tls.is_some(),
            ca: files.ca,
            identity: files.cert.zip(files.key),
            user: settings.username().map(str::to_owned),
            password: settings.password().map(str::to_owned),
            database: u32::try_from(settings.db())
                .map_err(|_| UrlError::Invalid("its database is not a number"))?,
        })
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({})", self.location())
    }
}

fn tcp(text: &str, tls: bool) -> Result<RedisUrl, UrlError> {
    let mut url = Url::parse(text).map_err(|_| UrlError::Invalid("it is not a valid URL"))?;
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host
        .ok_or(UrlError::Invalid("it names no host"))?
        .to_owned();
    let db = url.path().trim_matches('/').to_owned();
    if !db.is_empty() && db.parse::<u32>().is_err() {
        return Err(UrlError::Invalid(
            "the database after the last / is not a number",
        ));
    }
    let mut files = TlsFiles::default();
    let query: Vec<_> = url.query_pairs().into_owned().collect();
    for (parameter, value) in query {
        let path = match parameter.as_str() {
            "ca" if tls => &mut files.ca,
            "cert" if tls => &mut files.cert,
            "key" if tls => &mut files.key,
            "ca" | "cert" | "key" => return Err(UrlError::NoTls),
            _ => {
                return Err(UrlError::Invalid(
                    "its query has parameters other than ca, cert and key",
                ));
            }
        };
        *path = Some(PathBuf::from(value));
    }
    // The client library has one that disables certificate checks.
    if url.fragment().is_some() {
        return Err(UrlError::Invalid("it has a fragment (#)"));
    }
    if files.cert.is_some() != files.key.is_some() {
        return Err(UrlError::Invalid("cert and key go together"));
    }
    url.set_query(None);
    let scheme = if tls { "rediss" } else { "redis" };
    let port = url.port().unwrap_or(6379);
    let slash = if db.is_empty() { "" } else { "/" };
    Ok(RedisUrl {
        location: format!("{scheme}://{host}:{port}{slash}{db}"),
        has_password: url.password().is_some(),
        tls: tls.then_some(files),
        address: url.to_string(),
    })
}

fn unix(tail: &str) -> Result<RedisUrl, UrlError> {
    let tail = tail.strip_prefix("//").unwrap_or(tail);
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    if !path.starts_with('/') {
        return Err(UrlError::Invalid("a unix socket needs an absolute path"));
    }
    let mut has_password = false;
    for (parameter, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*parameter {
            "db" if value.parse::<u32>().is_ok() => {}
            "db" => return Err(UrlError::Invalid("its db is not a number")),
            "user" => {}
            "pass" => has_password = true,
            _ => {
                return Err(UrlError::Invalid(
                    "its query has parameters other than db, user and pass",
                ));
            }
        }
    }
    Ok(RedisUrl {
        location: format!("unix:{path}"),
        has_password,
        tls: None,
        address: format!("redis+unix://{tail}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str) -> String {
        StoreUrl::parse(text).unwrap().location()
    }

    #[test]
    fn shows_where_a_store_is_without_credentials() {
        assert_eq!(location("redis://127.0.0.1"), "redis://127.0.0.1:6379");
        assert_eq!(location("redis://u:secret@h:1/2"), "redis://h:1/2");
        assert_eq!(location("rediss://h?ca=/ca.pem"), "rediss://h:6379");
        assert_eq!(
            location("unix:/run/r.sock?db=1&pass=secret"),
            "unix:/run/r.sock"
        );
        assert_eq!(location("unix:///run/r.sock"), "unix:/run/r.sock");
        assert_eq!(location("file:./a.db"), "file:./a.db");
        let url = StoreUrl::parse("redis://u:secret@h:1/2").unwrap();
        assert!(url.has_password());
        assert_eq!(format!("{url:?}"), "StoreUrl(redis://h:1/2)");
    }

    #[test]
    fn takes_a_redis_url_apart() {
        let StoreUrl::Redis(url) = StoreUrl::parse("rediss://u:p%40ss@h:1/2?ca=/ca.pem").unwrap()
        else {
            panic!("a Redis URL");
        };
        let parts = url.parts().unwrap();
        assert_eq!(parts.host, Some(("h".to_owned(), 1)));
        assert_eq!(parts.user.as_deref(), Some("u"));
        assert_eq!(parts.password.as_deref(), Some("p@ss"));
        assert_eq!((parts.database, parts.tls), (2, true));
        assert_eq!(parts.ca, Some(PathBuf::from("/ca.pem")));
        let StoreUrl::Redis(url) = StoreUrl::parse("unix:/run/r.sock?db=1&pass=x").unwrap() else {
            panic!("a Redis URL");
        };
        let parts = url.parts().unwrap();
        assert_eq!(parts.socket, Some(PathBuf::from("/run/r.sock")));
        assert_eq!((parts.database, parts.host), (1, None));
    }

    #[test]
    fn refuses_what_it_does_not_understand_without_repeating_it() {
        for text in [
            "localhost",
            "http://h",
            "redis://",
            "redis://u:secret@h/x",
            "file:",
            "unix:r.sock",
            "redis://h?password=secret",
            "rediss://h#insecure",
            "redis://u:secret@h?ca=secret",
            "unix:/r.sock?password=secret",
            "unix:/r.sock?db=secret",
            "rediss://h?cert=/c.pem",
            "redis+cluster://h",
        ] {
            let error = StoreUrl::parse(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
