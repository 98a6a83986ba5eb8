//! Encrypted connections with certificates on both sides.

use execution_engine_fleet::Cluster as _;
use execution_engine_fleet_nats::{
    ConnectError, Grant, Identity, InitError, Login, NatsCluster, Role, ServerOptions, init,
    server_config,
};
use fleet_servers::{Authority, Setup};

use crate::common::*;

#[tokio::test]
async fn both_sides_must_show_a_certificate_of_the_authority() {
    let home = tempfile::tempdir().unwrap();
    let own = Authority::new(home.path(), "own");
    let foreign = Authority::new(home.path(), "foreign");
    let server = own.sign("server", &["127.0.0.1".into()]);
    let admin = own.sign("admin", &[]);
    let stranger = foreign.sign("stranger", &[]);
    let grant = Grant {
        name: "admin".into(),
        identity: Identity::Certificate("CN=admin".into()),
        role: Role::Admin,
    };
    let extra = own.tls(&server) + &server_config(2, &[grant]).unwrap();
    let servers = Servers::start_with(&Setup { extra, ..Setup::default() }).await;
    let options = ServerOptions {
        require_tls: true,
        ca: Some(own.file.clone()),
        client_certificate: Some(admin),
        inbox: "_INBOX_admin".into(),
        ..options(&servers)
    };
    assert!(options.is_protected());
    init(&options, &setup(1)).await.unwrap();
    let cluster = NatsCluster::connect(&options).await.unwrap();
    assert_eq!(cluster.pools().await.unwrap().len(), 1);
    let without = ServerOptions { client_certificate: None, ..options.clone() };
    let wrong = ServerOptions { client_certificate: Some(stranger), ..options.clone() };
    let other_ca = ServerOptions { ca: Some(foreign.file), ..options };
    for (what, options) in
        [("none", without), ("a foreign one", wrong), ("another server", other_ca)]
    {
        let refused = NatsCluster::connect(&options).await.unwrap_err();
        // A server may close the connection before its reason has come.
        let is_refused = match &refused {
            InitError::Connect(ConnectError::Denied { .. }) => !refused.may_pass(),
            InitError::Connect(ConnectError::Failed { .. }) => what != "another server",
            _ => false,
        };
        assert!(is_refused, "{what}: {refused:?}");
    }
}

#[tokio::test]
async fn a_login_that_cannot_be_read_is_named() {
    let login = Login::CredentialsFile("/nonexistent/user.creds".into());
    let options = ServerOptions { login, ..ServerOptions::new(["nats://127.0.0.1:1"]) };
    let error = NatsCluster::connect(&options).await.unwrap_err().to_string();
    assert!(error.contains("/nonexistent/user.creds"), "{error}");
}
