//! The configuration that a trial proposes: the `[[protect]]` blocks with the settings that let refused requests pass, and
//! the requests that no setting lets pass.

use std::fmt::Write as _;

use waxseal_core::Format;
use waxseal_proxy::{RefusalReport, RefusedRow};
use waxseal_stores::RecordPattern;

use super::display_name;
use crate::configuration::file::Protect;
use crate::configuration::protected::Protected;

/// A `[[protect]]` as it is configured.
pub(super) struct Block {
    pub(super) pattern: String,
    /// True if the proxy protects its records.
    pub(super) is_tried: bool,
    /// Its lines but for `except` and `scripts`.
    lines: Vec<String>,
    excepts: Vec<String>,
    /// The number of excepts that are the whole name of a record, which no report shows.
    hidden_excepts: usize,
    forwards_scripts: bool,
}

/// The requests that would be refused: those that settings let pass, and the others.
pub(super) struct Plan<'a> {
    blocks: Vec<(&'a Block, BlockPlan<'a>)>,
    /// Requests that no setting of a block lets pass.
    pub(super) left: Vec<&'a RefusedRow>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(blocks: &'a [Block], report: &'a RefusalReport) -> Self {
        let tried = report.rows.iter().filter(|row| row.is_forwarded);
        let (working, left): (Vec<_>, Vec<_>) =
            tried.partition(|row| !row.excepts.is_empty() || !row.scripts.is_empty());
        let blocks = blocks.iter().enumerate();
        Self {
            blocks: blocks
                .map(|(index, block)| (block, BlockPlan::new(index, block, &working)))
                .collect(),
            left,
        }
    }

    /// Returns all blocks, as a replacement of those of the configuration; `None` if nothing has changed.
    pub(super) fn configuration(&self) -> Option<String> {
        let mut blocks = self.blocks.iter();
        if !blocks.any(|(block, plan)| plan.has_changed(block)) {
            return None;
        }
        let mut text = String::new();
        for row in &self.left {
            let _ = writeln!(text, "# Still refused: {}", describe_left(row));
        }
        for (block, plan) in &self.blocks {
            if !text.is_empty() {
                text.push('\n');
            }
            plan.write(block, &mut text);
        }
        Some(text)
    }
}

/// Describes a refused request that no setting lets pass, with what to do instead.
pub(super) fn describe_left(row: &RefusedRow) -> String {
    let command = display_name(row.command);
    match &row.pattern {
        Some((_, pattern)) => format!("{command} on {pattern}: {}: {}", row.cause, row.advice),
        None => format!("{command}: {}: {}", row.cause, row.advice),
    }
}

/// A block with the settings that let the refused requests pass.
struct BlockPlan<'a> {
    excepts: Vec<&'a str>,
    forwards_scripts: bool,
}

impl<'a> BlockPlan<'a> {
    fn new(index: usize, block: &'a Block, rows: &[&'a RefusedRow]) -> Self {
        let mut plan = Self {
            excepts: block.excepts.iter().map(String::as_str).collect(),
            forwards_scripts: block.forwards_scripts,
        };
        for row in rows {
            let globs = row.excepts.iter().filter(|(of, _)| *of == index);
            for glob in globs.flat_map(|(_, globs)| globs) {
                if !plan.excepts.contains(&glob.as_str()) {
                    plan.excepts.push(glob);
                }
            }
            plan.forwards_scripts |= row.excepts.is_empty() && row.scripts.contains(&index);
        }
        plan
    }

    fn has_changed(&self, block: &Block) -> bool {
        self.excepts.len() > block.excepts.len() || self.forwards_scripts != block.forwards_scripts
    }

    fn write(&self, block: &Block, text: &mut String) {
        let _ = writeln!(text, "[[protect]]");
        for line in &block.lines {
            let _ = writeln!(text, "{line}");
        }
        if block.hidden_excepts > 0 {
            let hidden = block.hidden_excepts;
            let _ = writeln!(
                text,
                "# add to except the names of {hidden} records, which are not shown here"
            );
        }
        if !self.excepts.is_empty() {
            let globs: Vec<_> = self.excepts.iter().map(|glob| toml_string(glob)).collect();
            let _ = writeln!(text, "except = [{}]", globs.join(", "));
        }
        if self.forwards_scripts && !block.forwards_scripts {
            let _ = writeln!(text, "# only if these scripts treat values as opaque bytes");
        }
        if self.forwards_scripts {
            let _ = writeln!(text, "scripts = \"forward\"");
        }
    }
}

impl Block {
    fn records(pattern: &RecordPattern) -> String {
        match pattern.shown() == pattern.as_str() {
            true => format!("records = {}", toml_string(pattern.as_str())),
            // Not valid until it is filled in: no record loses its protection unnoticed.
            false => "records = \"\" # the name of one record, which is not shown here".to_owned(),
        }
    }

