//! Runs custodians, each named by its URL, with the variables of its environment:
//!
//! - `custodian conformance URL SECRET…` runs the suite of the contract. No error may contain a secret.
//! - `custodian run URL…` runs commands from stdin on all of them: `create-key`, `wrap`, `unwrap` (the last
//!   wrap), `unwrap-elsewhere` (the same for another environment), `rewrap`, `mechanism`. Answers each line
//!   with one.
#![expect(clippy::print_stdout, reason = "a program for tests answers on stdout")]

use std::sync::Arc;

use waxseal_core::SecretKey;
#[cfg(feature = "pkcs11")]
use waxseal_keys::Pkcs11Custodian;
use waxseal_keys::{
    Context, Custodian, CustodianError, Custodians, Variables, Wrapped, conformance, variables,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let variables = variables(|name| std::env::var(name).ok());
    match arguments.as_slice() {
        [command, url, secrets @ ..] if command == "conformance" => {
            let custodian = Custodians::open(url, &variables)?;
            let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
            conformance::custodian(&*custodian, &secrets).await;
            println!("{} keeps the contract", custodian.url());
        }
        [command, urls @ ..] if command == "run" => {
            let opened = urls.iter().map(|url| CommandTarget::open(url, &variables));
            let mut targets = opened.collect::<Result<Vec<_>, _>>()?;
            for line in std::io::stdin().lines() {
                let line = line?;
                let mut answers = Vec::new();
                for target in &mut targets {
                    let answer = target.run(line.trim()).await;
                    answers.push(answer.unwrap_or_else(|error| format!("error: {error}")));
                }
                println!("{}", answers.join(" | "));
            }
        }
        _ => return Err("usage: custodian conformance URL SECRET… | custodian run URL…".into()),
    }
    Ok(())
}

/// A custodian and the last key that it wrapped.
struct CommandTarget {
    custodian: Arc<dyn Custodian>,
    url: String,
    variables: Variables,
    last: Option<(SecretKey, Wrapped)>,
}

const HERE: Context<'_> = Context {
    environment: "production",
    ring: "0123456789abcdef",
    key: "89abcdef",
};

impl CommandTarget {
    fn open(url: &str, variables: &Variables) -> Result<Self, CustodianError> {
        Ok(Self {
            custodian: Custodians::open(url, variables)?,
            url: url.to_owned(),
            variables: variables.clone(),
            last: None,
        })
    }

    async fn run(&mut self, line: &str) -> Result<String, CustodianError> {
        match (line, &self.last) {
            ("create-key", _) => create_key(&self.url, &self.variables).await,
            ("wrap", _) => {
                let key = SecretKey::generate()?;
                let wrapped = self.custodian.wrap(&key, &HERE).await?;
                self.last = Some((key, wrapped));
                Ok("ok".to_owned())
            }
            ("unwrap", Some((key, wrapped))) => {
                let unwrapped = self.custodian.unwrap(wrapped, &HERE).await?;
                let same = unwrapped.expose_bytes() == key.expose_bytes();
                Ok(if same { "ok" } else { "another key" }.to_owned())
            }
            ("unwrap-elsewhere", Some((_, wrapped))) => {
                let environment = "staging";
                let elsewhere = Context {
                    environment,
                    ..HERE
                };
                self.custodian.unwrap(wrapped, &elsewhere).await?;
                Ok("opened".to_owned())
            }
            ("rewrap", Some((_, wrapped))) => {
                let renewed = self.custodian.rewrap(wrapped, &HERE).await?;
                if let Some((_, wrapped)) = &mut self.last {
                    *wrapped = renewed;
                }
                Ok("ok".to_owned())
            }
            ("mechanism", Some((_, wrapped))) => {
                Ok(wrapped.mechanism.clone().unwrap_or("none".to_owned()))
            }
            _ => Ok("unknown command".to_owned()),
        }
    }
}

#[cfg(feature = "pkcs11")]
async fn create_key(url: &str, variables: &Variables) -> Result<String, CustodianError> {
    Pkcs11Custodian::open(url, variables)?.create_key().await?;
    Ok("ok".to_owned())
}

#[cfg(not(feature = "pkcs11"))]
async fn create_key(_: &str, _: &Variables) -> Result<String, CustodianError> {
    Ok("unknown command".to_owned())
}
