//! Random steps: rows of the table with their places filled in, from few names, fields, members and
//! values, so that requests meet each other's records.

use super::comparison::Comparison;
use super::queue::is_followed;
use super::request::Request;
use super::step::Step;
use super::table::{self, Feature, Reach, Row};
use super::template::{Part, parse};
use super::{MAX_PIPELINE, Model, Scope};
use crate::Chance;

/// Clients of an episode.
pub(super) const CLIENTS: usize = 4;
/// Kinds of records, as names show them.
pub(super) const KINDS: [&str; 7] = ["s", "h", "l", "t", "z", "x", "g"];
/// Names of each kind in each scope.
pub(super) const NUMBERS: usize = 3;
/// A repeated part is there at most this often.
const MAX_REPEATED: usize = 4;
/// One member in so many commands stands under a name of another kind.
const OTHER_KIND: usize = 40;

/// Members of sets: numbers, which servers keep apart, short ones, one that is long, and bytes.
const MEMBERS: [&[u8]; 10] = [
    b"1",
    b"22",
    b"-7",
    b"alpha",
    b"beta",
    b"gamma",
    b"",
    b"\xff\x00b\r\n",
    b"a member that is longer than what servers keep in their compact encoding, by far",
    b"12345678901234567890",
];

/// A row with its line parsed.
struct Form {
    row: &'static Row,
    parts: Vec<Part>,
    is_computed: bool,
}

impl Form {
    fn new(row: &'static Row) -> Self {
        Self {
            row,
            parts: parse(row.line),
            is_computed: table::is_computed(row),
        }
    }
}

/// Generates steps.
pub(super) struct Generator {
    chance: Chance,
    forms: Vec<Form>,
    earlier: Vec<Form>,
    waits: Vec<(Form, Form)>,
    kinds: Vec<&'static str>,
    scopes: Vec<Scope>,
    transactions: bool,
    /// Computed requests may be within them.
    computes_in_transactions: bool,
    messages: bool,
    /// Clients that are within a transaction, as far as is known here.
    queueing: [bool; CLIENTS],
    /// What they have queued.
    queued: [Vec<Request>; CLIENTS],
    /// The first part of the next id of a stream.
    next_id: u64,
    /// The scope of the names of the present request, if it must be one.
    scope: Option<Scope>,
    /// Records may be watched.
    watches: bool,
    /// The names of the present request are of the kinds that it expects.
    own_kinds: bool,
    /// A name of the request that waits.
    woken: Vec<u8>,
}

impl Generator {
    pub(super) fn new(chance: Chance, model: &Model) -> Self {
        let possible = |row: &&Row| {
            row.reach != Reach::Group || model.scopes.iter().any(|it| *it != Scope::Record)
        };
        let features = &model.features;
        let has = |feature: Feature| features.contains(&feature);
        let kinds = [
            ("s", has(Feature::Strings) || has(Feature::Computed)),
            ("h", has(Feature::Hashes)),
            ("l", has(Feature::Lists)),
            ("t", has(Feature::Sets)),
            ("z", has(Feature::SortedSets)),
            ("x", has(Feature::Streams)),
            ("g", has(Feature::Geo)),
        ];
        let waits = if has(Feature::Blocking) {
            table::waits(features)
        } else {
            Vec::new()
        };
        let rows = table::rows(features);
        Self {
            chance,
            forms: rows.into_iter().filter(possible).map(Form::new).collect(),
            earlier: table::earlier_rows(features)
                .into_iter()
                .map(Form::new)
                .collect(),
            waits: waits
                .into_iter()
                .filter(|(row, _)| possible(&row))
                .map(|(row, waking)| (Form::new(row), Form::new(waking)))
                .collect(),
            kinds: kinds.iter().filter(|it| it.1).map(|it| it.0).collect(),
            scopes: model.scopes.clone(),
            transactions: has(Feature::Transactions),
            computes_in_transactions: has(Feature::ComputedInTransactions),
            messages: has(Feature::Messages),
            queueing: [false; CLIENTS],
            queued: Default::default(),
            next_id: 0,
            scope: None,
            watches: !model.other_forms && !model.swept,
            own_kinds: false,
            woken: Vec::new(),
        }
    }

    /// A record that is written in another form.
    pub(super) fn earlier_record(&mut self) -> Option<Step> {
        if self.earlier.is_empty() {
            return None;
        }
        let form = self.chance.below(self.earlier.len());
        let forms = std::mem::take(&mut self.earlier);
        let request = self.fill(&forms[form]);
        self.earlier = forms;
        Some(Step::Earlier { request })
    }

