//! The cells of the table: one command, one length of the values, one depth of the pipeline, one
//! number of connections. Measures nothing and knows no side.

use std::fmt;

/// Lengths of the values, with the word for each in the cell's name.
const SIZES: [(usize, &str); 3] = [(64, "64"), (1024, "1k"), (16 * 1024, "16k")];
const PIPELINES: [u32; 2] = [1, 16];
const CONNECTIONS: [u32; 2] = [1, 50];

/// Bytes of values that Redis holds, at most, and names, at most: beyond that a turn would mostly
/// prepare.
const MAX_BYTES: usize = 16 * 1024 * 1024;
const MAX_NAMES: usize = 10_000;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Set,
    Get,
}

#[derive(Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) operation: Operation,
    /// Length of the values.
    pub(crate) size: usize,
    pub(crate) pipeline: u32,
    pub(crate) connections: u32,
}

impl Cell {
    pub(crate) fn all() -> Vec<Self> {
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
                        });
                    }
                }
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
        (MAX_BYTES / self.size).min(MAX_NAMES)
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
        let size = SIZES.iter().find(|(size, _)| *size == self.size);
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
    /// The name that `redis-benchmark -t` uses.
    pub(crate) fn test(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Get => "get",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Get => "GET",
        }
    }
}

/// The name that `redis-benchmark -r` gives to one of its records.
pub(crate) fn record_name(number: usize) -> String {
    format!("key:{number:012}")
}

/// The pattern of all those names.
pub(crate) const PATTERN: &str = "key:*";