    pub(super) fn new(
        protected: &Protected,
        configured: Option<&Protect>,
        format: Option<Format>,
    ) -> Self {
        let pattern = &protected.pattern;
        let text = |name: &str, value: Option<&str>| {
            value.map(|value| format!("{name} = {}", toml_string(value)))
        };
        let format = format.map(|format| format.to_string());
        let mut lines = Vec::new();
        lines.extend(text("name", configured.and_then(|it| it.name.as_deref())));
        lines.push(Self::records(pattern));
        let of_config = configured.and_then(|it| it.format.as_deref());
        lines.extend(text("format", format.as_deref().or(of_config)));
        if let Some(configured) = configured {
            let number =
                |name: &str, value: Option<u64>| value.map(|value| format!("{name} = {value}"));
            lines.extend(number("write_version", configured.write_version));
            lines.extend(number("accept_version", configured.accept_version));
            lines.extend(text("group", configured.group.as_deref()));
            lines.extend(text("bind", configured.bind.as_deref()));
            lines.extend(text("members", configured.members.as_deref()));
            lines.extend(text("names", configured.names.as_deref()));
            lines.extend(number("pad_names", configured.pad_names));
            lines.extend(
                configured
                    .per_user_keys
                    .then(|| "per_user_keys = true".to_owned()),
            );
            lines.extend(text("refused", configured.refused.as_deref()));
            lines.extend(text("plain_values", configured.plain_values.as_deref()));
        }
        let is_name = |glob: &&str| RecordPattern::is_one_name(glob);
        let (names, globs): (Vec<&str>, Vec<&str>) = pattern.excepts().partition(is_name);
        Self {
            pattern: pattern.shown().to_owned(),
            is_tried: true,
            lines,
            excepts: globs.into_iter().map(str::to_owned).collect(),
            hidden_excepts: names.len(),
            forwards_scripts: protected.forwards_scripts,
        }
    }
}

fn toml_string(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::configuration::file::{ConfigurationFile, words};
    use crate::configuration::protected::select;

    fn block(pattern: &str, excepts: &[&str]) -> Block {
        let pattern = RecordPattern::parse(pattern).unwrap();
        Block {
            pattern: pattern.shown().to_owned(),
            is_tried: true,
            lines: vec![Block::records(&pattern)],
            excepts: excepts.iter().map(|it| (*it).to_owned()).collect(),
            hidden_excepts: 0,
            forwards_scripts: false,
        }
    }

    #[test]
    fn a_proposed_block_has_every_setting_of_the_configured_one() {
        let text = "[[protect]]\nname = \"States\"\nrecords = \"wa:{user}\"\nexcept = [\"wa:*:lock\"]\n\
                    format = \"sealed\"\nwrite_version = 3\naccept_version = 3\ngroup = \"bots\"\nbind = \"group\"\n\
                    members = \"deterministic\"\nnames = \"sealed\"\npad_names = 16\nper_user_keys = true\n\
                    refused = \"error\"\nplain_values = \"json\"\nscripts = \"forward\"\n";
        let file = ConfigurationFile::parse(text).unwrap();
        // Settings that a keyring excludes are there as well.
        let bare = "[[protect]]\nrecords = \"wa:{user}\"\nexcept = [\"wa:*:lock\"]\nscripts = \"forward\"\n";
        let bare = ConfigurationFile::parse(bare).unwrap();
        let protected = select(&[], &[], &bare, false).unwrap().protected;
        let block = Block::new(&protected[0], Some(&file.protect[0]), None);
        let mut proposed = String::new();
        BlockPlan::new(0, &block, &[]).write(&block, &mut proposed);
        let keys = words().filter_map(|word| Some(word.strip_prefix("protect.")?.to_owned()));
        for key in keys.filter(|key| key != "channels") {
            assert!(
                proposed.contains(&format!("\n{key} = ")),
                "{key}: {proposed}"
            );
        }
    }

    fn row(command: &'static str, excepts: &[(usize, &str)], scripts: &[usize]) -> RefusedRow {
        let excepts = excepts.iter();
        RefusedRow {
            command,
            pattern: Some((0, "app:*".into())),
            reason: "runs_code",
            cause: "is refused",
            setting: "".into(),
            advice: "use another".into(),
            excepts: excepts
                .map(|(at, it)| (*at, vec![(*it).to_owned()]))
                .collect(),
            scripts: scripts.into(),
            is_forwarded: true,
            count: 1,
            first_ago: Duration::ZERO,
            last_ago: Duration::ZERO,
            client: waxseal_proxy::ClientLabel::default(),
            names: Vec::new(),
        }
    }

    fn planned(blocks: &[Block], rows: Vec<RefusedRow>) -> (Option<String>, Vec<String>) {
        let report = RefusalReport {
            rows,
            ..RefusalReport::default()
        };
        let plan = Plan::new(blocks, &report);
        let left = plan.left.iter().map(|row| describe_left(row)).collect();
        (plan.configuration(), left)
    }

    #[test]
    fn all_blocks_are_printed_with_what_stays_refused() {
        let blocks = [
            block("app:*", &["app:*:old"]),
            block("wa:*", &[]),
            block("one", &[]),
        ];
        let rows = vec![
            row("incr", &[(0, "app:*:hits")], &[]),
            row("eval", &[], &[0, 1]),
            row("other", &[], &[]),
        ];
        let (configuration, left) = planned(&blocks, rows);
        assert_eq!(left, ["unknown command on app:*: is refused: use another"]);
        assert_eq!(
            configuration.unwrap(),
            "# Still refused: unknown command on app:*: is refused: use another\n\n\
             [[protect]]\nrecords = \"app:*\"\nexcept = [\"app:*:old\", \"app:*:hits\"]\n\
             # only if these scripts treat values as opaque bytes\nscripts = \"forward\"\n\n\
             [[protect]]\nrecords = \"wa:*\"\n\
             # only if these scripts treat values as opaque bytes\nscripts = \"forward\"\n\n\
             [[protect]]\nrecords = \"\" # the name of one record, which is not shown here\n"
        );
    }

    #[test]
    fn nothing_is_printed_if_no_setting_lets_anything_pass() {
        let (configuration, left) = planned(&[block("app:*", &[])], vec![row("sort", &[], &[])]);
        assert_eq!((configuration, left.len()), (None, 1));
        // Requests that were refused in the trial as well say nothing about the configuration.
        let refused = RefusedRow {
            is_forwarded: false,
            ..row("sync", &[(0, "app:*:x")], &[])
        };
        assert_eq!(
            planned(&[block("app:*", &[])], vec![refused]),
            (None, vec![])
        );
    }
}