    pub(super) fn step(&mut self) -> Step {
        let client = self.chance.below(CLIENTS);
        if self.chance.one_in(100) {
            self.queueing[client] = false;
            return Step::Reconnect { client };
        }
        if !self.waits.is_empty() && self.chance.one_in(40) {
            return self.wait(client);
        }
        if self.messages && self.chance.one_in(20) {
            return self.message(client);
        }
        let mut requests = Vec::new();
        for _ in 0..1 + self.chance.below(MAX_PIPELINE) {
            let request = self.request(client);
            match request.comparison {
                Comparison::Pages(_) | Comparison::Sample(_) | Comparison::Taken(_) => {
                    if self.queueing[client] || !requests.is_empty() {
                        continue;
                    }
                    return match request.comparison {
                        Comparison::Pages(_) => Step::Scan { client, request },
                        _ => Step::Chosen { client, request },
                    };
                }
                _ => requests.push(request),
            }
        }
        if requests.is_empty() {
            requests.push(Request::exact(&["PING"]));
        }
        Step::Exchange { client, requests }
    }

    fn wait(&mut self, client: usize) -> Step {
        let other = (client + 1 + self.chance.below(CLIENTS - 1)) % CLIENTS;
        let forms = std::mem::take(&mut self.waits);
        let (row, waking) = &forms[self.chance.below(forms.len())];
        let request = self.fill(row);
        let names: Vec<&Vec<u8>> = request.words.iter().filter(|it| is_name(it)).collect();
        self.woken = names[self.chance.below(names.len())].clone();
        let waking = self.fill(waking);
        self.waits = forms;
        Step::Blocked {
            client,
            request,
            other,
            waking,
        }
    }

    /// A message on a channel of its own, since a server learns later that a subscriber is gone.
    fn message(&mut self, client: usize) -> Step {
        self.next_id += 1;
        let scope = self.chance.pick(&self.scopes).prefix();
        let channel = format!("{scope}channel{}", self.next_id);
        let message = self.value();
        let (subscribe, publish, pattern) = match self.chance.below(3) {
            0 => ("SUBSCRIBE", "PUBLISH", channel.clone()),
            1 => ("PSUBSCRIBE", "PUBLISH", format!("{channel}*")),
            _ => ("SSUBSCRIBE", "SPUBLISH", channel.clone()),
        };
        let words = [publish.as_bytes(), channel.as_bytes(), &message];
        Step::Message {
            subscription: Request::exact(&[subscribe, &pattern]),
            client,
            publication: Request {
                words: words.map(<[u8]>::to_vec).to_vec(),
                comparison: Comparison::Exact,
            },
        }
    }

    fn request(&mut self, client: usize) -> Request {
        if self.transactions {
            let queues = &mut self.queueing[client];
            let (word, state) = match self.chance.below(100) {
                0..4 if !*queues => ("MULTI", true),
                0..15 if *queues => ("EXEC", false),
                15..17 if *queues => ("DISCARD", false),
                17 => ("UNWATCH", *queues),
                // Neither can be queued.
                18 if *queues && self.chance.one_in(4) => ("MULTI", true),
                // A read that gives members one form is a change to those who watch.
                18..21 if (!*queues || self.chance.one_in(6)) && self.watches => {
                    let name = self.name(None);
                    let words = vec![b"WATCH".to_vec(), name];
                    return Request {
                        words,
                        comparison: Comparison::Exact,
                    };
                }
                _ => ("", false),
            };
            if !word.is_empty() {
                let is_nested = *queues && word == "MULTI";
                *queues = state;
                if word != "UNWATCH" && !is_nested {
                    self.queued[client].clear();
                }
                return Request::exact(&[word]);
            }
        }
        loop {
            let form = self.form();
            let is_queued = self.queueing[client];
            if is_queued && self.forms[form].is_computed && !self.computes_in_transactions {
                continue;
            }
            let forms = std::mem::take(&mut self.forms);
            let request = self.fill(&forms[form]);
            self.forms = forms;
            if !is_queued {
                return request;
            }
            if is_followed(&self.queued[client], &request) {
                self.queued[client].push(request.clone());
                return request;
            }
        }
    }

    /// The number of a form, by its weight.
    fn form(&mut self) -> usize {
        let total: usize = self.forms.iter().map(|form| form.row.weight).sum();
        let mut at = self.chance.below(total);
        let mut form = 0;
        while at >= self.forms[form].row.weight {
            at -= self.forms[form].row.weight;
            form += 1;
        }
        form
    }

