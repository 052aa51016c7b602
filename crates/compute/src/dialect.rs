//! What one server does differently from others: which of the commands it has, and in which order it finds errors. Knows
//! versions, not connections; one predicate for each difference.

use waxseal_resp::MAX_BULK_LEN;

/// A family of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// Redis, and forks that report its version as their own.
    Redis,
    /// Valkey.
    Valkey,
}

/// The behaviour of one server: its product, its version, and the longest string that it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    product: Product,
    version: (u16, u16),
    max_bulk: u64,
}

impl Dialect {
    /// Redis of this version, with the default `proto-max-bulk-len`.
    #[must_use]
    pub const fn redis(major: u16, minor: u16) -> Self {
        Self::new(Product::Redis, (major, minor))
    }

    /// Valkey of this version, with the default `proto-max-bulk-len`.
    #[must_use]
    pub const fn valkey(major: u16, minor: u16) -> Self {
        Self::new(Product::Valkey, (major, minor))
    }

    const fn new(product: Product, version: (u16, u16)) -> Self {
        Self {
            product,
            version,
            max_bulk: MAX_BULK_LEN,
        }
    }

    /// The same server with another `proto-max-bulk-len`, in bytes.
    #[must_use]
    pub const fn with_max_bulk(mut self, bytes: u64) -> Self {
        self.max_bulk = bytes;
        self
    }

    /// Reads product and version from a server's `INFO server`. `None` if it reports no version.
    #[must_use]
    pub fn from_info(info: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = info.lines();
            lines.find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
        };
        let version = |text: &str| {
            let mut parts = text.split('.').map(str::parse);
            Some((parts.next()?.ok()?, parts.next()?.ok()?))
        };
        if let Some(text) = field("valkey_version") {
            return Some(Self::new(Product::Valkey, version(text)?));
        }
        Some(Self::new(Product::Redis, version(field("redis_version")?)?))
    }

    /// The family of the server.
    #[must_use]
    pub fn product(self) -> Product {
        self.product
    }

    /// Major and minor version.
    #[must_use]
    pub fn version(self) -> (u16, u16) {
        self.version
    }

    /// The longest string that the server accepts, in bytes.
    #[must_use]
    pub fn max_bulk(self) -> u64 {
        self.max_bulk
    }

    /// Redis of at least the first version, Valkey of at least the second. `None`: no version.
    fn since(self, redis: Option<(u16, u16)>, valkey: Option<(u16, u16)>) -> bool {
        let first = match self.product {
            Product::Redis => redis,
            Product::Valkey => valkey,
        };
        first.is_some_and(|first| self.version >= first)
    }

    /// Every server that this crate describes.
    pub(crate) fn has_always(self) -> bool {
        true
    }

    /// `LCS`.
    pub(crate) fn has_lcs(self) -> bool {
        self.since(Some((7, 0)), Some((7, 2)))
    }

    /// The most negative decrement is refused. Before, its negation was taken to be itself.
    pub(crate) fn refuses_most_negative_decrement(self) -> bool {
        self.since(Some((7, 0)), Some((7, 2)))
    }

    /// `BYTE` and `BIT` in ranges of `BITCOUNT` and `BITPOS`.
    pub(crate) fn has_range_units(self) -> bool {
        self.since(Some((7, 0)), Some((7, 2)))
    }

    /// Ranges of `BITCOUNT` and `BITPOS` are read before the record is looked up, so that they can be wrong where there is
    /// no record.
    pub(crate) fn reads_ranges_first(self) -> bool {
        self.since(Some((7, 4)), Some((8, 0)))
    }

    /// `BITCOUNT name start`, and units that are read before the end of a range.
    pub(crate) fn counts_without_end(self) -> bool {
        self.since(None, Some((8, 0)))
    }

    /// Types of bitfields end with the argument, and not at a NUL in it: Valkey 9.1 reads them so, and 8.0 does not.
    pub(crate) fn reads_bitfield_types_whole(self) -> bool {
        self.since(None, Some((9, 0)))
    }

    /// `SET … IFEQ`.
    pub(crate) fn has_set_if_equal(self) -> bool {
        self.since(Some((8, 4)), Some((8, 1)))
    }

    /// `SET … IFNE`, `IFDEQ` and `IFDNE`, `DELEX` and `DIGEST`.
    pub(crate) fn has_digests(self) -> bool {
        self.since(Some((8, 4)), None)
    }

    /// `SORT_RO`.
    pub(crate) fn has_read_only_sort(self) -> bool {
        self.since(Some((7, 0)), Some((7, 2)))
    }

    /// `SORT` reads numbers as C does: hexadecimal ones too, behind spaces, and none that is too large or too small for 64
    /// bits.
    pub(crate) fn sorts_numbers_of_c(self) -> bool {
        !self.since(Some((8, 0)), Some((9, 1)))
    }

    /// `SORT` takes neither an empty text for a number nor one that is too large or rounds to zero.
    pub(crate) fn sorts_strict_numbers(self) -> bool {
        self.since(None, Some((9, 1)))
    }

    /// `DELIFEQ`.
    pub(crate) fn has_delete_if_equal(self) -> bool {
        self.since(None, Some((9, 0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_of_a_server_from_its_info() {
        let redis = "# Server\r\nredis_version:7.0.15\r\nredis_git_sha1:0\r\n";
        assert_eq!(Dialect::from_info(redis), Some(Dialect::redis(7, 0)));
        let valkey = "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n";
        assert_eq!(Dialect::from_info(valkey), Some(Dialect::valkey(9, 1)));
        for text in ["", "redis_version:", "redis_version:7", "redis_version:x.y"] {
            assert_eq!(Dialect::from_info(text), None, "{text}");
        }
    }

    #[test]
    fn a_command_is_known_from_the_version_that_brought_it() {
        assert!(!Dialect::redis(6, 2).has_lcs() && Dialect::redis(7, 0).has_lcs());
        assert!(!Dialect::redis(8, 2).has_digests() && Dialect::redis(8, 4).has_digests());
        assert!(
            !Dialect::valkey(9, 1).has_digests() && Dialect::valkey(9, 0).has_delete_if_equal()
        );
        assert!(
            !Dialect::valkey(8, 0).has_set_if_equal() && Dialect::valkey(8, 1).has_set_if_equal()
        );
        assert!(Dialect::redis(10, 0).has_digests());
    }
}
