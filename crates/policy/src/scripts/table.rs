//! The table of known scripts. A row holds the Lua text of a script, with `{this|that}` where published scripts differ
//! in wording only, and the roles of its arguments. `tokens` normalises scripts before they are compared.

use super::ScriptReply::{self, Error, Integer, Null};

/// An operation of scripts, in all its wordings.
pub(super) struct Idiom {
    pub(super) name: &'static str,
    /// Its text, with alternatives.
    text: &'static str,
    /// The argument that is compared with the value.
    pub(super) compared: Option<usize>,
    /// The argument that is stored as the value.
    pub(super) stored: Option<usize>,
    /// The replies that can mean that value and argument differ, so that nothing has changed.
    pub(super) mismatches: &'static [ScriptReply],
    /// It adds its first argument to the value.
    pub(super) adds: Option<Addition>,
    /// It takes members out of a sorted set by their scores, up to its first argument, and returns them.
    pub(super) takes: Option<Taken>,
}

/// The members that a script takes out of a sorted set and returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// One, or null.
    One,
    /// An array of all, or null.
    All,
}

/// What a script that adds does where there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addition {
    /// It adds to 0.
    Always,
    /// It answers null.
    IfPresent,
}

/// Abbreviations for parts of texts.
const PARTS: [(&str, &str); 6] = [
    (
        "$same",
        r#"{redis.call("get",KEYS[1])==ARGV[1]|ARGV[1]==redis.call("get",KEYS[1])}"#,
    ),
    (
        "$differs",
        r#"local v=redis.call("get",KEYS[1]) if {|not v or }v~=ARGV[1] then return {0|nil|false|-1} end"#,
    ),
    (
        "$otherwise",
        "{else return 0 end|else return nil end|else return false end|else return -1 end|end return 0|end return nil|end return false|end return -1|end}",
    ),
    ("$delete", r#"redis.call("{del|unlink}",KEYS[1])"#),
    (
        "$expire",
        r#"redis.call("{pexpire|expire|pexpireat|expireat}",KEYS[1],{ARGV[2]|tonumber(ARGV[2])})"#,
    ),
    ("$px", r#""{px|ex}",{ARGV[2]|tonumber(ARGV[2])}"#),
];

/// The replies of scripts that do nothing if value and argument differ.
const MISMATCHES: &[ScriptReply] = &[Integer(0), Integer(-1), Null];

const fn compare(name: &'static str, text: &'static str) -> Idiom {
    Idiom {
        name,
        text,
        compared: Some(1),
        stored: None,
        mismatches: MISMATCHES,
        adds: None,
        takes: None,
    }
}

/// Stores the argument that it also compares.
const fn take(name: &'static str, text: &'static str) -> Idiom {
    Idiom {
        stored: Some(1),
        ..compare(name, text)
    }
}

/// Adds an argument to the value.
const fn add(text: &'static str, addition: Addition) -> Idiom {
    Idiom {
        compared: None,
        mismatches: &[],
        adds: Some(addition),
        ..compare("add", text)
    }
}

/// Takes members out of a sorted set, whose bytes it does not look at.
const fn due(text: &'static str, taken: Taken) -> Idiom {
    Idiom {
        compared: None,
        mismatches: &[],
        takes: Some(taken),
        ..compare("take what is due", text)
    }
}

/// Stores an argument without comparing.
const fn store(name: &'static str, text: &'static str) -> Idiom {
    Idiom {
        compared: None,
        mismatches: &[],
        ..take(name, text)
    }
}

pub(super) static IDIOMS: &[Idiom] = &[
    compare(
        "compare and delete",
        "if $same then return $delete $otherwise",
    ),
    compare(
        "compare and delete",
        "if $same then $delete {return 1 |return true |}$otherwise",
    ),
    compare(
        "compare and delete",
        "$differs {$delete return 1|$delete return true|return $delete}",
    ),
    compare(
        "compare and delete",
        r#"local v=redis.call("get",KEYS[1]) if v==ARGV[1] then return $delete {elseif v==false then return -1 |}$otherwise"#,
    ),
    compare(
        "compare and delete",
        r#"local result=0 if $same then $delete result=1 end return result"#,
    ),
    compare(
        "compare and delete",
        r#"local v=redis.call("get",KEYS[1]) if not v then return redis.status_reply("OK")
           elseif v==ARGV[1] then return $delete else return redis.error_reply("ERROR") end"#,
    )
    .mismatches(&[Error]),
    compare(
        "compare and delete, for each of several records",
        r#"local count=0 for i,key in ipairs(KEYS) do if redis.call("get",key)==ARGV[1] then
           redis.{call|pcall}("del",key) count=count+1 end end return count"#,
    ),
    compare(
        "compare and expire",
        "if $same then return $expire $otherwise",
    ),
    compare(
        "compare and expire",
        "if $same then $expire {return 1 |return true |}$otherwise",
    ),
    compare(
        "compare and expire",
        "$differs {$expire return 1|$expire return true|return $expire}",
    ),
    compare(
        "compare and expire",
        r#"local v=redis.call("get",KEYS[1]) if v==ARGV[1] then {return $expire|$expire return 1|$expire return true} $otherwise"#,
    ),
    compare(
        "compare and expire",
        r#"$differs local left=redis.call("pttl",KEYS[1]) if not left then left=0 end
           if left<0 then return 0 end local next=ARGV[2]
           if ARGV[3]=="0" then next=ARGV[2]+left end
           redis.call("pexpire",KEYS[1],next) return 1"#,
    ),
    compare(
        "compare and expire",
        r#"$differs local left=redis.call("pttl",KEYS[1]) if not left then left=0 end
           if left<0 then return 0 end redis.call("pexpire",KEYS[1],left+ARGV[2]) return 1"#,
    ),
    compare(
        "compare and expire",
        r#"local result=0 if $same then if ARGV[2]~=-1 then redis.call("expire",KEYS[1],ARGV[2])
           else redis.call("persist",KEYS[1]) end result=1 end return result"#,
    ),
    compare(
        "compare and expire",
        r#"if redis.call("get",KEYS[1])~=ARGV[1] then return 1
           elseif redis.call("ttl",KEYS[1])<0 then return 2
           else redis.call("expire",KEYS[1],ARGV[2]) return 0 end"#,
    )
    .mismatches(&[Integer(1)]),
    compare(
        "compare and delete, or expire",
        r#"if {redis.call("get",KEYS[1])~=ARGV[1]|ARGV[1]~=redis.call("get",KEYS[1])} then return {0|nil|false}
           {end return $delete|else return $delete end|end return $expire|else return $expire end}"#,
    ),
    compare(
        "compare and tell the lifetime",
        r#"if $same then return redis.call("{pttl|ttl}",KEYS[1]) else return {-3|-2|-1|0|nil|false} end"#,
    )
    .mismatches(&[Integer(-3), Integer(-2), Integer(-1), Integer(0), Null]),
    compare(
        "compare and tell the lifetime",
        r#"if $same then local pttl=redis.call("pttl",KEYS[1]) return (pttl>0) and pttl or 0 else return 0 end"#,
    ),
    compare(
        "compare and tell the lifetime",
        r#"local v=redis.call("get",KEYS[1]) if not v then return redis.error_reply("ERROR")
           elseif v==ARGV[1] then return redis.call("{ttl|pttl}",KEYS[1])
           else return redis.error_reply("ERROR") end"#,
    )
    .mismatches(&[Error]),
    compare(
        "compare and set",
        r#"if $same then {redis.call("set",KEYS[1],ARGV[2]) return 1 |return redis.call("set",KEYS[1],ARGV[2]) }$otherwise"#,
    )
    .stored(2),
    take(
        "expire, or take what is free",
        r#"local v=redis.call("get",KEYS[1]) if v==ARGV[1] then $expire return true
           elseif not v then redis.call("set",KEYS[1],ARGV[1],$px) return true end return false"#,
    ),
    take(
        "expire, or take what is free",
        r#"local v=redis.call("get",KEYS[1]) if not v then redis.call("set",KEYS[1],ARGV[1],$px) return 1
           elseif v==ARGV[1] then $expire return 2 end return 0"#,
    ),
    take(
        "expire, or take what is free",
        r#"local v=redis.call("get",KEYS[1]) if v==false then
           return redis.call("set",KEYS[1],ARGV[1],$px) and 1 or 0
           elseif v==ARGV[1] then return $expire else return -1 end"#,
    ),
    take(
        "expire, or take what is free",
        r#"if $same then return $expire else
           return redis.call("set",KEYS[1],ARGV[1],{"nx",$px|$px,"nx"}) end"#,
    ),
    take(
        "expire, or take what is free",
        r#"if $same then return $expire elseif
           redis.call("set",KEYS[1],ARGV[1],{"nx",$px|$px,"nx"}) then return 1 else return 0 end"#,
    ),
    take(
        "compare and set again",
        r#"if $same then return redis.call("set",KEYS[1],ARGV[1],{$px|$px,"xx"|"xx",$px}) $otherwise"#,
    ),
    take(
        "set again, or take what is free",
        r#"if $same then redis.call("set",KEYS[1],ARGV[1],$px) return "OK"
           else return redis.call("set",KEYS[1],ARGV[1],"nx",$px) end"#,
    ),
    take(
        "set again, or take what is free",
        r#"if (redis.call("exists",KEYS[1])==0 and ARGV[3]=="yes") or redis.call("get",KEYS[1])==ARGV[1]
           then return redis.call("set",KEYS[1],ARGV[1],$px) end"#,
    ),
    take(
        "set again, or take what is free",
        r#"local v=redis.call("get",KEYS[1]) if not v or v==ARGV[1] then
           return redis.call("set",KEYS[1],ARGV[1],$px) else return redis.error_reply("ERROR") end"#,
    )
    .mismatches(&[Error]),
    take(
        "compare and set again, for each of several records",
        r#"for i,key in ipairs(KEYS) do if redis.call("get",key)~=ARGV[1] then return 0 end end
           for i,key in ipairs(KEYS) do redis.call("set",key,ARGV[1],$px) end return #KEYS"#,
    ),
    store(
        "take what is free, for each of several records",
        r#"for i,key in ipairs(KEYS) do if redis.call("exists",key)==1 then return 0 end end
           for i,key in ipairs(KEYS) do redis.call("set",key,ARGV[1],$px) end return #KEYS"#,
    ),
    store(
        "take what is free",
        r#"return redis.call("set",KEYS[1],ARGV[1],{"nx",$px|$px,"nx"})"#,
    ),
    store(
        "take what is free",
        r#"if redis.call("setnx",KEYS[1],ARGV[1])==1 then if ARGV[2]~="" then
           redis.call("pexpire",KEYS[1],ARGV[2]) end return 1 end return 0"#,
    ),
    store(
        "take what is free",
        r#"if redis.call("setnx",KEYS[1],ARGV[1])==1 then
           {return $expire|$expire return 1} {else return 0 end|end return 0}"#,
    ),
    store(
        "take what is free",
        r#"return redis.call("exists",KEYS[1])<1 and redis.call("{setex|psetex}",KEYS[1],ARGV[2],ARGV[1])"#,
    ),
    store(
        "take what is free",
        r#"local result=redis.call("setnx",KEYS[1],ARGV[1]) if result==1 {|and ARGV[2]~=-1 }then
           $expire end return result"#,
    ),
    add(
        r#"local exists=redis.call("exists",KEYS[1]) if exists==1 then
           return redis.call("incrby",KEYS[1],ARGV[1]) else return false end"#,
        Addition::IfPresent,
    ),
    add(
        r#"return redis.call("incrby",KEYS[1],ARGV[1])"#,
        Addition::Always,
    ),
    // The pollers of Sidekiq and huey.
    due(
        r#"local key,now=KEYS[1],ARGV[1]
           local due=redis.call({"zrangebyscore",key,"-inf",now|"zrange",key,"-inf",now,"byscore"},"limit",0,1)
           if due[1] then redis.call("zrem",key,due[1]) return due[1] end"#,
        Taken::One,
    ),
    due(
        r#"local now=tonumber(ARGV[1]) local due=redis.call("zrangebyscore",KEYS[1],"-inf",now)
           if #due and redis.call("zremrangebyscore",KEYS[1],"-inf",now)==#due then return due end"#,
        Taken::All,
    ),
];

impl Idiom {
    const fn mismatches(self, mismatches: &'static [ScriptReply]) -> Self {
        Self { mismatches, ..self }
    }

    const fn stored(self, stored: usize) -> Self {
        Self {
            stored: Some(stored),
            ..self
        }
    }

    /// All wordings.
    pub(super) fn texts(&self) -> Vec<String> {
        let replace = |text: String, (name, part): &(&str, &str)| text.replace(name, part);
        expand(&PARTS.iter().fold(self.text.to_owned(), replace))
    }
}

/// Expands the alternatives of a text, the first `{…}` first.
fn expand(text: &str) -> Vec<String> {
    let Some((before, tail)) = text.split_once('{') else {
        return vec![text.to_owned()];
    };
    let mut alternatives = Vec::new();
    let mut depth = 1_usize;
    let mut begin = 0;
    for (at, letter) in tail.char_indices() {
        match letter {
            '{' => depth = depth.saturating_add(1),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 || (depth == 1 && letter == '|') {
            alternatives.push(tail.get(begin..at).unwrap_or_default());
            begin = at.saturating_add(1);
        }
        if depth == 0 {
            break;
        }
    }
    let after = tail.get(begin..).unwrap_or_default();
    alternatives
        .into_iter()
        .flat_map(|alternative| expand(&format!("{before}{alternative}{after}")))
        .collect()
}
