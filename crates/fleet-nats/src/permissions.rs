//! Who may do what, as the part of a server's configuration that says so.
//!
//! All that is of one tenant has its name in a subject or a stream, and rights name it: a client neither reads
//! nor writes what is of another tenant. Tenants share the bucket that tells how the fleet is set up, and the presence
//! of workers.
//!
//! Rights alone are not enough: servers and workers answer to whichever subject a request names, and a server
//! looks at no rights of the one who asks for that (tried with 2.15.1). In one account a client could so have
//! its own bytes published anywhere, such as in the queue of another tenant. So the clients of each tenant are in an account
//! of their own, which imports what the tenant may ask. Answers come into that account, whatever they are addressed to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use execution_engine_fleet::{NameError, ObjectKind, PLANS_POOL, QueueName, check_name};

use crate::durability::ASK;
use crate::names::{
    API, BUCKET, LIVE, TENANT_API, calls_filter, consumer, log_stream, objects_of, objects_stream,
    sweep_subject, wakes_filter, work_stream, worker_subject,
};

/// The class of the pool of plans, which `exeng fleet init` makes.
const PLANS_CLASS: &str = "any";
/// The last priority of a queue.
const LAST_PRIORITY: u8 = 2;

/// What a user is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Sets the fleet up.
    Admin,
    /// Has commands executed for a tenant.
    Client {
        /// The tenant.
        tenant: String,
    },
    /// Executes commands for these tenants. Ids of workers are new for each process, so a worker may
    /// announce the presence of any.
    Worker {
        /// The tenants.
        tenants: Vec<String>,
        /// Whether it may conduct plans of theirs (`exeng worker --plans`), so fetch plans and submit executions for them.
        plans: bool,
    },
}

/// How a user shows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Public half of an NKEY of a user, `U...`.
    Nkey(String),
    /// Subject of a TLS certificate, with `verify_and_map` in the configuration of the servers.
    Certificate(String),
}

/// A user and its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Name of the user: its answers come on `_INBOX_<name>`, which is its
    /// [`inbox`](crate::ServerOptions::inbox).
    pub name: String,
    /// Who it is.
    pub identity: Identity,
    /// What it may do.
    pub role: Role,
}

/// Returns the accounts of a server's configuration: `FLEET` with admins and workers, `TENANT_<name>` with the
/// clients of a tenant, and `SYS`, from which they may ask how the servers write to their disks. `shards` is that
/// of the fleet.
///
/// The result has no users of `SYS`. Include it in the configuration of each server (`include
/// accounts.conf`).
///
/// # Errors
///
/// [`NameError`] if a name of a user or tenant could not be a part of a subject, or an identity has
/// characters that end a string of the configuration.
///
/// ```
/// use execution_engine_fleet_nats::{Grant, Identity, Role, server_config};
///
/// # fn main() -> Result<(), execution_engine_fleet::NameError> {
/// let grant = Grant {
///     name: "ci".into(),
///     identity: Identity::Certificate("CN=ci".into()),
///     role: Role::Client { tenant: "blue".into() },
/// };
/// let config = server_config(16, &[grant])?;
/// assert!(config.contains("TENANT_blue") && config.contains("exeng.w.blue.>"));
/// # Ok(())
/// # }
/// ```
pub fn server_config(shards: u16, grants: &[Grant]) -> Result<String, NameError> {
    let mut users = String::new();
    let mut clients = BTreeMap::<&str, String>::new();
    for grant in grants {
        let user = user(shards, grant)?;
        match &grant.role {
            Role::Client { tenant } => clients.entry(tenant).or_default().push_str(&user),
            Role::Admin | Role::Worker { .. } => users.push_str(&user),
        }
    }
    let accounts: Vec<_> = clients.keys().map(|tenant| account(tenant)).collect();
    let everyone = accounts.join(", ");
    let (mut exports, mut tenants) = (String::new(), String::new());
    if !accounts.is_empty() {
        shared_reads().for_each(|read| exports.push_str(&export(&read, &everyone)));
    }
    for (tenant, users) in &clients {
        let account = account(tenant);
        let (wake, mut imports) = (wakes_filter(tenant), import("SYS", ASK));
        for asked in asked_by_client(tenant, shards) {
            exports.push_str(&export(&asked, &account));
        }
        for asked in shared_reads().chain(asked_by_client(tenant, shards)) {
            imports.push_str(&import("FLEET", &asked));
        }
        let _infallible = writeln!(exports, "      {{ stream: {wake:?}, accounts: [{account}] }}");
        let _infallible = write!(
            tenants,
            "  {account}: {{\n    imports: [\n{imports}      {{ stream: {{ account: FLEET, subject: \
             {wake:?} }} }}\n    ]\n    users: [\n{users}    ]\n  }}\n",
        );
    }
    let asking = [&["FLEET".to_owned()][..], &accounts].concat().join(", ");
    let own = import("SYS", ASK);
    Ok(format!(
        "accounts {{\n  SYS: {{\n    exports: [{{ service: \"{ASK}\", response_type: stream, \
         accounts: [{asking}] }}]\n  }}\n  FLEET: {{\n    jetstream: enabled\n    imports: [\n{own}    ]\n    \
         exports: [\n{exports}    ]\n    users: [\n{users}    ]\n  }}\n{tenants}}}\nsystem_account: SYS\n"
    ))
}

