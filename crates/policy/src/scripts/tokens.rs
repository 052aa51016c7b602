//! Normalisation of Lua scripts, so that they can be compared: a script is split into tokens and written in one normal
//! form. Whatever does not change its meaning is dropped: comments, white space, the quotes of strings, the names of
//! locals, the case of commands. Scripts with different meanings have different normal forms.

use std::fmt::Write as _;

use smallvec::SmallVec;

/// Longer scripts are unknown.
const MAX_LEN: usize = 4 * 1024;

/// A token of Lua.
#[derive(Clone, Debug, PartialEq, Eq)]
enum LuaToken {
    /// A name or a reserved word.
    Word(String),
    /// A string: its content.
    Text(String),
    Number(String),
    Symbol(&'static str),
}

/// Symbols, the longer ones first.
const SYMBOLS: [&str; 23] = [
    "...", "..", "==", "~=", "<=", ">=", "+", "-", "*", "/", "%", "^", "#", "<", ">", "=", "(",
    ")", "{", "}", "[", "]", ",",
];

/// The normal form of a script. `None` if it is not Lua, or uses more of Lua than any known script.
pub(super) fn normalise(script: &[u8]) -> Option<String> {
    if script.len() > MAX_LEN {
        return None;
    }
    let mut tokens = tokens(std::str::from_utf8(script).ok()?)?;
    lower_commands(&mut tokens);
    unwrap_conditions(&mut tokens);
    inline_arguments(&mut tokens);
    rename_locals(&mut tokens);
    let mut text = String::new();
    for token in tokens {
        // Writing to a string cannot fail.
        let _ = match token {
            LuaToken::Word(token) | LuaToken::Number(token) => write!(text, "{token} "),
            LuaToken::Text(content) => write!(text, "\"{content}\" "),
            LuaToken::Symbol(symbol) => write!(text, "{symbol} "),
        };
    }
    Some(text)
}

fn tokens(script: &str) -> Option<Vec<LuaToken>> {
    let mut tokens = Vec::new();
    let mut input = script;
    while let Some(first) = input.chars().next() {
        input = match first {
            ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' => input.get(1..)?,
            '-' if input.starts_with("--") => comment(input.get(2..)?)?,
            '\'' | '"' => {
                let (content, tail) = input.get(1..)?.split_once(first)?;
                tokens.push(text(content)?);
                tail
            }
            '[' if level(input).is_some() => {
                let (content, tail) = long_bracket(input)?;
                tokens.push(text(content)?);
                tail
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let (name, tail) = split_while(input, |c| c.is_ascii_alphanumeric() || c == '_');
                tokens.push(LuaToken::Word(name.to_owned()));
                tail
            }
            '0'..='9' => {
                // All characters up to the next separator belong to it.
                let (number, tail) = split_while(input, |c| {
                    c.is_ascii_alphanumeric() || matches!(c, '.' | '_')
                });
                tokens.push(LuaToken::Number(number.to_owned()));
                tail
            }
            // Ends a statement. The statements of known scripts end without it in the same places, and anywhere
            // else it is an error.
            ';' => input.get(1..)?,
            '.' if !input.starts_with("..") => {
                tokens.push(LuaToken::Symbol("."));
                input.get(1..)?
            }
            _ => {
                let symbol = SYMBOLS.into_iter().find(|it| input.starts_with(it))?;
                tokens.push(LuaToken::Symbol(symbol));
                input.get(symbol.len()..)?
            }
        };
    }
    Some(tokens)
}

/// A string with this content. The strings of known scripts contain no escapes, quotes or line ends.
fn text(content: &str) -> Option<LuaToken> {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '"' | '\'');
    content
        .chars()
        .all(is_plain)
        .then(|| LuaToken::Text(content.to_owned()))
}

/// The text after a comment that begins here.
fn comment(text: &str) -> Option<&str> {
    if level(text).is_some() {
        return Some(long_bracket(text)?.1);
    }
    // Lua ends a line at either.
    let end = text.find(['\n', '\r']).unwrap_or(text.len());
    text.get(end..)
}

/// The number of equals signs of the long bracket that opens here, if one does.
fn level(text: &str) -> Option<usize> {
    let (signs, tail) = split_while(text.strip_prefix('[')?, |c| c == '=');
    tail.starts_with('[').then_some(signs.len())
}

/// The content of the long bracket that opens here, and the text after it.
fn long_bracket(text: &str) -> Option<(&str, &str)> {
    let signs = "=".repeat(level(text)?);
    let inside = text.strip_prefix(&format!("[{signs}["))?;
    inside.split_once(&format!("]{signs}]"))
}

fn split_while(text: &str, is_part: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    text.split_at(end)
}

fn is_word(token: Option<&LuaToken>, expected: &str) -> bool {
    matches!(token, Some(LuaToken::Word(word)) if word == expected)
}

fn is_symbol(token: Option<&LuaToken>, expected: &str) -> bool {
    matches!(token, Some(LuaToken::Symbol(symbol)) if *symbol == expected)
}

