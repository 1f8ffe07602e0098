//! stub
use crate::command_line::Options;
use crate::exit::Failure;
use crate::settings::SettingsFile;
pub(crate) struct Wish {
    pub(crate) fetch: bool,
    pub(crate) force: bool,
    pub(crate) json: bool,
}
pub(crate) fn run(_: &str, _: Option<&SettingsFile>, _: &Options, _: &Wish) -> Result<(), Failure> {
    Ok(())
}