/// Returns the account of the clients of a tenant.
fn account(tenant: &str) -> String {
    format!("TENANT_{tenant}")
}

/// Returns the line of a user.
fn user(shards: u16, grant: &Grant) -> Result<String, NameError> {
    check_name("user", &grant.name)?;
    let (key, value) = match &grant.identity {
        Identity::Nkey(key) => ("nkey", key),
        Identity::Certificate(subject) => ("user", subject),
    };
    if value.chars().any(|c| c.is_control() || matches!(c, '"' | '\\' | '$')) {
        return Err(NameError { field: "identity", name: value.chars().take(64).collect() });
    }
    let Rights { publish, deny, subscribe } = rights(shards, grant)?;
    // Answers to requests go to where the one who asked wants them.
    let answers = matches!(grant.role, Role::Worker { .. });
    Ok(format!(
        "      {{ {key}: \"{value}\", permissions: {{ publish: {{ allow: {publish:?}, deny: {deny:?} }}, \
         subscribe: {{ allow: {subscribe:?} }}, allow_responses: {answers} }} }}\n",
    ))
}

/// Returns the line that lets accounts ask a subject of the fleet.
fn export(subject: &str, accounts: &str) -> String {
    // Reads have many answers, each to an inbox of its own. Others have one.
    let kind = if subject.contains(".DIRECT.GET.") { ", response_type: stream" } else { "" };
    format!("      {{ service: {subject:?}{kind}, accounts: [{accounts}] }}\n")
}

/// Returns the line that lets the users of an account ask a subject of another one.
fn import(account: &str, subject: &str) -> String {
    let to = tenant_subject(subject);
    let to = if to == subject { String::new() } else { format!(", to: {to:?}") };
    format!("      {{ service: {{ account: {account}, subject: {subject:?} }}{to} }}\n")
}

/// Returns what a subject is in the account of a tenant.
fn tenant_subject(subject: &str) -> String {
    match subject.strip_prefix(API) {
        Some(rest) => format!("{TENANT_API}{rest}"),
        None => subject.to_owned(),
    }
}

struct Rights {
    publish: Vec<String>,
    /// What of it is not allowed after all.
    deny: Vec<String>,
    subscribe: Vec<String>,
}