    fn fill(&mut self, form: &Form) -> Request {
        self.scope = match form.row.reach {
            Reach::Any => None,
            Reach::OneScope => Some(self.chance.pick(&self.scopes)),
            Reach::Group => loop {
                let scope = self.chance.pick(&self.scopes);
                if scope != Scope::Record {
                    break Some(scope);
                }
            },
        };
        self.own_kinds = form.row.reach != Reach::Any;
        let mut words = Vec::new();
        self.parts(&form.parts, &mut words);
        Request {
            words,
            comparison: form.row.comparison,
        }
    }

    fn parts(&mut self, parts: &[Part], words: &mut Vec<Vec<u8>>) {
        for part in parts {
            match part {
                Part::Word(word) => self.word(word, words),
                Part::Optional(alternatives) => {
                    if self.chance.one_in(2) {
                        let chosen = self.chance.below(alternatives.len());
                        self.parts(&alternatives[chosen], words);
                    }
                }
                Part::Choice(alternatives) => {
                    let chosen = self.chance.below(alternatives.len());
                    self.parts(&alternatives[chosen], words);
                }
                Part::Repeated(parts) => {
                    for _ in 0..1 + self.chance.below(MAX_REPEATED) {
                        self.parts(parts, words);
                    }
                }
                Part::Counted(parts) => {
                    let count = 1 + self.chance.below(MAX_REPEATED);
                    words.push(count.to_string().into_bytes());
                    for _ in 0..count {
                        self.parts(parts, words);
                    }
                }
            }
        }
    }

    /// A word, of which a part may be a place, or which is one that stands for two words.
    fn word(&mut self, word: &str, words: &mut Vec<Vec<u8>>) {
        match word {
            "{sm}" => {
                let member = self.chance.below(MEMBERS.len());
                words.push(self.score(member).into_bytes());
                words.push(MEMBERS[member].to_vec());
            }
            "{pm}" => {
                let member = self.chance.below(MEMBERS.len());
                let shift = member as f64 * 0.731 + self.chance.below(3) as f64 * 0.011;
                words.push(format!("{:.4}", 2.0 + shift).into_bytes());
                words.push(format!("{:.4}", 41.0 + shift / 2.0).into_bytes());
                words.push(MEMBERS[member].to_vec());
            }
            word => match word.split_once('{') {
                None => words.push(word.as_bytes().to_vec()),
                Some((before, place)) => {
                    let (place, behind) = place.split_once('}').expect("a place is closed");
                    let filled = self.place(place);
                    words.push([before.as_bytes(), &filled, behind.as_bytes()].concat());
                }
            },
        }
    }

    fn place(&mut self, place: &str) -> Vec<u8> {
        let number = |number: usize| number.to_string();
        let chance = &mut self.chance;
        let text = match place {
            "s" | "h" | "l" | "t" | "z" | "x" | "g" => {
                let kind = KINDS.into_iter().find(|kind| *kind == place);
                return self.name(kind);
            }
            "k" => return self.name(None),
            "woken" => return self.woken.clone(),
            "v" => return self.value(),
            "m" => return chance.pick(&MEMBERS).to_vec(),
            "e" => return chance.pick(&MEMBERS[..6]).to_vec(),
            "f" => format!("f{}", chance.below(5)),
            "int" => chance
                .pick(&["0", "1", "-1", "7", "100", "-250", "9223372036854775807"])
                .to_owned(),
            "float" => chance
                .pick(&["0.1", "-1.5", "3", "2.5e3", "0.25"])
                .to_owned(),
            "i" => (chance.below(8) as i64 - 3).to_string(),
            "n" => number(chance.below(6)),
            "p" => number(1 + chance.below(5)),
            "rank" => chance.pick(&["1", "-1", "2"]).to_owned(),
            "bit" => number(chance.below(60)),
            "ttl" => number(10_000 + chance.below(90_000)),
            "pttl" => number(10_000_000 + chance.below(90_000_000)),
            "at" => number(4_000_000_000 + chance.below(1_000_000)),
            "km" => number(20 + chance.below(400)),
            "sb" => self.score_bound(),
            "id" => format!(
                "{}-1",
                chance.below(usize::try_from(self.next_id).unwrap() + 2)
            ),
            "xb" if chance.one_in(3) => chance.pick(&["-", "+"]).to_owned(),
            "xb" => number(chance.below(usize::try_from(self.next_id).unwrap() + 2)),
            "next" => {
                self.next_id += 1;
                format!("{}-1", self.next_id)
            }
            "cg" => format!("group{}", chance.below(2)),
            "c" => format!("consumer{}", chance.below(2)),
            "glob" => chance
                .pick(&["*", "*a*", "al*", "[0-9]*", "f[12]", "?"])
                .to_owned(),
            "prefix" => {
                let scope = self.scope.unwrap_or_else(|| chance.pick(&self.scopes));
                scope.prefix().to_owned()
            }
            "cursor" => "{cursor}".to_owned(),
            unknown => panic!("there is no place {unknown}"),
        };
        text.into_bytes()
    }

