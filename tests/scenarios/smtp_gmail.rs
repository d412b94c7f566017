//! "Send mail as" of Gmail: the form, and what stands in the way of the mail with the code.

use serde_json::Value;

use super::world::World;
use super::world::program::command;

async fn gmail(world: &World, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let mut command = tokio::process::Command::from(command(world, ""));
    command.args(["--json", "smtp-user", "gmail"]).args(arguments);
    command.env("PENNYPOST_SMTP__SUBMISSION_LISTEN", "127.0.0.1:587").env("PENNYPOST_SMTP__SUBMISSIONS_LISTEN", "127.0.0.1:465");
    let output = command.output().await.unwrap();
    let shown = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), shown, String::from_utf8(output.stderr).unwrap())
}

async fn import(world: &World, text: &str) {
    let file = super::world::database::scratch().join(format!("gmail-{}.toml", world.config.delivery.mx_port));
    std::fs::write(&file, format!("format = 1\n[[project]]\nname = \"default\"\n{text}")).unwrap();
    let mut command = tokio::process::Command::from(command(world, ""));
    let output = command.arg("import").arg(&file).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn warned(shown: &Value) -> Vec<&str> {
    shown["warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_form_is_filled_in_and_each_thing_in_the_way_is_named_until_it_is_gone() {
    let world = World::new().await;
    let (code, _, said) = gmail(&world, &["i@wac.example"]).await;
    assert!(code == Some(1) && said.contains("there is no SMTP user i@wac.example") && said.contains("smtp-user add"), "{said}");

    import(&world, "[[project.smtp_user]]\nusername = \"i@wac.example\"\n").await;
    let (code, shown, _) = gmail(&world, &["i@wac.example"]).await;
    let page = &shown["page_2"];
    assert_eq!(
        (code, &page["smtp_server"], &page["port"], &page["username"]),
        (Some(0), &"mail.sender.example".into(), &587.into(), &"i@wac.example".into())
    );
    assert_eq!((&shown["page_1"]["email_address"], &shown["page_1"]["treat_as_an_alias"]), (&"i@wac.example".into(), &true.into()));
    assert!(warned(&shown)[0].contains("no domain of the project") && warned(&shown)[1].contains("does not come here"), "{shown:#}");

    import(&world, "[[project.domain]]\nname = \"wac.example\"\n").await;
    let (_, shown, _) = gmail(&world, &["i@wac.example"]).await;
    assert!(warned(&shown).iter().any(|warning| warning.contains("not verified: `pennypost domain check wac.example`")), "{shown:#}");

    world.execute("update domain set state = 'verified', verified_at = now()").await;
    import(&world, "[[project.route]]\npattern = \"*@wac.example\"\naction = \"forward\"\ntarget = [{ address = \"x@gmail.example\" }]\n").await;
    let (_, shown, _) = gmail(&world, &["i@wac.example"]).await;
    assert!(warned(&shown).len() == 1 && warned(&shown)[0].contains("its targets have not agreed yet"), "{shown:#}");

    world.execute("update route_target set confirmed_at = now()").await;
    let (_, shown, _) = gmail(&world, &["i@wac.example"]).await;
    assert_eq!(warned(&shown), Vec::<&str>::new());
    let (_, shown, _) = gmail(&world, &["j@wac.example", "--user", "i@wac.example"]).await;
    assert!(warned(&shown).len() == 1 && warned(&shown)[0].contains("may not send as j@wac.example"), "{shown:#}");
}
