//! Tests of the parser: it agrees with the package `dotenv` on generated texts. Which variables there are is not
//! known here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use waxseal_testing::clients;

use super::*;

/// The parts of generated texts: everything with a meaning in the grammar, or in another one.
const PARTS: [&str; 58] = [
    "REDIS_URL",
    "A",
    "B_2",
    "c.d-e",
    "1X",
    "export",
    "export ",
    "export\t",
    "set ",
    "=",
    "=",
    "=",
    " = ",
    ":",
    ": ",
    " ",
    "  ",
    "\t",
    "\u{a0}",
    "\u{feff}",
    "\u{2028}",
    "\u{85}",
    "\u{b}",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\r",
    "\n\n",
    "#",
    " # ",
    "# it's\n",
    "\"",
    "\"",
    "'",
    "'",
    "`",
    "\\",
    "\\n",
    "\\r",
    "\\\"",
    "\\'",
    "\\\\",
    "$",
    "$$",
    "${A}",
    "$A",
    "pa$$w0rd",
    "redis://:p@h:6379/0",
    "?a=b&c",
    "{\"k\": 1}",
    "a b",
    "ñ",
    "😀",
    "-----BEGIN-----",
    "=\"two\nlines\"",
    "='it''s'\n",
    "x",
];
/// Texts that are made. All of them go to one process.
const TEXTS: u32 = 800;

/// A generator that gives the same numbers each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

fn created(numbers: &mut Numbers, number: u32) -> String {
    let mut text = String::new();
    // Lines as people write them, with parts anywhere in them; and parts alone.
    let lines = match number % 3 {
        0 => 0,
        _ => 1 + numbers.below(6),
    };
    for line in 0..lines {
        let name = ["A", "B", "REDIS_URL", "export A", "export\tB"][numbers.below(5)];
        let value = [
            "plain",
            "\"quoted # it\"",
            "'single'",
            "`back`",
            "pa$$w0rd@h",
            "",
        ][numbers.below(6)];
        let comment = ["", " # the bot's Redis", "#x", "   ", "\t# \"q\""][numbers.below(5)];
        let end = ["\n", "\r\n", "\n\n", "\r"][numbers.below(4)];
        let mut parts = [name, "=", value, comment, end].map(str::to_owned);
        if numbers.below(2) == 0 {
            parts[numbers.below(5)] += PARTS[numbers.below(PARTS.len())];
        }
        write!(text, "{}", parts.concat()).unwrap();
        let _ = line;
    }
    if lines == 0 {
        for _ in 0..numbers.below(24) {
            text.push_str(PARTS[numbers.below(PARTS.len())]);
        }
    }
    text
}

fn read(bytes: &[u8]) -> BTreeMap<String, String> {
    let text = normalize(&String::from_utf8_lossy(bytes));
    let pairs = assignments(&text).map(|it| (it.name.to_owned(), (*it.value()).clone()));
    // The last one counts.
    pairs.collect()
}

#[test]
fn every_text_sets_what_it_sets_for_node() {
    let mut numbers = Numbers(0x5eed_2026_1130_0001);
    let mut texts: Vec<Vec<u8>> = (0..TEXTS)
        .map(|it| created(&mut numbers, it).into_bytes())
        .collect();
    // Bytes that are none of UTF-8, in comments and values.
    for at in (0..texts.len()).step_by(7) {
        let place = numbers.below(texts[at].len() + 1);
        texts[at].insert(place, [0xe9, 0xff, 0xc3][numbers.below(3)]);
    }
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    };
    let given: Vec<_> = texts.iter().map(|text| hex(text)).collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("texts.json");
    std::fs::write(&path, serde_json::to_string(&given).unwrap()).unwrap();
    let printed = clients::node("dotenv.mjs", 0, &[path.to_str().unwrap()]);
    let node: Vec<Vec<(String, String)>> = serde_json::from_str(&printed).unwrap();
    assert_eq!(node.len(), texts.len());
    let mut set = 0;
    for (text, node) in texts.iter().zip(node) {
        let node: BTreeMap<_, _> = node.into_iter().collect();
        set += node.len();
        assert_eq!(read(text), node, "{:?}", String::from_utf8_lossy(text));
    }
    assert!(set > 1000, "{set}");
}
