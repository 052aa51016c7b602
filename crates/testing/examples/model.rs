//! Compares a proxy with a server, by hand: `model DIRECT THROUGH BEHIND [SETTING=VALUE …]`, where the
//! three are ports and settings are `seed`, `requests`, `episode`, `plain`, `swept`, `before` and `second` (ports), `scopes`, `features` (with
//! commas; with `-` in front, all others).
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::process::ExitCode;

use waxseal_testing::model::{Feature, Model, Scope, run};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let port = |at: usize| words[at].parse().expect("a port");
    let mut model = Model::new(port(0), port(1), port(2));
    for word in &words[3..] {
        let (name, value) = word.split_once('=').expect("a setting and its value");
        let number = || value.parse().expect("a number");
        match name {
            "seed" => model.seed = number(),
            "requests" => model.requests = value.parse().expect("a number"),
            "episode" => model.episode = Some(number()),
            "plain" => {
                model.other_forms = value == "yes";
                model.in_clear = model.other_forms;
            }
            "second" => model.second = Some(value.parse().expect("a port")),
            "swept" => model.swept = value == "yes",
            "before" => {
                model.before = value.parse().expect("a port");
                model.other_forms = true;
            }
            "shrink" => model.shrink = value == "yes",
            "scopes" => {
                let named = |scope: &Scope| value.contains(scope.prefix());
                model.scopes = Scope::ALL.into_iter().filter(named).collect();
            }
            "features" => {
                let (without, list) = match value.strip_prefix('-') {
                    Some(list) => (true, list),
                    None => (false, value),
                };
                let named: Vec<Feature> = list
                    .split(',')
                    .map(|name| Feature::parse(name).expect("a feature"))
                    .collect();
                model.features = Feature::ALL
                    .into_iter()
                    .filter(|it| named.contains(it) != without)
                    .collect();
            }
            unknown => panic!("there is no setting {unknown}"),
        }
    }
    match run(&model) {
        Ok(figures) => {
            println!("{figures:?}");
            ExitCode::SUCCESS
        }
        Err(finding) => {
            println!("{finding}");
            ExitCode::FAILURE
        }
    }
}
