//! Alternating measurement: every round runs every side of every case for a fixed number of operations, in short turns
//! that alternate between the sides, and records the time of one operation.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The number of measurements.
pub(crate) const ROUNDS: usize = 15;
/// The number of turns of one side in one round. The figure of the round is their median: interruptions by other
/// programs affect some of them, not all.
pub(crate) const TURNS: usize = 15;
/// The approximate duration of one turn.
pub(crate) const TURN: Duration = Duration::from_millis(2);
/// The time in which the number of operations of a side is determined.
const TRIAL: Duration = Duration::from_millis(5);

/// One kind of envelope, operation and size, as several sides do it.
pub(crate) struct Case {
    pub(crate) envelope: Envelope,
    pub(crate) operation: Operation,
    pub(crate) size: usize,
    pub(crate) sides: Vec<Side>,
}

/// The kind of envelope.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Envelope {
    Classic,
    Version2,
    Version3,
    Deterministic,
    /// Deterministic, as the stored name of a record.
    Name,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Seal,
    Open,
}

/// The side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SideName {
    ByHand,
    Sealer,
    UserKey,
    /// `Sealer` with version 2.
    Version2,
    /// The library of AES-SIV by hand, with the key prepared for each call.
    PreparedEachTime,
    Limit,
    /// Node, from text to text.
    NodeText,
    /// Node, from bytes to bytes.
    NodeBytes,
}

/// One implementation of the operation, and its times.
pub(crate) struct Side {
    pub(crate) name: SideName,
    /// Seconds for one operation, one entry a round.
    pub(crate) seconds: Vec<f64>,
    /// The same for the turns of the current round.
    turns: Vec<f64>,
    /// Performs the operation this many times, and returns the duration.
    work: Box<dyn FnMut(u32) -> Duration>,
    count: u32,
}

impl Side {
    pub(crate) fn new<T>(name: SideName, mut one: impl FnMut() -> T + 'static) -> Self {
        Self::timed_elsewhere(name, move |count| {
            let start = Instant::now();
            for _ in 0..count {
                black_box(one());
            }
            start.elapsed()
        })
    }

    /// A side that measures the time itself.
    pub(crate) fn timed_elsewhere(
        name: SideName,
        work: impl FnMut(u32) -> Duration + 'static,
    ) -> Self {
        Self {
            name,
            seconds: Vec::new(),
            turns: Vec::new(),
            work: Box::new(work),
            count: 1,
        }
    }

    /// Determines the number of operations in a turn, which also warms everything up.
    fn calibrate(&mut self) {
        loop {
            let taken = (self.work)(self.count);
            if taken >= TRIAL {
                let fitting = TURN.as_secs_f64() / taken.as_secs_f64() * f64::from(self.count);
                self.count = (fitting as u32).max(1);
                return;
            }
            self.count *= 2;
        }
    }

    fn turn(&mut self) {
        let taken = (self.work)(self.count);
        self.turns.push(taken.as_secs_f64() / f64::from(self.count));
    }

    fn end_round(&mut self) {
        let turns = std::mem::take(&mut self.turns);
        self.seconds.push(Spread::of(turns).median);
    }
}

impl Case {
    pub(crate) fn side(&self, name: SideName) -> Option<&Side> {
        self.sides.iter().find(|side| side.name == name)
    }

    /// The ratio of the times of two sides, round by round.
    pub(crate) fn ratio(&self, side: SideName, over: SideName) -> Option<Spread> {
        let (side, over) = (self.side(side)?, self.side(over)?);
        let pairs = side.seconds.iter().zip(&over.seconds);
        Some(Spread::of(pairs.map(|(side, over)| side / over).collect()))
    }
}

/// Median, smallest and largest of some figures.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        Self {
            median: figures[figures.len() / 2],
            min: figures[0],
            max: figures[figures.len() - 1],
        }
    }
}

pub(crate) fn run(cases: &mut [Case]) {
    let sides = cases.iter_mut().flat_map(|case| &mut case.sides);
    sides.for_each(Side::calibrate);
    for _ in 0..ROUNDS {
        for case in &mut *cases {
            for turn in 0..TURNS {
                // The second side finds a machine that the first has warmed.
                if turn % 2 == 0 {
                    case.sides.iter_mut().for_each(Side::turn);
                } else {
                    case.sides.iter_mut().rev().for_each(Side::turn);
                }
            }
            case.sides.iter_mut().for_each(Side::end_round);
        }
    }
}

impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classic => "classic format",
            Self::Version2 => "sealed format, version 2",
            Self::Version3 => "sealed format, version 3",
            Self::Deterministic => "deterministic",
            Self::Name => "names of records",
        })
    }
}