    /// A record name, mostly of this kind.
    fn name(&mut self, kind: Option<&'static str>) -> Vec<u8> {
        let scope = self.scope;
        let scope = scope.unwrap_or_else(|| self.chance.pick(&self.scopes));
        let kind = match kind {
            Some(kind) if self.own_kinds || !self.chance.one_in(OTHER_KIND) => kind,
            // Never a set where a sorted set is expected: as one, its members have equal scores.
            Some("t") => "s",
            // A stream moves only within a group, so that no other name may be one.
            Some("x") => "x",
            Some(kind) => match self.chance.pick(&self.kinds) {
                "x" => kind,
                other => other,
            },
            None => self.chance.pick(&self.kinds),
        };
        let number = self.chance.below(NUMBERS);
        format!("{}{kind}{number}", scope.prefix()).into_bytes()
    }

    fn value(&mut self) -> Vec<u8> {
        match self.chance.below(20) {
            0 => Vec::new(),
            1 => b"line\r\nand *3\r\n$ more".to_vec(),
            2 => (0..=255).collect(),
            3 => vec![b'x'; self.chance.below(5000)],
            4..8 => self.chance.below(100).to_string().into_bytes(),
            8 => b"1.5".to_vec(),
            _ => format!("value{}", self.chance.below(12)).into_bytes(),
        }
    }

    /// A score that only this member ever has; neither have sums of them.
    fn score(&mut self, member: usize) -> String {
        let version = self.chance.below(4);
        let mut chance = Chance::seeded(1 + (member * 16 + version) as u64);
        (chance.below(1 << 40) as i64 - (1 << 39)).to_string()
    }

    fn score_bound(&mut self) -> String {
        match self.chance.below(8) {
            0 => "-inf".to_owned(),
            1 => "+inf".to_owned(),
            2..4 => {
                let member = self.chance.below(MEMBERS.len());
                format!("({}", self.score(member))
            }
            4..6 => {
                let member = self.chance.below(MEMBERS.len());
                self.score(member)
            }
            _ => (self.chance.below(1 << 40) as i64 - (1 << 39)).to_string(),
        }
    }
}

/// True if a word is a record name of the model.
fn is_name(word: &[u8]) -> bool {
    Scope::ALL
        .iter()
        .any(|scope| word.starts_with(scope.prefix().as_bytes()))
}

/// All names of these scopes.
pub(super) fn names(scopes: &[Scope]) -> Vec<Vec<u8>> {
    let kinds = scopes
        .iter()
        .flat_map(|scope| KINDS.iter().map(move |kind| (scope.prefix(), kind)));
    kinds
        .flat_map(|(prefix, kind)| {
            (0..NUMBERS).map(move |number| format!("{prefix}{kind}{number}").into_bytes())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_make_equal_histories_of_all_rows() {
        let model = Model::new(0, 0, 0);
        let shown = |seed| {
            let mut generator = Generator::new(Chance::seeded(seed), &model);
            let steps = (0..5_000).map(|_| generator.step().to_string());
            steps.collect::<Vec<_>>().join("\n")
        };
        let once = shown(1);
        assert_eq!(once, shown(1));
        assert_ne!(once, shown(2));
        let commands = [
            "EXEC",
            "ZINTERSTORE",
            "XAUTOCLAIM",
            "HGETDEL",
            "BLMOVE",
            "LCS",
            "SORT_RO",
        ];
        for command in commands {
            assert!(once.contains(command), "{command}");
        }
        assert!(!once.contains("{s}"), "a place was not filled");
    }

    #[test]
    fn scores_of_members_are_never_equal() {
        let model = Model::new(0, 0, 0);
        let mut generator = Generator::new(Chance::seeded(1), &model);
        let mut owners = std::collections::BTreeMap::new();
        for member in 0..MEMBERS.len() {
            for _ in 0..40 {
                let owner = owners.entry(generator.score(member)).or_insert(member);
                assert_eq!(*owner, member);
            }
        }
    }
}
