//! Steps of a task: each says its name, shows what it does, and then says how long it took.

use crate::error::XtaskError;
use indicatif::{ProgressBar, ProgressStyle};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs a command that shows its output.
pub fn step(name: &str, mut command: Command) -> Result<(), XtaskError> {
    eprintln!("== {name}: {}", line(&command));
    let started = Instant::now();
    let status = command.stdin(Stdio::null()).status().map_err(|source| start_error(&command, source))?;
    check(name, &command, status)?;
    eprintln!("== {name}: ok, {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Runs a command for what it prints on stdout.
pub fn capture(name: &str, command: Command) -> Result<Vec<u8>, XtaskError> {
    let (stdout, outcome) = report(name, command)?;
    outcome.map(|()| stdout)
}

/// Runs a command that prints a report on stdout also if it found a fault: the report, and whether it failed.
pub fn report(name: &str, mut command: Command) -> Result<(Vec<u8>, Result<(), XtaskError>), XtaskError> {
    let spinner = spinner(name.to_owned());
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    spinner.finish_and_clear();
    let output = output.map_err(|source| start_error(&command, source))?;
    let outcome = check(name, &command, output.status);
    Ok((output.stdout, outcome))
}

/// Runs a command and keeps everything that it says.
pub fn quiet(mut command: Command) -> Result<Output, XtaskError> {
    command.stdin(Stdio::null()).output().map_err(|source| start_error(&command, source))
}

/// A spinner on stderr if that is a terminal, else a line.
pub fn spinner(what: String) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {msg}  {elapsed}").expect("the template is well-formed");
    let spinner = ProgressBar::new_spinner().with_style(style).with_message(what.clone());
    if spinner.is_hidden() {
        eprintln!("{what} ...");
    }
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program()).display().to_string();
    let settings = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}='{}'", name.display(), value?.display())));
    let arguments = command.get_args().map(|argument| argument.display().to_string());
    settings.chain([program]).chain(arguments).collect::<Vec<_>>().join(" ")
}

fn check(name: &str, command: &Command, status: ExitStatus) -> Result<(), XtaskError> {
    if status.success() {
        return Ok(());
    }
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    let code = u8::try_from(code).unwrap_or(1);
    Err(XtaskError::Step { step: name.to_owned(), code, command: line(command) })
}

fn start_error(command: &Command, source: std::io::Error) -> XtaskError {
    let program = command.get_program().display().to_string();
    XtaskError::Start { program, source, remedy: "install it, or add its folder to PATH".to_owned() }
}
