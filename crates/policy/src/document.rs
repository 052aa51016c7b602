//! The policy in words: `docs/reference/command-policy.md`, written from the table, so that what operators read
//! is what the proxy does. Knows no file; the repository's own chores write and check it.

use std::fmt::Write as _;

use crate::decision::Effect;
use crate::refusal::{DataKind, Reason, Upper};
use crate::table::{EffectRule, Group, Names, Row, Treatment, rows};

/// The whole document, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(OPENING);
    text.push_str("| Because the command … | instead |\n|---|---|\n");
    for reason in REASONS {
        let cause = match reason {
            Reason::UnknownCommand => "is unknown, and names a protected record",
            reason => reason.cause(),
        };
        line(&mut text, &[cause.to_owned(), reason.remedy().to_owned()]);
    }
    for (group, title) in SECTIONS {
        section(&mut text, group, title);
    }
    text
}

const OPENING: &str = "\
# What each command does on a protected record

Written by `cargo xtask docs` from the table of the crate `policy` (`crates/policy/src/table`). It has a
row for each command and subcommand of Redis 6.2, 7.0 and 8, and of Valkey 9.

A record is protected when its name matches one of the patterns of the policy. What follows is said of
requests that name at least one protected record; **all others are forwarded as they are**. Names that
begin with `waxseal:` are Waxseal's own and match no pattern: what only reads them is forwarded, what
would write one is refused (`--allow-own-writes` lets it pass).

- **Sealed, opened**: exactly the values change, in their places. Of several names, some protected and
  some not, each is treated as it needs to be.
- **Forwarded**: the command carries no values. It sees names, fields, lifetimes and lengths of lists,
  and, with DUMP, sealed bytes.
- **Refused**: the request is not sent, and the client gets an error that begins with `SEALREFUSED`.
- A form of a command that is not known (an option of a later version, a value without its field, a word
  where a number belongs) is refused, because a value could go out in clear. Where no argument can be a
  value, a wrong number of arguments is left to the server to refuse.
- A command without a row, such as those of loadable modules, is refused if any of its arguments is a
  protected name, and forwarded otherwise. A subcommand of CLIENT without a row is answered as servers
  answer an unknown one.
- Words are compared as servers compare them: in any case, and up to a zero byte. A zero byte in the
  command word itself, or in a subcommand, is refused.

The column *connection* says which commands need an upstream connection of their own, because they ask
for or change the state of the connection, or may hold it up. A command without a row needs one, too.

## Why a command is refused, and what to do instead

";

const REASONS: [Reason; 21] = [
    Reason::ComputesOnValue,
    Reason::ComparesValue,
    Reason::MovesValue,
    Reason::RunsCode,
    Reason::ScriptNamesSeveral,
    Reason::FieldsNotInRequest,
    Reason::EmbedsRequest,
    Reason::NotYetSealed(DataKind::Sets),
    Reason::NotYetSealed(DataKind::SortedSets),
    Reason::NotYetSealed(DataKind::Streams),
    Reason::NotYetSealed(DataKind::Geo),
    Reason::NotYetSealed(DataKind::HyperLogLogs),
    Reason::NotYetSealed(DataKind::Bitmaps),
    Reason::NotYetSealed(DataKind::VectorSets),
    Reason::NotYetSealed(DataKind::Arrays),
    Reason::UnknownCommand,
    Reason::UnforeseenForm,
    Reason::Replication,
    Reason::WritesOwnRecord,
    Reason::ZeroByte,
    Reason::UnknownSubcommand,
];

const SECTIONS: [(Group, &str); 17] = [
    (Group::Strings, "Strings"),
    (Group::Hashes, "Hashes"),
    (Group::Lists, "Lists"),
    (Group::Generic, "Records of any kind"),
    (Group::Bits, "Bits of strings"),
    (Group::Sets, "Sets"),
    (Group::SortedSets, "Sorted sets"),
    (Group::Streams, "Streams"),
    (Group::Geo, "Places on the globe"),
    (Group::HyperLogLogs, "HyperLogLogs"),
    (Group::VectorSets, "Vector sets"),
    (Group::Arrays, "Arrays"),
    (Group::Scripting, "Scripts and functions"),
    (Group::Transactions, "Transactions"),
    (Group::PubSub, "Channels"),
    (Group::Connection, "The connection"),
    (Group::Server, "The server"),
];

