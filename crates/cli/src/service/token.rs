//! `exeng token`: who may call the service over the network.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;
use execution_engine_server::client::Client;
use execution_engine_server::{CreatedToken, NewToken, TokenScope, TokenView};

use super::connect;
use super::each::Results;
use super::table::{Cell, Colour, table};
use super::times::local;
use crate::cli::GlobalOptions;
use crate::completions::tokens;
use crate::failure::Failure;
use crate::{data, moment};

/// Options of `token`.
#[derive(Debug, Args)]
pub(crate) struct TokenVerbOptions {
    #[command(subcommand)]
    verb: TokenVerb,
}

#[derive(Debug, Subcommand)]
enum TokenVerb {
    /// Make a token and print it; it is shown only this once
    Create(CreateOptions),
    /// List tokens, without the tokens themselves
    #[command(visible_alias = "list")]
    Ls(ListOptions),
    /// Revoke tokens: they are refused at once, and what is open for them ends
    #[command(alias = "rm")]
    Revoke(RevokeOptions),
}

#[derive(Debug, Args)]
struct CreateOptions {
    /// Name, by which it is listed and revoked
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// What it allows: read to look, run to submit and control as well, admin for everything, mcp for MCP alone
    #[arg(long, value_parser = scopes())]
    scope: TokenScope,
    /// Refuse it from this moment on: 90d for 90 days from now, tomorrow 8:00, 2026-12-31 [without: it is good until
    /// it is revoked]
    #[arg(long, value_name = "TIME", value_parser = moment::parse_later)]
    expires: Option<DateTime<Utc>>,
    /// Write it to a new file that its owner alone can read, instead of printing it
    #[arg(long)]
    file: Option<PathBuf>,
    /// Print one document of JSON
    #[arg(long, conflicts_with = "file")]
    json: bool,
}

#[derive(Debug, Args)]
struct ListOptions {
    /// Print one array of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RevokeOptions {
    /// Names of tokens
    #[arg(value_name = "NAME", required = true, value_parser = NonEmptyStringValueParser::new())]
    #[arg(add = ArgValueCandidates::new(tokens))]
    names: Vec<String>,
}

fn scopes() -> impl TypedValueParser<Value = TokenScope> {
    PossibleValuesParser::new(TokenScope::ALL.map(TokenScope::as_str)).try_map(|text| text.parse())
}

/// Does what the verb of the verb says.
pub(crate) async fn run(global: &GlobalOptions, options: &TokenVerbOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    match &options.verb {
        TokenVerb::Create(options) => create(&client, options).await?,
        TokenVerb::Ls(options) => list(&client, options).await?,
        TokenVerb::Revoke(options) => return revoke(&client, options).await,
    }
    Ok(0)
}

async fn create(client: &Client, options: &CreateOptions) -> Result<(), Failure> {
    // First, so that there is no token that nobody has.
    let file = options.file.as_deref().map(private_file).transpose()?;
    let CreateOptions { name, scope, expires, .. } = options;
    let new = NewToken { name: name.clone(), scope: *scope, expires_at: *expires };
    let created = client.create_token(&new).await;
    let Some((path, file)) = options.file.as_deref().zip(file) else {
        return print(&created?, options.json);
    };
    let written = created.map_err(Failure::from).and_then(|created| write(path, file, &created));
    if written.is_err() {
        // It is empty or half a token, and this process has made it.
        let _gone = fs::remove_file(path);
    }
    written
}

fn print(created: &CreatedToken, json: bool) -> Result<(), Failure> {
    if json {
        return data::json(created);
    }
    data::line(&created.token)
}

/// Creates a file that only its owner can read, where there is none.
fn private_file(path: &Path) -> Result<File, Failure> {
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    created.map_err(|error| {
        Failure::new(format!(
            "the file {} cannot be made for the token: {error}; name one that does not exist",
            path.display()
        ))
    })
}

fn write(path: &Path, mut file: File, created: &CreatedToken) -> Result<(), Failure> {
    let written = writeln!(file, "{}", created.token).and_then(|()| file.sync_all());
    written.map_err(|error| {
        let name = &created.view.name;
        Failure::new(format!(
            "the token cannot be written to {}: {error}; revoke it (exeng token revoke {name}) and make it again",
            path.display()
        ))
    })
}

async fn list(client: &Client, options: &ListOptions) -> Result<(), Failure> {
    let tokens = client.tokens().await?.tokens;
    if options.json {
        return data::json(&tokens);
    }
    if tokens.is_empty() && !data::is_for_people() {
        return Ok(());
    }
    let rows: Vec<_> = tokens.iter().map(row).collect();
    let head = ["NAME", "SCOPE", "CREATED", "EXPIRES"];
    data::bytes(table(&head, &rows, data::width(), data::has_colours()).as_bytes())
}

fn row(token: &TokenView) -> Vec<Cell> {
    let (expires, colour) = match token.expires_at {
        None => ("never".to_string(), Colour::None),
        Some(at) if token.expired => (format!("{} (expired)", local(at)), Colour::Yellow),
        Some(at) => (local(at), Colour::None),
    };
    vec![
        Cell::plain(token.name.as_str()),
        Cell::plain(token.scope.as_str()),
        Cell::plain(local(token.created_at)),
        Cell { text: expires, colour },
    ]
}

/// Revokes all of them. What fails does not keep the others from it.
async fn revoke(client: &Client, options: &RevokeOptions) -> Result<u8, Failure> {
    let mut results = Results::default();
    for name in &options.names {
        results.add(client.revoke_token(name).await);
    }
    Ok(results.code)
}