fn rights(shards: u16, grant: &Grant) -> Result<Rights, NameError> {
    let inbox = format!("_INBOX_{}.>", grant.name);
    match &grant.role {
        Role::Admin => {
            Ok(Rights { publish: vec![">".into()], deny: Vec::new(), subscribe: vec![">".into()] })
        }
        Role::Client { tenant } => {
            check_name("tenant", tenant)?;
            let asked = shared_reads().chain(asked_by_client(tenant, shards));
            let mut publish: Vec<_> = asked.map(|asked| tenant_subject(&asked)).collect();
            publish.push(ASK.into());
            let subscribe = vec![inbox, wakes_filter(tenant)];
            Ok(Rights { publish, deny: Vec::new(), subscribe })
        }
        Role::Worker { tenants, plans } => {
            let mut publish: Vec<_> = shared_reads().collect();
            let (mut deny, mut subscribe) = (Vec::new(), vec![inbox, worker_subject("*")]);
            publish.extend([ASK.into(), "exeng.p.*".into()]);
            for tenant in tenants {
                check_name("tenant", tenant)?;
                let stream = work_stream(tenant);
                publish.extend(reads(tenant, shards));
                publish.extend([
                    sweep_subject(tenant),
                    format!("exeng.x.{tenant}.*.*.s"),
                    format!("exeng.x.{tenant}.*.*.o"),
                    format!("{}>", objects_of(tenant, None)),
                    format!("$JS.ACK.{stream}.>"),
                    format!("{API}.CONSUMER.MSG.NEXT.{stream}.*"),
                ]);
                if *plans {
                    publish.push(format!("exeng.w.{tenant}.>"));
                    publish.push(format!("exeng.x.{tenant}.*.*.i"));
                } else {
                    // It would claim plans whose steps it may not submit.
                    deny.extend(plan_requests(tenant));
                }
                subscribe.extend([wakes_filter(tenant), calls_filter("*", tenant)]);
            }
            Ok(Rights { publish, deny, subscribe })
        }
    }
}

/// Returns the subjects on which the plans of a tenant are fetched.
fn plan_requests(tenant: &str) -> impl Iterator<Item = String> {
    let (stream, tenant) = (work_stream(tenant), tenant.to_owned());
    (0..=LAST_PRIORITY).map(move |priority| {
        let (tenant, pool, class) = (tenant.clone(), PLANS_POOL.into(), PLANS_CLASS.into());
        let queue = QueueName { tenant, pool, class, priority };
        format!("{API}.CONSUMER.MSG.NEXT.{stream}.{}", consumer(&queue))
    })
}

/// Returns what a client asks of its tenant, as subjects of the account of the fleet.
fn asked_by_client(tenant: &str, shards: u16) -> impl Iterator<Item = String> {
    let own = [
        format!("exeng.w.{tenant}.>"),
        format!("exeng.x.{tenant}.*.*.s"),
        format!("exeng.x.{tenant}.*.*.i"),
        format!("{}>", objects_of(tenant, Some(ObjectKind::Artifact))),
        calls_filter("*", tenant),
    ];
    own.into_iter().chain(reads(tenant, shards))
}

/// Returns what clients and workers read alike of what tenants share.
fn shared_reads() -> impl Iterator<Item = String> {
    [LIVE, BUCKET].into_iter().flat_map(of_stream)
}

/// Returns what clients and workers read alike of a tenant.
fn reads(tenant: &str, shards: u16) -> impl Iterator<Item = String> {
    let work = of_stream(&work_stream(tenant)).into_iter().skip(1);
    let logs = (0..shards).map(move |shard| log_stream(tenant, shard));
    logs.chain([objects_stream(tenant)]).flat_map(|stream| of_stream(&stream)).chain(work)
}

/// Returns the subjects by which a stream is read; the first one is not for queues.
fn of_stream(stream: &str) -> [String; 3] {
    ["DIRECT.GET", "STREAM.INFO", "STREAM.MSG.GET"].map(|what| format!("{API}.{what}.{stream}"))
}
