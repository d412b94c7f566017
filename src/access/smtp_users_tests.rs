//! SMTP users against a real database: who is let in, as whom, and what is kept (rule C2).

use super::*;
use crate::access::NewKey;
use crate::model::DomainName;
use crate::store::test_database;

struct World {
    users: SmtpUsers,
    access: Access,
    project: ProjectId,
}

async fn world() -> World {
    let (clock, store) = (Clock::movable(), test_database::fresh().await);
    let access = Access::new(store.clone(), clock.clone());
    let project = access.default_project().await.unwrap();
    World { users: SmtpUsers::new(store, clock, access.clone()), access, project }
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

#[tokio::test]
async fn a_user_is_let_in_by_the_password_shown_once() {
    let World { users, project, .. } = world().await;
    let made = users.add(project, "I@Wac.Example", vec!["*@sub.example".parse().unwrap()]).await.unwrap();
    assert_eq!(made.record.username, "i@wac.example");
    for name in ["i@wac.example", "I@WAC.EXAMPLE"] {
        let found = users.sign_in(name, &made.password).await.unwrap();
        assert_eq!((found.caller.project, found.caller.scope), (project, Scope::Send));
        assert!(found.may_send_as(&address("i@wac.example")) && found.may_send_as(&address("any@sub.example")));
        assert!(!found.may_send_as(&address("j@wac.example")) && !found.may_send_as(&address("i@other.example")));
    }
    let listed = users.list(project, PageRequest::default()).await.unwrap().data;
    assert_eq!(listed, [made.record]);
}

#[tokio::test]
async fn everybody_else_is_told_the_same() {
    let World { users, project, .. } = world().await;
    let (one, other) = (users.add(project, "a@b.example", vec![]).await.unwrap(), users.add(project, "c@b.example", vec![]).await.unwrap());
    let mistyped = secret(&one.password.expose().to_lowercase());
    for (name, password) in [
        ("a@b.example", &other.password),
        ("nobody@b.example", &one.password),
        ("", &one.password),
        ("a", &one.password),
        ("' or 1=1 --", &one.password),
        ("a@b.example", &mistyped),
        ("a@b.example", &secret("hunter2")),
        ("a@b.example", &secret("")),
    ] {
        assert!(matches!(users.sign_in(name, password).await, Err(SignInError::Wrong)), "{name}");
    }
    assert!(users.sign_in("a@b.example", &one.password).await.is_ok());
    assert!(matches!(users.sign_in("a@b.example", &other.password).await, Err(SignInError::Wrong)), "what is remembered is one password");
}

#[tokio::test]
async fn an_api_key_is_a_password_for_any_name() {
    let World { users, access, project } = world().await;
    let only = DomainName::parse("shop.example").unwrap();
    let key = |scope, domains| NewKey { name: "app".to_owned(), scope, domains, expires_at: None, test: false };
    let sends = access.create_key(project, key(Scope::Send, Some(vec![only]))).await.unwrap().secret;
    let reads = access.create_key(project, key(Scope::Read, None)).await.unwrap().secret;
    let found = users.sign_in("apikey", &sends).await.unwrap();
    assert!(found.may_send_as(&address("any@shop.example")) && !found.may_send_as(&address("any@other.example")));
    assert!(matches!(users.sign_in("apikey", &reads).await, Err(SignInError::MayNotSend)));
    let wrong = secret(&sends.expose().replace("pp_live_", "pp_test_"));
    assert!(matches!(users.sign_in("apikey", &wrong).await, Err(SignInError::Wrong)));
}

#[tokio::test]
async fn a_changed_password_and_a_removed_user_let_nobody_in() {
    let World { users, project, .. } = world().await;
    let made = users.add(project, "a@b.example", vec![]).await.unwrap();
    users.sign_in("a@b.example", &made.password).await.unwrap();
    let changed = users.change_password(project, made.record.id).await.unwrap().unwrap();
    assert!(matches!(users.sign_in("a@b.example", &made.password).await, Err(SignInError::Wrong)));
    assert!(users.sign_in("a@b.example", &changed.password).await.is_ok());
    let stranger = ProjectId::from_uuid(Uuid::from_u128(7));
    assert!(!users.remove(stranger, made.record.id).await.unwrap() && users.change_password(stranger, made.record.id).await.unwrap().is_none());
    assert!(users.find(stranger, "a@b.example").await.unwrap().is_none() && users.find(project, "A@b.example").await.unwrap().is_some());
    assert!(users.remove(project, made.record.id).await.unwrap() && !users.remove(project, made.record.id).await.unwrap());
    assert!(matches!(users.sign_in("a@b.example", &changed.password).await, Err(SignInError::Wrong)));
}

#[tokio::test]
async fn what_cannot_be_a_user_is_refused_and_leaves_nothing_behind() {
    let World { users, project, .. } = world().await;
    users.add(project, "taken@b.example", vec![]).await.unwrap();
    let any = || vec![SenderPattern::Any];
    assert!(matches!(users.add(project, "TAKEN@b.example", vec![]).await, Err(SmtpUserError::Exists)));
    assert!(matches!(users.add(project, "printer", vec![]).await, Err(SmtpUserError::NoSender)));
    assert!(matches!(users.add(project, "a@b.example", vec![SenderPattern::Any; 51]).await, Err(SmtpUserError::TooManySenders)));
    for name in ["", "a b", "a@localhost", "a\r\nb", "é", &"x".repeat(65)] {
        assert!(matches!(users.add(project, name, any()).await, Err(SmtpUserError::Username)), "{name:?}");
    }
    assert!(users.add(project, "Printer_1", any()).await.is_ok());
    assert_eq!(users.list(project, PageRequest::default()).await.unwrap().data.len(), 2);
}

#[tokio::test]
async fn the_database_holds_no_password_and_learns_when_a_user_last_signed_in() {
    let World { users, project, .. } = world().await;
    let made = users.add(project, "a@b.example", vec![]).await.unwrap();
    users.sign_in("a@b.example", &made.password).await.unwrap();
    users.write_last_used().await.unwrap();
    let row = smtp_user::by_username(&users.inner.store, "a@b.example").await.unwrap().unwrap();
    assert!(row.last_used_at.is_some() && !format!("{row:?}").contains(made.password.expose()));
    assert!(!format!("{made:?}").contains(made.password.expose()), "nor does a log");
}
