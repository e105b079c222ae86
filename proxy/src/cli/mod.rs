//! The command line: one file a subcommand.
//!
//! Exit codes: 0 success; 1 failure; 2 wrong usage; 69 something that is needed is unavailable; 78 the configuration is
//! at fault.

mod api;
mod bans;
mod certificates;
mod check;
mod complete;
mod config;
mod convert;
mod directory;
mod dns;
mod drain;
mod explain;
mod generate;
mod host;
mod init;
mod log_level;
mod moves;
mod pair;
mod reference;
mod rules;
mod schema;
mod serve;
mod sessions;
mod status;
mod support;
mod table;
mod time;
mod top;
mod upgrade;
mod user;

use crate::load::{Config, ConfigError};
use crate::log;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::CompleteEnv;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use usher_wire::printable::printable_lines;

/// The front door of a pool of mail-archive servers.
#[derive(Parser)]
#[command(name = "usher", version = crate::version::full())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM; a second one stops at once.
    Serve(serve::Arguments),
    /// Report every fault in a configuration file.
    Check(check::Arguments),
    /// Write a commented configuration file to start from.
    Init(init::Arguments),
    /// Manage which host has whose archive.
    User(user::Arguments),
    /// Prepare a directory that is kept elsewhere.
    Directory(directory::Arguments),
    /// Import what another program has: its users, or a first configuration from its own.
    Import(user::BringArguments),
    /// Move archives' keys to another host, with clients unchanged: the mail itself is copied by others.
    Move(moves::Arguments),
    /// Show usher, its hosts and its members at a glance.
    Status(status::Arguments),
    /// Show everything that is known about hosts and members.
    Hosts(status::HostsArguments),
    /// Add, change and remove hosts while usher runs.
    Host(host::Arguments),
    /// List live sessions.
    Sessions(sessions::ListArguments),
    /// End sessions, with a goodbye between two responses where possible.
    Kick(sessions::KickArguments),
    /// Take a host out of service: no new sessions; existing ones finish, quiet ones first.
    Drain(drain::DrainArguments),
    /// Take a host out of service at once: its sessions end, and logins are turned away.
    Stop(drain::StopArguments),
    /// Put a host back into service.
    Start(drain::StartArguments),
    /// Refuse the logins of a user, or everything from an address or a network.
    Ban(bans::BanArguments),
    /// End bans, and forget the failed logins.
    Unban(bans::UnbanArguments),
    /// List the bans of operators, and those that failed logins have brought.
    Bans(bans::ListArguments),
    /// List the certificates that clients are shown, and what became of those that are ordered
    Certificates(certificates::Arguments),
    /// Explain why a login goes where it goes.
    Explain(explain::Arguments),
    /// Show the access rules, and try them.
    Rules(rules::Arguments),
    /// Show the configuration that is in force, and what another file would change.
    Config(config::Arguments),
    /// Log more for a while: of everything, or the way of one user, client or host through all stages.
    LogLevel(log_level::Arguments),
    /// Reload the configuration, and wait for the result.
    Reload(explain::ReloadArguments),
    /// Start the program anew, which takes over without refusing anybody: another version, or this one once more.
    Upgrade(upgrade::Arguments),
    /// Write what somebody needs to know who is asked for help into one file, without secrets.
    SupportBundle(support::Arguments),
    /// Watch the fleet live.
    Top(top::Arguments),
    /// Look at a server's certificate, and register the server with its pin.
    Pair(pair::Arguments),
    /// Print the DNS records that direct mail clients here.
    Dns(ConfigArgument),
    /// Show the certificate that usher presents to backends, for them to pin.
    Identity(ConfigArgument),
    /// Print the JSON schema of the configuration, for editors.
    Schema,
    /// Print completions for a shell.
    Completions(generate::CompletionArguments),
    /// Print a page of the book that is made from the program.
    #[command(hide = true)]
    Reference(reference::Arguments),
    /// Write man pages.
    Man(generate::ManArguments),
}