/// Writes the strings among the arguments of `redis.call` in lower case: servers accept commands and options in any
/// case.
fn lower_commands(tokens: &mut [LuaToken]) {
    let mut at = 0;
    while let Some(following) = tokens.get_mut(at..) {
        if following.is_empty() {
            break;
        }
        at = at.saturating_add(1);
        let calls = is_word(following.first(), "redis")
            && is_symbol(following.get(1), ".")
            && (is_word(following.get(2), "call") || is_word(following.get(2), "pcall"))
            && is_symbol(following.get(3), "(");
        if !calls {
            continue;
        }
        let mut depth = 0_usize;
        for token in following.iter_mut().skip(3) {
            match token {
                LuaToken::Symbol("(") => depth = depth.saturating_add(1),
                LuaToken::Symbol(")") if depth <= 1 => break,
                LuaToken::Symbol(")") => depth = depth.saturating_sub(1),
                LuaToken::Text(content) if depth == 1 => content.make_ascii_lowercase(),
                _ => {}
            }
        }
    }
}

/// Removes parentheses around a whole condition.
fn unwrap_conditions(tokens: &mut Vec<LuaToken>) {
    let mut at = 0;
    while at < tokens.len() {
        let begins = is_word(tokens.get(at), "if") || is_word(tokens.get(at), "elseif");
        let open = at.saturating_add(1);
        at = open;
        if !begins || !is_symbol(tokens.get(open), "(") {
            continue;
        }
        let Some(close) = closing(tokens, open) else {
            return;
        };
        if is_word(tokens.get(close.saturating_add(1)), "then") {
            tokens.remove(close);
            tokens.remove(open);
        }
    }
}

/// The position of the parenthesis that closes the one that opens here.
fn closing(tokens: &[LuaToken], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            LuaToken::Symbol("(") => depth = depth.saturating_add(1),
            LuaToken::Symbol(")") => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Replaces locals at the start of a script that only name its keys and arguments, such as `local key = KEYS[1]`, by
/// their values.
fn inline_arguments(tokens: &mut Vec<LuaToken>) {
    while let Some((name, value)) = leading_alias(tokens) {
        let body = tokens.get(ALIAS..).unwrap_or_default();
        if is_assigned(body, &name) {
            return;
        }
        let mut inlined = Vec::with_capacity(tokens.len());
        for token in body {
            match token {
                LuaToken::Word(word) if *word == name => inlined.extend_from_slice(&value),
                token => inlined.push(token.clone()),
            }
        }
        *tokens = inlined;
    }
}

/// The number of tokens of `local NAME = KEYS [ N ]`.
const ALIAS: usize = 7;

/// The name and the value of the local that the script begins with.
fn leading_alias(tokens: &[LuaToken]) -> Option<(String, Vec<LuaToken>)> {
    let [
        local,
        LuaToken::Word(name),
        equals,
        LuaToken::Word(table),
        open,
        LuaToken::Number(_),
        close,
        ..,
    ] = tokens
    else {
        return None;
    };
    let is_alias = is_word(Some(local), "local")
        && is_symbol(Some(equals), "=")
        && (table == "KEYS" || table == "ARGV")
        && is_symbol(Some(open), "[")
        && is_symbol(Some(close), "]");
    // A new statement must follow, not the remainder of an expression.
    let next = tokens.get(ALIAS);
    let statements = ["local", "if", "return", "redis", "for"];
    let is_complete = statements.into_iter().any(|word| is_word(next, word));
    let is_own = !matches!(name.as_str(), "KEYS" | "ARGV" | "redis");
    (is_alias && is_complete && is_own).then(|| {
        let value = tokens.get(3..ALIAS).unwrap_or_default().to_vec();
        (name.clone(), value)
    })
}

/// True if a name is assigned another value, or is a field of a table.
fn is_assigned(tokens: &[LuaToken], name: &str) -> bool {
    let mut before: Option<&LuaToken> = None;
    let mut tokens = tokens.iter().peekable();
    while let Some(token) = tokens.next() {
        if is_word(Some(token), name) {
            let next = tokens.peek().copied();
            let declares = is_word(before, "local") || is_word(before, "for");
            let is_listed = is_symbol(next, "=") || is_word(next, "in");
            if declares || is_listed || is_symbol(before, ".") {
                return true;
            }
        }
        before = Some(token);
    }
    false
}

/// Renames locals by the order in which they are declared.
fn rename_locals(tokens: &mut [LuaToken]) {
    let mut names: SmallVec<[String; 8]> = SmallVec::new();
    let mut declares = false;
    for at in 0..tokens.len() {
        let is_field = at
            .checked_sub(1)
            .is_some_and(|before| is_symbol(tokens.get(before), "."));
        let Some(LuaToken::Word(word)) = tokens.get_mut(at) else {
            // A list of names continues with a comma.
            declares &= is_symbol(tokens.get(at), ",");
            continue;
        };
        if word == "local" || word == "for" {
            declares = true;
            continue;
        }
        if is_field {
            continue;
        }
        if word == "in" {
            declares = false;
        } else if declares && !names.contains(word) {
            names.push(word.clone());
        }
        if let Some(number) = names.iter().position(|name| name == word) {
            *word = format!("local{number}");
        }
    }
}