/// Notes of sections beside their tables.
const NOTES: [(Group, &str); 5] = [
    (
        Group::Hashes,
        "The names of fields are not sealed. An envelope is bound to its record and its field.",
    ),
    (
        Group::Lists,
        "An element's envelope is bound to its record, not to its place in the list, which changes.",
    ),
    (
        Group::Scripting,
        "Only the names that a call declares are seen. A script that makes up names by itself works on
sealed bytes, and what it writes is not sealed: where that is possible, the server's ACL should keep the
users of such scripts away from protected names. The published scripts that release and prolong locks are
known, by their text or their digest: see [the proxy](../proxy/proxy.md#scripts).",
    ),
    (
        Group::PubSub,
        "Messages are not stored, and not sealed.",
    ),
    (
        Group::Server,
        "MONITOR and SLOWLOG show requests as the server gets them: names and fields in clear, values
sealed.",
    ),
];

/// Writes one table: commands with the same treatment share a line.
fn section(text: &mut String, group: Group, title: &str) {
    let _ = write!(text, "\n## {title}\n\n");
    if let Some((_, note)) = NOTES.iter().find(|(about, _)| *about == group) {
        let _ = write!(text, "{note}\n\n");
    }
    text.push_str("| Commands | on a protected name | connection |\n|---|---|---|\n");
    let mut lines: Vec<(String, String, Vec<&Row>)> = Vec::new();
    let rows = rows().iter();
    for row in rows.filter(|row| row.group == group && row.names != Names::Subcommands) {
        let (treatment, connection) = (treatment(row), connection(row.effect));
        let alike =
            |line: &&mut (String, String, Vec<&Row>)| line.0 == treatment && line.1 == connection;
        match lines.iter_mut().find(alike) {
            Some(line) => line.2.push(row),
            None => lines.push((treatment, connection.to_owned(), vec![row])),
        }
    }
    lines.sort_by_key(|(_, _, rows)| rows.first().map(|row| rank(row)));
    for (treatment, connection, rows) in lines {
        let names: Vec<String> = rows.iter().map(|row| Upper(row.name).to_string()).collect();
        line(text, &[names.join(", "), treatment, connection]);
    }
}

fn line(text: &mut String, cells: &[String]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

/// The order of lines: sealed, forwarded, refused, without record names.
fn rank(row: &Row) -> u8 {
    match (row.treatment, row.names) {
        (Treatment::Form(_), _) => 0,
        (Treatment::Pass | Treatment::WithoutRedirect, Names::None) => 3,
        (Treatment::Pass | Treatment::WithoutRedirect, _) => 1,
        (Treatment::Refuse(_) | Treatment::RefuseAlways(_), _) => 2,
    }
}

fn treatment(row: &Row) -> String {
    match (row.treatment, row.names) {
        (Treatment::Form(form), _) => form.description().to_owned(),
        (Treatment::WithoutRedirect, _) => {
            "forwarded without `redirect`, which would lead the client past the proxy".to_owned()
        }
        (Treatment::Pass, Names::None) => "forwarded: names no record".to_owned(),
        (Treatment::Pass, _) => "forwarded".to_owned(),
        (Treatment::Refuse(reason), Names::Sort) => {
            format!(
                "refused: {}; also where `BY` or `GET` could mean one",
                reason.cause()
            )
        }
        (Treatment::Refuse(reason), _) => format!("refused: {}", reason.cause()),
        (Treatment::RefuseAlways(reason), _) => format!("always refused: {}", reason.cause()),
    }
}

fn connection(rule: EffectRule) -> &'static str {
    match rule {
        EffectRule::Always(
            Effect::None | Effect::Script | Effect::LoadScript | Effect::QueryScripts,
        ) => "",
        EffectRule::Counted {
            effect: Effect::Label,
            ..
        } => "only its label",
        EffectRule::Blocking(_) => "own: may wait",
        EffectRule::BlockingWithBlock => "own with `BLOCK`: may wait",
        EffectRule::Always(_) | EffectRule::Counted { .. } | EffectRule::ReplyMode => "own",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_listed_once() {
        let text = markdown();
        let tables: Vec<&str> = text.split("\n## ").skip(2).collect();
        let cells = tables.iter().flat_map(|table| table.lines());
        let mut named: Vec<&str> = cells
            .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
            .filter(|cell| *cell != "Commands")
            .flat_map(|cell| cell.split(", "))
            .collect();
        named.sort_unstable();
        let commands = rows().iter().filter(|row| row.names != Names::Subcommands);
        let mut expected: Vec<String> = commands.map(|row| Upper(row.name).to_string()).collect();
        expected.sort_unstable();
        assert_eq!(named, expected);
    }

    #[test]
    fn every_reason_of_the_table_has_a_remedy() {
        let text = markdown();
        for row in rows() {
            if let Treatment::Refuse(reason) | Treatment::RefuseAlways(reason) = row.treatment {
                assert!(text.contains(reason.remedy()), "{}", row.name);
                assert!(REASONS.contains(&reason), "{}", row.name);
            }
        }
    }
}
