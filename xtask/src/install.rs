//! Installs what the tests need and this machine lacks: a Redis with its tools, Node.js, a PKCS#11
//! token with its tools, a browser, PHP and Ruby with their frameworks; and, under `target/tools`,
//! three more servers and the published clients, frameworks and key services. Does nothing, quickly,
//! if everything is installed.

pub(crate) mod apt;
mod newer;
mod packages;
mod system;
mod wheels;

use crate::Failure;

/// Runs the chore.
pub(crate) fn tools(arguments: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = arguments.first() {
        return Err(Failure::Usage(format!("`tools` does not know `{unknown}`")));
    }
    Ok(everything()?)
}

/// Installs what the tests of Redis' authors need.
pub(crate) fn for_tcl() -> Result<(), String> {
    system::provide(&[&system::REDIS, &system::TCLSH])
}

/// Installs whatever is missing.
pub(crate) fn everything() -> Result<(), String> {
    let wheels = wheels::missing()?;
    let mut programs = vec![
        &system::REDIS,
        &system::REDIS_CLI,
        &system::REDIS_BENCHMARK,
        &system::NODE,
        // Needed by the clients in Python.
        &system::PYTHON,
        &system::SOFTHSM,
        &system::PKCS11_TOOL,
        &system::PROMTOOL,
        &system::CHROMIUM,
        &system::IP,
    ];
    programs.extend(system::FRAMEWORKS);
    let for_npm = [&packages::NODE, &packages::NODE_FRAMEWORKS];
    if for_npm.iter().any(|packages| !packages.is_installed()) {
        programs.push(&system::NPM);
    }
    let for_pip = [
        &packages::PYTHON,
        &packages::SERVICES,
        &packages::FRAMEWORKS,
    ];
    if !wheels.is_empty() || for_pip.iter().any(|packages| !packages.is_installed()) {
        programs.push(&system::PIP);
    }
    system::provide(&programs)?;
    for wheel in wheels {
        wheel.install()?;
    }
    newer::REDIS_80.provide()?;
    for packages in for_npm.into_iter().chain(for_pip) {
        packages.provide()?;
    }
    Ok(())
}
