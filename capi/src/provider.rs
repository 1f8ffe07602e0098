//! Providers and environments as C knows them: by number. A described provider gets the next that is free.

use paytoken::{Environment, Provider};

use crate::boundary::code_and_error;
use crate::code;
use crate::error::Failure;
use crate::memory::{Out, Text};

/// The header's numbers of the built-in ones are the places in this list, from 1. Those that are described
/// follow, in their order, and stay as long as the process lives.
pub(crate) fn number_of(provider: Provider) -> u32 {
    place(&Provider::known(), &provider)
}

pub(crate) fn numbered(number: u32) -> Option<Provider> {
    at(&Provider::known(), number)
}

pub(crate) fn number_of_environment(environment: Environment) -> u32 {
    place(Environment::ALL, &environment)
}

pub(crate) fn environment_numbered(number: u32) -> Option<Environment> {
    at(Environment::ALL, number)
}

fn place<T: PartialEq>(all: &[T], one: &T) -> u32 {
    all.iter().position(|known| known == one).map_or(0, |place| place as u32 + 1)
}

fn at<T: Copy>(all: &[T], number: u32) -> Option<T> {
    all.get((number as usize).checked_sub(1)?).copied()
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_provider_describe(
    json: Text,
    provider: Out<u32>,
    error: Out<*mut Failure>,
) -> i32 {
    code_and_error("paytoken_provider_describe", error, || {
        let json = json.read("json")?;
        provider.check("provider")?;
        provider.write(number_of(Provider::described(json)?));
        Ok(code::OK)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_and_environment_has_its_number_in_the_header() {
        let header = include_str!("../include/paytoken.h");
        let has = |name: &str, number: u32| {
            let line =
                format!("#define PAYTOKEN_{} {number} ", name.to_uppercase().replace('-', "_"));
            assert!(header.contains(&line), "{line}");
        };
        for &provider in Provider::ALL {
            has(provider.facts().name, number_of(provider));
        }
        for &environment in Environment::ALL {
            has(&environment.to_string(), number_of_environment(environment));
        }
    }
}
