//! A model of how a server answers, which is a server: the same random requests of several clients go
//! to one server directly and to another through a proxy, and every reply must be the same, apart from
//! orders that no server promises. Unlike fuzzing, almost every request is a valid one, on few records,
//! so that long histories build up: counters in transactions, members in several records, values that
//! were there in clear before.
//!
//! [`run`] plays episodes, each from empty servers and a seed of its own, and makes the history of a
//! difference as short as it can. What requests there are is in `table`, a line for each form.

mod comparison;
mod generator;
mod pair;
mod player;
mod queue;
mod request;
mod shrink;
mod step;
mod table;
mod template;

use std::fmt;
use std::time::{Duration, Instant};

pub use table::Feature;

use generator::Generator;
use pair::Pair;
use player::{Difference, Player};
use step::Step;

use crate::Chance;

/// Steps of an episode; a step is one write of one client, of up to [`MAX_PIPELINE`] requests.
const EPISODE_STEPS: usize = 250;
/// Requests in one write.
const MAX_PIPELINE: usize = 8;
/// Records that are written in another form in the beginning of an episode.
const EARLIER_RECORDS: usize = 12;

/// The scope that a name's values are bound to, and what the name begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Each record's values are bound to it.
    Record,
    /// Values are bound to a group, and may be moved within it.
    Group,
    /// As those of a group, and under the key of one user.
    User,
    /// Not protected.
    Open,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 4] = [Self::Record, Self::Group, Self::User, Self::Open];

    /// The beginning of the names in this scope.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Record => "r:",
            Self::Group => "g:",
            Self::User => "u:ana:",
            Self::Open => "o:",
        }
    }
}

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Model {
    /// A server's port, and no proxy before it.
    pub direct: u16,
    /// A proxy's port.
    pub through: u16,
    /// The port of a second proxy before the same server, which half of the clients use: it may write another form.
    pub second: Option<u16>,
    /// The port of the server behind that proxy.
    pub behind: u16,
    /// Where records are written in the beginning of a history: the server behind the proxy, for values in
    /// clear, or a proxy before it that seals in another form.
    pub before: u16,
    /// Equal seeds make equal histories.
    pub seed: u64,
    /// Requests of all episodes together.
    pub requests: usize,
    /// Ends a run early.
    pub limit: Option<Duration>,
    /// Only this episode.
    pub episode: Option<u64>,
    /// What is asked for.
    pub features: Vec<Feature>,
    /// Which names there are.
    pub scopes: Vec<Scope>,
    /// Values are there in another form before the proxy is asked: see [`Model::before`].
    pub other_forms: bool,
    /// These are in clear, so that not everything is sealed in the end.
    pub in_clear: bool,
    /// Records are rewritten meanwhile: a WATCH of them would end for no reason that the other server has.
    pub swept: bool,
    /// The names of protected records are sealed at the server behind the proxy.
    pub sealed_names: bool,
    /// A history with a difference is replayed to make it shorter.
    pub shrink: bool,
}

impl Model {
    /// Everything that is known, with these servers, in protected names.
    #[must_use]
    pub fn new(direct: u16, through: u16, behind: u16) -> Self {
        Self {
            direct,
            through,
            second: None,
            behind,
            before: behind,
            seed: 1,
            requests: 20_000,
            limit: None,
            episode: None,
            features: Feature::ALL.to_vec(),
            scopes: vec![Scope::Record, Scope::Group, Scope::Open],
            other_forms: false,
            in_clear: false,
            swept: false,
            sealed_names: false,
            shrink: true,
        }
    }
}

/// The figures of a run without a difference.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Requests, each sent to both sides.
    pub requests: usize,
    /// Histories that began with empty servers.
    pub episodes: u64,
    /// Transactions that were carried out.
    pub transactions: usize,
    /// Requests that the server itself answered with an error.
    pub errors: usize,
    /// How long it took.
    pub duration: Duration,
}

/// A difference, and the shortest history known to lead to it.
#[derive(Clone, Debug)]
pub struct Finding {
    seed: u64,
    episode: u64,
    history: Vec<Step>,
    difference: Difference,
    is_stable: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}, episode {}, {} steps{}:",
            self.seed,
            self.episode,
            self.history.len(),
            if self.is_stable {
                ""
            } else {
                " (not seen again)"
            }
        )?;
        for step in &self.history {
            writeln!(f, "  {step}")?;
        }
        write!(f, "{}", self.difference)
    }
}

/// Plays episodes until there were enough requests, and returns the first difference.
///
/// # Errors
///
/// The difference.
///
/// # Panics
///
/// If a server is not there.
pub fn run(model: &Model) -> Result<Figures, Box<Finding>> {
    let started = Instant::now();
    let mut figures = Figures::default();
    let mut episode = model.episode.unwrap_or(0);
    while figures.requests < model.requests
        && model.limit.is_none_or(|limit| started.elapsed() < limit)
    {
        let history = history(model, episode);
        let mut player = Player::new(Pair::connect(model), model);
        let outcome = player.play(&history);
        figures.requests += player.requests();
        figures.transactions += player.transactions();
        figures.errors += player.errors();
        figures.episodes += 1;
        if let Err(difference) = outcome {
            drop(player);
            return Err(Box::new(shortened(model, episode, history, difference)));
        }
        if model.episode.is_some() {
            break;
        }
        episode += 1;
    }
    figures.duration = started.elapsed();
    Ok(figures)
}

fn history(model: &Model, episode: u64) -> Vec<Step> {
    let seed = model.seed.wrapping_mul(1_000_003).wrapping_add(episode);
    let mut generator = Generator::new(Chance::seeded(seed), model);
    let mut history = Vec::new();
    if model.other_forms {
        history.extend((0..EARLIER_RECORDS).filter_map(|_| generator.earlier_record()));
    }
    history.extend((0..EPISODE_STEPS).map(|_| generator.step()));
    history
}

fn shortened(
    model: &Model,
    episode: u64,
    mut history: Vec<Step>,
    difference: Difference,
) -> Finding {
    history.truncate(difference.step + 1);
    let shorter = model
        .shrink
        .then(|| shrink::shrink(model, &history))
        .flatten();
    let is_stable = shorter.is_some();
    let (history, difference) = shorter.unwrap_or((history, difference));
    Finding {
        seed: model.seed,
        episode,
        history,
        difference,
        is_stable,
    }
}
