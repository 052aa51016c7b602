//! The cells of the table: one command, one length of the values, one depth of the pipeline, one
//! number of connections. Measures nothing and knows no side.

use std::fmt;

/// Lengths of the values, with the word for each in the cell's name.
const SIZES: [(usize, &str); 3] = [(64, "64"), (1024, "1k"), (16 * 1024, "16k")];
const PIPELINES: [u32; 2] = [1, 16];
const CONNECTIONS: [u32; 2] = [1, 50];
/// The length of values of other types than strings.
const OTHER_SIZE: usize = 256;

/// Bytes of values that Redis holds, at most, and names, at most: beyond that a turn would mostly
/// prepare.
const MAX_BYTES: usize = 16 * 1024 * 1024;
pub(crate) const MAX_NAMES: usize = 10_000;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Set,
    Get,
    /// A member of one of many sets.
    Sadd,
    Sismember,
    /// A member of one of many sorted sets, and ten of one.
    Zadd,
    Zrange,
    /// An entry of one of many streams, and ten of one.
    Xadd,
    Xread,
    /// A message to a channel that nobody listens to.
    Publish,
    /// One of many counters.
    Incr,
}

#[derive(Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) operation: Operation,
    /// Length of the values.
    pub(crate) size: usize,
    pub(crate) pipeline: u32,
    pub(crate) connections: u32,
    /// The number of record names, at most.
    pub(crate) max_names: usize,
}

impl Cell {
    pub(crate) fn all(max_names: usize) -> Vec<Self> {
        let mut cells = Vec::new();
        for (size, _) in SIZES {
            for operation in [Operation::Set, Operation::Get] {
                for pipeline in PIPELINES {
                    for connections in CONNECTIONS {
                        cells.push(Self {
                            operation,
                            size,
                            pipeline,
                            connections,
                            max_names,
                        });
                    }
                }
            }
        }
        for operation in Operation::OTHERS {
            for pipeline in PIPELINES {
                cells.push(Self {
                    operation,
                    size: OTHER_SIZE,
                    pipeline,
                    connections: 50,
                    max_names,
                });
            }
        }
        cells
    }

    /// True if each part of `filter`, cut at its dashes, is a part of this cell's name.
    pub(crate) fn matches(&self, filter: &str) -> bool {
        let name = self.to_string();
        filter
            .split('-')
            .all(|wanted| name.split('-').any(|part| part == wanted))
    }

    /// The number of record names in the load.
    pub(crate) fn names(&self) -> usize {
        (MAX_BYTES / self.size).min(self.max_names)
    }

    /// True if a client waits for each reply before it sends the next request, alone.
    pub(crate) fn one_at_a_time(&self) -> bool {
        self.pipeline == 1 && self.connections == 1
    }

    pub(crate) fn explained(&self) -> String {
        let length = match self.size {
            1024.. => format!("{} KiB", self.size / 1024),
            _ => format!("{} B", self.size),
        };
        let connections = match self.connections {
            1 => "1 connection".to_owned(),
            count => format!("{count} connections"),
        };
        format!(
            "{} {length}, pipeline {}, {connections}",
            self.operation.command(),
            self.pipeline
        )
    }
}

/// The cell's name, as `--only` takes it.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sizes = SIZES.iter().chain(&[(OTHER_SIZE, "256")]);
        let size = sizes.find(|(size, _)| *size == self.size);
        write!(
            f,
            "{}-{}-p{}-c{}",
            self.operation.test(),
            size.map_or("other", |(_, word)| word),
            self.pipeline,
            self.connections
        )
    }
}

impl Operation {
    /// Those that are no reads or writes of whole strings.
    pub(crate) const OTHERS: [Self; 8] = [
        Self::Sadd,
        Self::Sismember,
        Self::Zadd,
        Self::Zrange,
        Self::Xadd,
        Self::Xread,
        Self::Publish,
        Self::Incr,
    ];

    /// The command in small letters, as in the cell's name.
    pub(crate) fn test(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Get => "get",
            Self::Sadd => "sadd",
            Self::Sismember => "sismember",
            Self::Zadd => "zadd",
            Self::Zrange => "zrange",
            Self::Xadd => "xadd",
            Self::Xread => "xread",
            Self::Publish => "publish",
            Self::Incr => "incr",
        }
    }

    fn command(self) -> String {
        self.test().to_uppercase()
    }

    /// The words of a request, of which each names another record and has another member.
    pub(crate) fn words(self, size: usize) -> Vec<String> {
        let value: String = "__rand_int__"
            .chars()
            .chain("x".repeat(size).chars())
            .take(size)
            .collect();
        let line = match self {
            Self::Set => "SET key:__rand_int__ @",
            Self::Get => "GET key:__rand_int__",
            Self::Sadd => "SADD key:t:__rand_int__ @",
            Self::Sismember => "SISMEMBER key:t:__rand_int__ @",
            Self::Zadd => "ZADD key:z:__rand_int__ 1 @",
            Self::Zrange => "ZRANGE key:z:__rand_int__ 0 9",
            Self::Xadd => "XADD key:x:__rand_int__ MAXLEN 20 * field @",
            Self::Xread => "XREAD COUNT 10 STREAMS key:x:__rand_int__ 0",
            Self::Publish => "PUBLISH key:channel @",
            Self::Incr => "INCR key:n:__rand_int__",
        };
        line.split(' ')
            .map(|word| word.replace('@', &value))
            .collect()
    }

    /// Requests that write what is read, for the record of this number. What another side has put into it goes first: members
    /// and entries that one side wrote plain are not those of another one.
    pub(crate) fn preparation(self, number: usize, value: &str) -> Vec<Vec<String>> {
        let ten = |line: &str| {
            let line = line.replace('#', &format!("{number:012}"));
            let name = line.split(' ').nth(1).expect("a name");
            let delete = vec!["DEL".to_owned(), name.to_owned()];
            let filled = (0..10).map(|at| {
                let words = line
                    .split(' ')
                    .map(|word| word.replace('@', &format!("{at}{value}")));
                words
                    .map(|word| word.replace('%', &at.to_string()))
                    .collect()
            });
            std::iter::once(delete).chain(filled).collect()
        };
        match self {
            Self::Sismember | Self::Sadd => ten("SADD key:t:# @"),
            Self::Zrange | Self::Zadd => ten("ZADD key:z:# % @"),
            Self::Xread | Self::Xadd => ten("XADD key:x:# * field @"),
            Self::Incr => vec![
                ["SET", &format!("key:n:{number:012}"), "1"]
                    .map(str::to_owned)
                    .to_vec(),
            ],
            Self::Set | Self::Get | Self::Publish => Vec::new(),
        }
    }

    /// True if twemproxy forwards it.
    pub(crate) fn is_known_to_twemproxy(self) -> bool {
        !matches!(self, Self::Xadd | Self::Xread | Self::Publish)
    }
}

/// The name that `redis-benchmark -r` gives to one of its records.
pub(crate) fn record_name(number: usize) -> String {
    format!("key:{number:012}")
}

/// The pattern of all those names.
pub(crate) const PATTERN: &str = "key:*";