#[derive(Args)]
struct ConfigArgument {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/usher/usher.toml", global = true)]
    config: PathBuf,
    /// The admin socket; by default the one that the configuration names.
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Done = 0,
    Failed = 1,
    WrongUse = 2,
    Unavailable = 69,
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    CompleteEnv::with_factory(Cli::command).var(generate::VARIABLE).complete();
    let exit = match Cli::parse().command {
        Command::Serve(argument) => serve::serve(&argument),
        Command::Check(arguments) => check::check(&arguments),
        Command::Init(arguments) => init::init(&arguments),
        Command::Directory(arguments) => directory::directory(&arguments),
        Command::User(arguments) => user::user(&arguments),
        Command::Import(arguments) => user::bring(arguments),
        Command::Move(arguments) => moves::moves(&arguments),
        Command::Status(arguments) => status::status(&arguments),
        Command::Hosts(arguments) => status::hosts(&arguments),
        Command::Host(arguments) => host::host(&arguments),
        Command::Sessions(arguments) => sessions::list(&arguments),
        Command::Kick(arguments) => sessions::kick(&arguments),
        Command::Drain(arguments) => drain::drain(&arguments),
        Command::Stop(arguments) => drain::stop(&arguments),
        Command::Start(arguments) => drain::start(&arguments),
        Command::Ban(arguments) => bans::ban(&arguments),
        Command::Unban(arguments) => bans::unban(&arguments),
        Command::Bans(arguments) => bans::list(&arguments),
        Command::Certificates(arguments) => certificates::list(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Rules(arguments) => rules::rules(&arguments),
        Command::Config(arguments) => config::config(&arguments),
        Command::LogLevel(arguments) => log_level::log_level(&arguments),
        Command::Reload(arguments) => explain::reload(&arguments),
        Command::Upgrade(arguments) => upgrade::upgrade(&arguments),
        Command::SupportBundle(arguments) => support::bundle(&arguments),
        Command::Top(arguments) => top::top(&arguments),
        Command::Pair(arguments) => pair::pair(&arguments),
        Command::Dns(argument) => dns::dns(&argument),
        Command::Identity(argument) => pair::identity(&argument),
        Command::Schema => schema::schema(),
        Command::Completions(arguments) => generate::completions(&arguments),
        Command::Reference(arguments) => reference::reference(&arguments),
        Command::Man(arguments) => generate::man(&arguments),
    };
    log::flush();
    exit.into()
}

impl ConfigArgument {
    /// Loads the file, or prints what is wrong with it.
    fn load(&self) -> Result<Config, Exit> {
        Config::load(&self.config).map_err(|error| tell(&error))
    }
}

/// The machine that `shown` names: members are displayed as `array/member`.
fn machine(shown: &str) -> &str {
    shown.rsplit_once('/').map_or(shown, |(_, name)| name)
}

/// Who runs the command, for histories and the audit log.
fn who() -> String {
    let told = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    told.filter(|name| !name.is_empty()).or_else(own_name).unwrap_or_else(|| "unknown".to_owned())
}

/// The name of this process's user, from the system's list of users.
fn own_name() -> Option<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut entries = users.lines().map(|line| line.split(':'));
    entries.find_map(|mut entry| {
        let name = entry.next()?;
        (entry.nth(1)? == uid).then(|| name.to_owned())
    })
}

/// Prints an error to standard error. Text from others in it is escaped.
fn complain(error: &str) {
    eprintln!("usher: {}", printable_lines(error));
}

/// Prints to standard output. A reader that has seen enough, such as `head`, is not a failure.
fn print(text: &str) -> Exit {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            complain(&error.to_string());
            Exit::Failed
        }
    }
}

fn tell(error: &ConfigError) -> Exit {
    match colour() {
        true => eprintln!("{}", error.in_colour()),
        false => eprintln!("{error}"),
    }
    Exit::Config
}

fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
